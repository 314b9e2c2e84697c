// Command agents shows four agents: one that researches and asks before it writes, one that sorts tickets into a schema, one that
// reviews code over an MCP server for files, and one that has others work for it on a shared budget.
//
//	go run ./examples/agents research
//	go run ./examples/agents -model ollama/qwen3:8b triage "My invoice is wrong"
//	go run ./examples/agents -model openai/gpt-5-mini review path/to/code
//
// Without -model a script answers. Kill it at any time and start it again with the same -db and -key: it goes on where it was.
package main

import (
	"bufio"
	"cmp"
	"context"
	_ "embed" // the scripts
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/llm/anthropic"
	"github.com/bide-dev/bide/llm/openai"
	"github.com/bide-dev/bide/llm/scripted"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/tool"
	"github.com/bide-dev/bide/worker"
)

//go:embed replies.yaml
var replies []byte

type options struct {
	db, key, model, name, task string
}

// show is one of the four.
type show struct {
	task string // unless another is given
	// build makes the agent for models that are asked for by the names of scripts, and says how to close it.
	build func(ctx context.Context, o *options, model func(script string) string) (*agent.Agent, *tool.Set, func() error, error)
}

var shows = map[string]show{
	"research": {"How high is the tower of Pisa, and why does it lean?", research},
	"triage":   {"The server room is on fire!", triage},
	"review":   {".", review},
	"team":     {"Compare three ways to keep coffee warm.", team},
}

func main() {
	var o options
	flag.StringVar(&o.db, "db", "agents.db", "file of the store")
	flag.StringVar(&o.key, "key", "", "name of the run; the same name goes on with the same run. Defaults to a fresh one")
	flag.StringVar(&o.model, "model", "", "model, as provider/model. Defaults to a script")
	flag.Parse()
	o.name, o.task = flag.Arg(0), strings.Join(flag.Args()[min(1, flag.NArg()):], " ")
	var err error
	if o.name == fileServer {
		err = serveFiles(context.Background(), o.task)
	} else {
		_, err = run(context.Background(), o, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "agents:", err)
		os.Exit(1)
	}
}

// models are those of the environment, and the scripts.
func models() (*llm.Models, error) {
	cfg, err := llm.LoadConfig("", os.Environ())
	if err != nil {
		return nil, err
	}
	if cfg.Providers == nil {
		cfg.Providers = map[string]llm.ProviderConfig{}
	}
	cfg.Providers[llm.ScriptedName] = llm.ProviderConfig{}
	script := func(llm.ProviderConfig, llm.Env) (llm.Provider, error) { return scripted.Parse(replies) }
	return llm.New(cfg, llm.Kinds{"openai": openai.Open, "gemini": openai.Open, "anthropic": anthropic.Open, llm.ScriptedName: script}, nil)
}

// run runs an agent to its end; people answer through in and out.
func run(ctx context.Context, o options, in io.Reader, out io.Writer) (result agent.Output, err error) {
	chosen, ok := shows[o.name]
	if !ok {
		return result, fmt.Errorf("there is no agent %q; name one of research, review, team and triage", o.name)
	}
	o.task = cmp.Or(o.task, chosen.task)
	if o.model == "" {
		fmt.Fprintln(out, "A script answers, whatever the task is; -model ollama/qwen3:8b, for one, asks a model.")
	}
	asked, err := models()
	if err != nil {
		return result, err
	}
	a, set, done, err := chosen.build(ctx, &o, func(script string) string { return cmp.Or(o.model, llm.ScriptedName+"/"+script) })
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, done()) }()
	db, err := sqlite.Open(ctx, o.db, nil)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rt, err := bide.New(db, nil)
	if err != nil {
		return result, err
	}
	rt.Handle(llm.Type, asked.Handle)
	set.Register(rt)
	agent.Handle(rt, db)
	if err := a.Register(rt); err != nil {
		return result, err
	}
	w, err := worker.New(rt, db, &worker.Options{Sole: true})
	if err != nil {
		return result, err
	}
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()
	defer func() { stop(); err = errors.Join(err, <-ended) }()
	r, err := rt.Start(ctx, a.Workflow(), agent.Input{Task: o.task}, &bide.StartOptions{Key: o.key})
	if err != nil {
		return result, err
	}
	fmt.Fprintf(out, "run %s\n", r.ID)
	if err := follow(ctx, rt, r.ID, bufio.NewScanner(in), out); err != nil {
		return result, err
	}
	if r, err = rt.Get(ctx, r.ID); err != nil {
		return result, err
	}
	switch r.Status {
	case bide.StatusCompleted:
	case bide.StatusFailed:
		return result, fmt.Errorf("the run has failed: %w", r.Error)
	default:
		return result, fmt.Errorf("the run is %s", r.Status)
	}
	if err := json.Unmarshal(r.Output, &result); err != nil {
		return result, err
	}
	fmt.Fprintf(out, "\n%s\n\n(%s after %d calls of the model and %d of tools)\n", result.Answer, result.ExitReason, result.Used.Iterations, result.Used.ToolCalls)
	return result, nil
}
