package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
)

// The exit codes, as in `bide help exit-codes`.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitRunFailed   = 5
	exitWaiting     = 6
	exitTimedOut    = 7
	exitIntegrity   = 8
	exitInterrupted = 130
)

const exitCodesHelp = `bide ends with one of these codes:

  0    ok
  1    error: something else went wrong; the message says what
  2    usage: a flag, an argument, a search, the configuration or an answer that cannot be used; nothing was changed
  3    not found: no such run, wait, schedule, flow or file
  4    conflict: answered before, ended already, a key or a file that is taken
  5    the run failed or was cancelled (run); a flow did not pass its cases (flow test)
  6    the run waits for somebody, and there is no terminal to ask at (run)
  7    the time given by --wait was over; the run goes on (run)
  8    integrity: a ledger or file does not verify, or a replay decides otherwise (verify, inspect, import, replay, migrate)
  130  interrupted with Ctrl-C; the run can go on (run, tail)
`

// problem is an error for a person: what went wrong, why, and what to do next.
type problem struct {
	code int
	what string
	why  string // may be empty
	next string // a command; may be empty
	err  error  // may be nil
}

func (p *problem) Error() string {
	if p.why == "" {
		return p.what
	}
	return p.what + ": " + p.why
}

func (p *problem) Unwrap() error { return p.err }

func usage(next, format string, args ...any) error {
	return &problem{code: exitUsage, what: fmt.Sprintf(format, args...), next: next}
}

// codes maps the kernel's codes to exit codes; what is not in it is exitError.
func exitOf(code bide.Code) int {
	switch code {
	case bide.CodeNotFound, bide.CodeUnknownWorkflow, bide.CodeShredded:
		return exitNotFound
	case bide.CodeExists, bide.CodeConflict, bide.CodeFenced, bide.CodeKeyReused, bide.CodeCommandReused,
		bide.CodeAlreadyDecided, bide.CodeExpired, bide.CodeArgsChanged, bide.CodeWrongStatus:
		return exitConflict
	case bide.CodeInvalidAnswer, bide.CodeInvalidInput:
		return exitUsage
	case bide.CodeCorrupt, bide.CodeDiverged:
		return exitIntegrity
	}
	return exitError
}

// explain makes a problem of any error.
func explain(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	if errors.Is(err, context.Canceled) {
		return &problem{code: exitInterrupted, what: "interrupted", err: err}
	}
	var e *bide.Error
	if !errors.As(err, &e) {
		if errors.Is(err, fs.ErrNotExist) {
			return &problem{code: exitNotFound, what: err.Error(), err: err}
		}
		next := ""
		if errors.Is(err, syscall.ECONNREFUSED) {
			next = "bide dev or bide serve, where the store is; --server says where they are"
		}
		return &problem{code: exitError, what: err.Error(), next: next, err: err}
	}
	p = &problem{code: exitOf(e.Code), what: e.Message, err: err, next: nextFor(e)}
	if p.what == "" {
		p.what = strings.ReplaceAll(string(e.Code), "_", " ")
	}
	var why []string
	for _, f := range e.Faults {
		why = append(why, f.String())
	}
	if e.Err != nil {
		why = append(why, e.Err.Error())
	}
	p.why = strings.Join(why, "\n")
	return p
}

// nextFor is the command that gets a person on after an error of the kernel.
func nextFor(e *bide.Error) string {
	run := e.Run
	if run == "" && e.Wait != "" {
		run, _ = bide.WaitRun(e.Wait)
	}
	switch e.Code {
	case bide.CodeNotFound:
		return "bide ls"
	case bide.CodeUnknownWorkflow, bide.CodeSealed:
		return "bide doctor"
	case bide.CodeInvalidWorkflow:
		return "bide flow lint FILE"
	case api.CodeUnauthenticated:
		return "BIDE_TOKEN=TOKEN; bide token create NAME --role ROLE, where the store is, makes one"
	case bide.CodeStoreLocked, bide.CodeStoreReadOnly, bide.CodeStoreFull, bide.CodeStoreTooNew, bide.CodeStoreForeign, bide.CodeStoreUnavailable:
		return "bide doctor"
	}
	if run == "" {
		return ""
	}
	switch e.Code {
	case bide.CodeAlreadyDecided, bide.CodeExpired, bide.CodeExists, bide.CodeKeyReused, bide.CodeCommandReused:
		return "bide show " + run
	case bide.CodeWrongStatus, bide.CodeInvalidAnswer, bide.CodeArgsChanged, bide.CodeForbidden:
		return "bide why " + run
	case bide.CodeCorrupt:
		return "bide verify " + run
	}
	return ""
}

// elsewhere is err; when something was not there, with the command that lists what is.
func elsewhere(err error, next string) error {
	if !errors.Is(err, bide.ErrNotFound) {
		return err
	}
	p := *explain(err)
	p.next = next
	return &p
}

// complain writes a problem for a person.
func complain(w io.Writer, p *problem) {
	fmt.Fprintln(w, "bide:", visible(p.what))
	for line := range strings.Lines(p.why) {
		fmt.Fprintln(w, "  "+visible(strings.TrimRight(line, "\n")))
	}
	if p.next != "" {
		fmt.Fprintln(w, "  try: "+visible(p.next))
	}
}
