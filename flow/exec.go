package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
)

// Bounds of exec steps.
const (
	maxExecBytes     = 64 << 20 // of output, at most
	defaultExecBytes = 1 << 20
)

// command is the payload of an exec step. Arguments, variables and input that are no text stand there as in a text.
type command struct {
	Command  []any          `json:"command"`
	Stdin    any            `json:"stdin"`
	Env      map[string]any `json:"env"`
	Dir      string         `json:"dir"`
	Accept   []int          `json:"accept"`
	MaxBytes int            `json:"max_bytes"`
}

// ExecResult is the result of an exec step.
type ExecResult struct {
	ExitCode int    `json:"exit_code"`
	Stdout   string `json:"stdout"`
	Stderr   string `json:"stderr,omitempty"`
}

// exec starts a program without a shell, in an environment that has PATH and what the step gives. An exit code other
// than 0 that the step does not accept is a failure with code "exec_failed".
func (o *Handlers) exec(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
	u, err := o.unseal(ctx, call.Payload)
	if err != nil {
		return bide.Outcome{}, err
	}
	var in command
	dec := json.NewDecoder(bytes.NewReader(u.payload))
	dec.UseNumber()
	if err := dec.Decode(&in); err != nil {
		return bide.Outcome{}, bide.Permanent(u.failure(err))
	}
	words := make([]string, len(in.Command))
	for i, word := range in.Command {
		words[i] = plain(word)
	}
	if len(words) == 0 || words[0] == "" {
		return bide.Outcome{}, bide.Permanent(errors.New("the command is empty"))
	}
	program := words[0]
	if !slices.Contains(o.AllowExec, "*") && !slices.Contains(o.AllowExec, program) {
		return bide.Outcome{}, &bide.Failure{Code: "exec_not_allowed", Permanent: true,
			Message: fmt.Sprintf("the program %q is not allowed here; exec steps may start %q", program, o.AllowExec)}
	}
	ctx, cancel := o.within(ctx, call)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, words[1:]...)
	if in.Dir != "" {
		cmd.Dir = filepath.Clean(in.Dir)
	}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "BIDE_IDEMPOTENCY_KEY=" + call.Key}
	for _, name := range sortedNames(in.Env) {
		cmd.Env = append(cmd.Env, name+"="+plain(in.Env[name]))
	}
	cmd.Stdin = strings.NewReader(plain(in.Stdin))
	limit := in.MaxBytes
	if limit <= 0 {
		limit = defaultExecBytes
	}
	stdout, stderr := &bounded{limit: limit}, &bounded{limit: limit}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err = cmd.Run()
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return bide.Outcome{}, u.failure(late(ctx, fmt.Errorf("%s: %w", program, cause)))
	}
	if stdout.over || stderr.over {
		return bide.Outcome{}, &bide.Failure{Code: "exec_too_large", Permanent: true, Message: fmt.Sprintf("%s wrote more than %d bytes; raise max_bytes if that is meant", program, limit)}
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return bide.Outcome{}, u.failure(fmt.Errorf("start %s: %w", program, err))
	}
	out := ExecResult{ExitCode: cmd.ProcessState.ExitCode(), Stdout: u.scrub(stdout.text()), Stderr: u.scrub(stderr.text())}
	o.Logger.Info("exec", "run", call.Run, "node", call.Node, "program", program, "exit_code", out.ExitCode)
	if out.ExitCode != 0 && !slices.Contains(in.Accept, out.ExitCode) {
		return bide.Outcome{}, &bide.Failure{Code: "exec_failed", Message: strings.TrimSpace(fmt.Sprintf("%s ended with exit code %d: %s", program, out.ExitCode, shorten(out.Stderr)))}
	}
	return bide.Completed(out), nil
}

// bounded keeps what a program writes, up to a limit.
type bounded struct {
	data  []byte
	limit int
	over  bool
}

// Write implements io.Writer. Beyond the limit it fails, which ends the program.
func (b *bounded) Write(p []byte) (int, error) {
	if len(b.data)+len(p) > b.limit {
		b.over = true
		return 0, errors.New("too much output")
	}
	b.data = append(b.data, p...)
	return len(p), nil
}

func (b *bounded) text() string { return strings.ToValidUTF8(string(b.data), "\uFFFD") }
