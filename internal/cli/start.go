package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
)

func newStart(a *app) *cobra.Command {
	var start startFlags
	cmd := &cobra.Command{
		Use:   "start FLOW",
		Short: "Start a run and leave it to a worker",
		Long: `Start a run of a flow. A worker (bide work) or bide run --resume makes it go on.
FLOW is a file, or the name of a flow of the project.`,
		Example: "  bide start refund --input order=42 --input amount=120 --key order-42",
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := a.output(cmd)
			if err != nil {
				return err
			}
			req, err := start.request(cmd.Context(), a, args[0])
			if err != nil {
				return err
			}
			b, err := a.create(cmd)
			if err != nil {
				return err
			}
			run, err := b.Start(cmd.Context(), req)
			if err != nil {
				return err
			}
			return out.value(run.RunInfo, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, run.ID)
				return err
			})
		},
		ValidArgsFunction: a.completeFlow,
	}
	start.add(cmd)
	return cmd
}

// startFlags are the flags of what starts a run.
type startFlags struct {
	input    []string
	labels   []string
	key      string
	runID    string
	session  string
	timeout  time.Duration
	maxSteps int64
	command  commandFlags
}

func (s *startFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVarP(&s.input, "input", "i", nil, "input: NAME=VALUE (again for more), a JSON object, @FILE with one, or - to read it")
	f.StringArrayVarP(&s.labels, "label", "l", nil, "label of the run: NAME=VALUE (again for more)")
	f.StringVar(&s.key, "key", "", "name of the run among those of its flow: the same key gives the same run")
	f.StringVar(&s.runID, "run-id", "", "id of the run: letters, digits, - and _")
	f.StringVar(&s.session, "session", "", "session of the run, for events that are sent to it")
	f.DurationVar(&s.timeout, "timeout", 0, "how long the run may take, waits included; then it fails (default: without end)")
	f.Int64Var(&s.maxSteps, "max-steps", 0, "how many steps the run may make (default: 100000)")
	s.command.add(cmd)
}

// used is a flag of these that was given, or empty.
func (s *startFlags) used(cmd *cobra.Command) string {
	for _, name := range []string{"input", "label", "key", "run-id", "session", "timeout", "max-steps", "reason", "command-id"} {
		if cmd.Flags().Changed(name) {
			return name
		}
	}
	return ""
}

// request reads the flags; the terminal asks for what the flow needs and was not given.
func (s *startFlags) request(ctx context.Context, a *app, flowName string) (*startRequest, error) {
	labels, err := pairs("label", s.labels)
	if err != nil {
		return nil, err
	}
	docs, err := newLibrary(a.cfg).withCalled(flowName)
	if err != nil {
		return nil, err
	}
	d := docs[len(docs)-1]
	needs := d.InputSchema()
	input, err := readInput("the input", s.input, needs, a.stdin)
	if err != nil {
		return nil, err
	}
	if input, err = a.complete(ctx, needs, input); err != nil {
		return nil, err
	}
	if input == nil {
		input = bide.JSON("{}")
	}
	if err := checkInput(d, input); err != nil {
		return nil, err
	}
	return &startRequest{Docs: docs, Input: input, Key: s.key, RunID: s.runID, Session: s.session, Labels: labels,
		Timeout: s.timeout, MaxSteps: s.maxSteps, Command: s.command.command(a)}, nil
}

// checkInput fails, listing every fault, when an input does not fit a flow.
func checkInput(d *flow.Doc, input bide.JSON) error {
	faults := d.CheckInput(input)
	if len(faults) == 0 {
		return nil
	}
	return &bide.Error{Code: bide.CodeInvalidInput, Message: fmt.Sprintf("the input does not fit flow %q", d.ID()), Faults: faults}
}

// complete asks the person for required members of the input that are missing.
func (a *app) complete(ctx context.Context, needs, input bide.JSON) (bide.JSON, error) {
	s := readSchema(needs)
	if !a.person() || s.kind() != "object" {
		return input, nil
	}
	have := map[string]bide.JSON{}
	if input != nil && json.Unmarshal(input, &have) != nil {
		return input, nil // not an object: the flow says what is wrong
	}
	for _, name := range s.Required {
		if _, ok := have[name]; !ok {
			return fillForm(ctx, a.terminal(), needs, input)
		}
	}
	return input, nil
}

// pairs reads NAME=VALUE flags.
func pairs(flag string, values []string) (map[string]string, error) {
	out := map[string]string{}
	for _, v := range values {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, usage("", "--%s %q is not NAME=VALUE", flag, v)
		}
		out[name] = value
	}
	return out, nil
}

// readInput reads a value from flags or arguments: one of a JSON value, @FILE and -, or any number of
// NAME=VALUE, whose values have the type that the schema gives them. It is nil when there is nothing. what is the name
// of the value in errors.
func readInput(what string, values []string, schemaText bide.JSON, stdin io.Reader) (bide.JSON, error) {
	if len(values) == 0 {
		return nil, nil
	}
	if len(values) == 1 {
		v := values[0]
		switch {
		case v == "-":
			text, err := io.ReadAll(stdin)
			return checkJSON("standard input", text, err)
		case strings.HasPrefix(v, "@"):
			text, err := os.ReadFile(v[1:])
			return checkJSON(v[1:], text, err)
		case strings.HasPrefix(v, "{") || strings.HasPrefix(v, "["):
			return checkJSON(what, []byte(v), nil)
		}
	}
	types := map[string]*schema{}
	if properties, err := members(readSchema(schemaText).Properties); err == nil {
		for _, p := range properties {
			types[p.name] = readSchema(p.raw)
		}
	}
	var have []property
	for _, v := range values {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, usage("", "%q is neither NAME=VALUE, a JSON object, @FILE nor -", v)
		}
		typ := types[name]
		if typ == nil {
			typ = &schema{}
		}
		raw, err := parseField(typ, value)
		if err != nil {
			return nil, usage("", "%s: %v", name, err)
		}
		for _, h := range have {
			if h.name == name {
				return nil, usage("", "%s is given twice", name)
			}
		}
		have = append(have, property{name, raw})
	}
	return object(have)
}

func checkJSON(name string, text []byte, err error) (bide.JSON, error) {
	if err != nil {
		return nil, err
	}
	text = bytes.TrimSpace(text)
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, &problem{code: exitUsage, what: name + " is not JSON", why: err.Error(), err: err}
	}
	return text, nil
}

// commandFlags say why a change is made, and under which id.
type commandFlags struct{ reason, id string }

func (c *commandFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.reason, "reason", "", "why, as it stands in the ledger")
	cmd.Flags().StringVar(&c.id, "command-id", "", "id that makes sending this twice the same as once")
}

func (c *commandFlags) command(a *app) bide.Command {
	return bide.Command{ID: c.id, Actor: a.cfg.get("actor"), Reason: c.reason}
}
