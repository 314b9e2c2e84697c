package tool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
)

// ExecOptions refines Exec. Nil means the defaults.
type ExecOptions struct {
	// Commands are the programs that may be run, as they are named in a call.
	// Nil allows all; then ask about every call.
	Commands []string
	// Env is the environment of a command, in the form NAME=value. Defaults to PATH as it is here.
	Env []string
	// MaxOutput is how many bytes are kept of each of the outputs. Defaults to 1 MiB.
	MaxOutput int
}

type execArgs struct {
	Command []string `json:"command" jsonschema:"the program and its arguments, one by one; there is no shell"`
	Stdin   string   `json:"stdin,omitempty"`
}

// execResult is what a command did.
type execResult struct {
	ExitCode int    `json:"exit_code"` // -1 when a signal ended it
	Stdout   string `json:"stdout"`
	Stderr   string `json:"stderr"`
	Cut      bool   `json:"cut,omitempty"` // the outputs were longer
}

// Exec is the tool run_command: it runs a program in the workspace, without a
// shell. What the program does there and elsewhere is not confined. When its time is over, it and the processes that it has started are
// killed, and when it ends by itself, those that it leaves behind, where the system can and they have not left its group.
func (w *Workspace) Exec(opts *ExecOptions) Tool {
	var o ExecOptions
	if opts != nil {
		o = *opts
	}
	if o.Env == nil {
		o.Env = []string{"PATH=" + os.Getenv("PATH")}
	}
	if o.MaxOutput <= 0 {
		o.MaxOutput = 1 << 20
	}
	t := Func("run_command", "Runs a program in the workspace, without a shell, and returns its exit code and outputs.", Once,
		func(context.Context, execArgs) (execResult, error) { return execResult{}, nil })
	t.Source.Kind = "builtin"
	t.Annotations = &bide.ToolAnnotations{Destructive: true, OpenWorld: true}
	t.Run = func(ctx context.Context, req *Request) (Reply, error) {
		var args execArgs
		if err := json.Unmarshal(req.Args, &args); err != nil {
			return Reply{}, err
		}
		if err := req.Keep(ctx, "request", req.Args); err != nil {
			return Reply{}, err
		}
		res, err := w.exec(ctx, args, &o)
		raw, merr := json.Marshal(res)
		// The command has run: what is lost of its evidence is marked there.
		lost := req.Keep(ctx, "response", raw)
		if err = errors.Join(err, merr); err != nil {
			return Reply{}, errors.Join(err, lost)
		}
		return Reply{Content: res, IsError: res.ExitCode != 0}, nil
	}
	return t
}

func (w *Workspace) exec(ctx context.Context, args execArgs, o *ExecOptions) (execResult, error) {
	if len(args.Command) == 0 || o.Commands != nil && !slices.Contains(o.Commands, args.Command[0]) {
		return execResult{}, fmt.Errorf("the command is empty or not one of %q", o.Commands)
	}
	stdout, stderr := capped{max: o.MaxOutput}, capped{max: o.MaxOutput}
	cmd := exec.CommandContext(ctx, args.Command[0], args.Command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = w.root.Name(), o.Env, strings.NewReader(args.Stdin), &stdout, &stderr
	cmd.WaitDelay = time.Second
	endGroup := ownGroup(cmd)
	err := cmd.Run()
	endGroup() // what it has left behind
	res := execResult{ExitCode: -1, Stdout: stdout.text(), Stderr: stderr.text(), Cut: stdout.cut || stderr.cut}
	if cmd.ProcessState != nil {
		res.ExitCode = cmd.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return res, fmt.Errorf("the command was killed: %w", context.Cause(ctx))
	case errors.As(err, &exit), errors.Is(err, exec.ErrWaitDelay):
		return res, nil
	}
	return res, err
}

// capped keeps the first bytes of what is written to it.
type capped struct {
	buf bytes.Buffer
	max int
	cut bool
}

// Write implements io.Writer; it takes everything.
func (c *capped) Write(p []byte) (int, error) {
	room := min(c.max-c.buf.Len(), len(p))
	c.cut = c.cut || room < len(p)
	c.buf.Write(p[:room])
	return len(p), nil
}

func (c *capped) text() string { return strings.ToValidUTF8(c.buf.String(), "\uFFFD") }
