package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/llm/anthropic"
	"github.com/bide-dev/bide/llm/openai"
	"github.com/bide-dev/bide/llm/scripted"
	"github.com/bide-dev/bide/mcp"
	"github.com/bide-dev/bide/tool"
)

// toolbox is the setting tools. What it does not name, there is not; what no rule lets pass, a person is asked about.
type toolbox struct {
	Workspace string       `json:"workspace,omitempty"` // a folder that is there, for tools that read and write files
	Exec      []string     `json:"exec,omitempty"`      // programs that run_command may start there, * for any
	Fetch     bool         `json:"fetch,omitempty"`     // a tool that reads public web pages
	Policy    []tool.Rule  `json:"policy,omitempty"`
	MCP       []mcp.Server `json:"mcp,omitempty"`
}

func parseTools(value string) (box toolbox, err error) {
	if value == "" {
		return box, nil
	}
	dec := json.NewDecoder(strings.NewReader(value))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&box); err != nil {
		return box, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return box, errors.New("there is something after the object")
	}
	if len(box.Exec) > 0 && box.Workspace == "" {
		return box, errors.New("exec needs a workspace, the folder to run programs in")
	}
	return box, nil
}

func checkTools(value string) error {
	box, err := parseTools(value)
	if err != nil {
		return err
	}
	_, err = tool.NewPolicy(box.Policy...)
	for _, server := range box.MCP {
		_, bad := mcp.New(server, nil)
		err = errors.Join(err, bad)
	}
	return err
}

func checkModels(value string) error {
	_, err := llm.ParseConfig([]byte(value))
	return err
}

// path is a path that a setting holds: one in a file is from the project's folder.
func (c *config) path(setting, path string) string {
	if path == "" || filepath.IsAbs(path) || strings.HasPrefix(c.values[setting].from, "environment") {
		return path
	}
	return filepath.Join(c.project.root, path)
}

func openModels(cfg *config, relay bide.Relay) (*llm.Models, error) {
	models, err := llm.ParseConfig([]byte(cfg.get("models")))
	if err != nil {
		return nil, err
	}
	models.Prices = cfg.path("models", models.Prices)
	for name, p := range models.Providers {
		p.File = cfg.path("models", p.File)
		models.Providers[name] = p
	}
	return llm.New(models, llm.Kinds{"openai": openai.Open, "gemini": openai.Open, "anthropic": anthropic.Open, llm.ScriptedName: scripted.Open},
		&llm.Options{NamedOnly: cfg.uploaded, Relay: relay})
}

// closers end what was opened, the last first.
type closers []func(ctx context.Context) error

func (c *closers) add(end func() error) {
	*c = append(*c, func(context.Context) error { return end() })
}

func (c *closers) close(ctx context.Context) (err error) {
	for _, end := range slices.Backward(*c) {
		err = errors.Join(err, end(ctx))
	}
	return err
}

// grants are those of sessions and workflows.
func (l *local) grants() *tool.GrantBook { return tool.NewGrantBook(l.docs, nil) }

// openTools makes the tools of the configuration. What it opened is in open, also when it fails.
func (l *local) openTools(ctx context.Context, cfg *config, open *closers) (*tool.Set, error) {
	box, err := parseTools(cfg.get("tools"))
	if err != nil {
		return nil, err
	}
	var tools []tool.Tool
	if box.Workspace != "" {
		w, err := tool.OpenWorkspace(cfg.path("tools", box.Workspace))
		if err != nil {
			return nil, err
		}
		open.add(w.Close)
		tools = append(tools, w.Files()...)
		switch {
		case slices.Contains(box.Exec, "*"):
			tools = append(tools, w.Exec(nil))
		case len(box.Exec) > 0:
			tools = append(tools, w.Exec(&tool.ExecOptions{Commands: box.Exec}))
		}
	}
	if box.Fetch {
		tools = append(tools, tool.Fetch(nil))
	}
	opts := &tool.Options{Grants: l.grants(), GrantsOf: auth.GrantsOf, Logger: l.log}
	if opts.Policy, err = tool.NewPolicy(box.Policy...); err != nil {
		return nil, err
	}
	if len(tools) > 0 || len(box.MCP) > 0 {
		kept, err := artifactsOf(ctx, l.docs, cfg.get("artifacts"))
		if err != nil {
			return nil, err
		}
		open.add(kept.Close)
		opts.Artifacts = kept
	}
	set, err := tool.New(opts, tools...)
	if err != nil {
		return nil, err
	}
	servers, err := openServers(cfg, box.MCP, l.log, open)
	if err != nil {
		return nil, err
	}
	servers.set, l.servers = set, servers
	servers.look(ctx)
	servers.keep(open)
	*open = append(*open, set.Close)
	return set, nil
}

// unusable says that a setting cannot be made use of.
func unusable(setting string, err error) error {
	return &problem{code: exitError, what: "the setting " + setting + " cannot be used", why: err.Error(), next: "bide help config", err: err}
}

// equip registers what llm, tool and agent steps are carried out with, once.
func (l *local) equip(ctx context.Context, cfg *config) error {
	if l.equipped != nil {
		return nil
	}
	models, err := openModels(cfg, l.relay(cfg))
	if err != nil {
		return unusable("models", err)
	}
	open := closers{}
	set, err := l.openTools(ctx, cfg, &open)
	if err != nil {
		return errors.Join(unusable("tools", err), open.close(ctx))
	}
	general, err := agent.New(agent.Config{ID: flow.AgentWorkflow, Description: "Works on a task with the tools that it is given.", Tools: set})
	if err != nil {
		return errors.Join(err, open.close(ctx))
	}
	l.equipped, l.models, l.tools = open, models, set
	l.rt.Handle(llm.Type, models.Handle)
	set.Register(l.rt)
	agent.Handle(l.rt, l.docs)
	return general.Register(l.rt)
}

// relay passes answers under way on to other processes on the store, where it can. Rules of redaction are for what is whole: with
// them, fragments do not leave the process.
func (l *local) relay(cfg *config) bide.Relay {
	relay, ok := l.docs.(bide.Relay)
	if !ok || cfg.get("redact") != "" {
		return nil
	}
	return relay
}

// sectionJSON writes a part of a configuration file as JSON.
func sectionJSON(decode func(v any) error) (string, error) {
	var v any
	if err := decode(&v); err != nil || v == nil {
		return "", err
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return strings.TrimSpace(text.String()), err
}
