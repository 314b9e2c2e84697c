package bide

import (
	"errors"
	"fmt"
	"strings"
)

// Code is the stable name of a kind of error. A code maps one to one to an HTTP
// problem type and to an exit code of the command line; its text never changes.
type Code string

// Codes of the errors that this package and its stores return.
const (
	CodeNotFound         Code = "not_found"
	CodeExists           Code = "exists"
	CodeConflict         Code = "conflict"
	CodeFenced           Code = "fenced"
	CodeKeyReused        Code = "key_reused"
	CodeCommandReused    Code = "command_reused"
	CodeAlreadyDecided   Code = "already_decided"
	CodeExpired          Code = "expired"
	CodeInvalidAnswer    Code = "invalid_answer"
	CodeArgsChanged      Code = "args_changed"
	CodeForbidden        Code = "forbidden"
	CodeInvalidInput     Code = "invalid_input"
	CodeInvalidWorkflow  Code = "invalid_workflow"
	CodeUnknownWorkflow  Code = "unknown_workflow"
	CodeWrongStatus      Code = "wrong_status"
	CodeDiverged         Code = "diverged"
	CodeCorrupt          Code = "corrupt"
	CodeSealed           Code = "sealed"
	CodeShredded         Code = "shredded"
	CodeStoreLocked      Code = "store_locked"
	CodeStoreReadOnly    Code = "store_read_only"
	CodeStoreFull        Code = "store_full"
	CodeStoreTooNew      Code = "store_too_new"
	CodeStoreForeign     Code = "store_foreign"
	CodeStoreClosed      Code = "store_closed"
	CodeStoreUnavailable Code = "store_unavailable"
)

// Sentinels for errors.Is. Every error with the same code matches.
var (
	// ErrNotFound is returned when the run, wait, command or record named does not exist.
	ErrNotFound = &Error{Code: CodeNotFound}
	// ErrExists is returned by Start when the chosen run id is taken by another start.
	ErrExists = &Error{Code: CodeExists}
	// ErrConflict is returned by Store.Commit when the run is not at the expected
	// position. The runtime reloads and tries again, so callers see it only when a
	// run changes without end under them.
	ErrConflict = &Error{Code: CodeConflict}
	// ErrFenced is returned by Store.Commit when the run was claimed by another
	// worker since: whoever made the commit must stop driving the run.
	ErrFenced = &Error{Code: CodeFenced}
	// ErrKeyReused is returned by Start when the key already names a run with another input.
	ErrKeyReused = &Error{Code: CodeKeyReused}
	// ErrCommandReused is returned when a command id was used before for something else.
	ErrCommandReused = &Error{Code: CodeCommandReused}
	// ErrAlreadyDecided is returned by Resume when the wait was resolved by a
	// different answer, by its deadline, or by the end of its step.
	ErrAlreadyDecided = &Error{Code: CodeAlreadyDecided}
	// ErrExpired is returned by Resume when the wait's deadline has passed.
	ErrExpired = &Error{Code: CodeExpired}
	// ErrInvalidAnswer is returned by Resume when the answer does not fit the
	// wait. Its Faults list every reason; the wait stays open.
	ErrInvalidAnswer = &Error{Code: CodeInvalidAnswer}
	// ErrArgsChanged is returned by Resume when a decision about a tool call is
	// about other arguments than those now proposed. Look at the wait again.
	ErrArgsChanged = &Error{Code: CodeArgsChanged}
	// ErrForbidden is returned by Resume when the actor is not among those who may answer the wait.
	ErrForbidden = &Error{Code: CodeForbidden}
	// ErrInvalidInput is returned when an argument of a verb cannot be used: not
	// JSON, too large, an id with characters that ids cannot have.
	ErrInvalidInput = &Error{Code: CodeInvalidInput}
	// ErrInvalidWorkflow is returned at registration; its Faults list every fault.
	ErrInvalidWorkflow = &Error{Code: CodeInvalidWorkflow}
	// ErrUnknownWorkflow is returned by Tick and Replay when the run's workflow
	// and version are not registered with this runtime. The run is left as it is.
	ErrUnknownWorkflow = &Error{Code: CodeUnknownWorkflow}
	// ErrWrongStatus is returned when the run's status does not allow the verb:
	// cancelling an ended run, retrying one that did not fail.
	ErrWrongStatus = &Error{Code: CodeWrongStatus}
	// ErrDiverged is returned by Migrate when the new code decides a recorded step otherwise.
	ErrDiverged = &Error{Code: CodeDiverged}
	// ErrCorrupt is returned when stored records do not form a valid chain or
	// cannot be read back, or the database file is damaged.
	ErrCorrupt = &Error{Code: CodeCorrupt}
	// ErrSealed is returned when what is stored is encrypted and the key to it is
	// missing or another one. The message names the key. Nothing is wrong with what is stored.
	ErrSealed = &Error{Code: CodeSealed}
	// ErrShredded is returned when what is asked for was destroyed on purpose, by Shred.
	ErrShredded = &Error{Code: CodeShredded}
	// ErrStoreLocked is returned when another process holds the store for longer
	// than the busy timeout.
	ErrStoreLocked = &Error{Code: CodeStoreLocked}
	// ErrStoreReadOnly is returned when a write reaches a store opened or mounted read-only.
	ErrStoreReadOnly = &Error{Code: CodeStoreReadOnly}
	// ErrStoreFull is returned when the disk or the store's quota is full. Nothing
	// that was acknowledged is lost.
	ErrStoreFull = &Error{Code: CodeStoreFull}
	// ErrStoreTooNew is returned on opening a store written by a newer bide.
	ErrStoreTooNew = &Error{Code: CodeStoreTooNew}
	// ErrStoreForeign is returned on opening something that is not a bide store.
	ErrStoreForeign = &Error{Code: CodeStoreForeign}
	// ErrStoreClosed is returned by every method of a store after Close.
	ErrStoreClosed = &Error{Code: CodeStoreClosed}
	// ErrStoreUnavailable is returned when the database of a store does not answer, or lets nobody in. It may pass by
	// itself. Whether what was asked for has happened is not known; a commit is sent again.
	ErrStoreUnavailable = &Error{Code: CodeStoreUnavailable}
)

// Error is the one structured error of the package's boundary.
type Error struct {
	Code    Code    `json:"code"`
	Message string  `json:"message"`
	Run     string  `json:"run_id,omitempty"`
	Wait    string  `json:"wait_id,omitempty"`
	Faults  []Fault `json:"faults,omitempty"`
	// Decision is who answered, when and what, for CodeAlreadyDecided.
	Decision *Decision `json:"decision,omitempty"`
	Err      error     `json:"-"`
}

// Fault is one thing wrong with a value: where, and what.
type Fault struct {
	Path    string `json:"path,omitempty"` // JSON pointer or name of the field; empty for the whole value
	Message string `json:"message"`
}

// String returns "path: message".
func (f Fault) String() string {
	if f.Path == "" {
		return f.Message
	}
	return f.Path + ": " + f.Message
}

// Error returns the message, the faults and the cause in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	if e.Message == "" {
		b.WriteString(strings.ReplaceAll(string(e.Code), "_", " "))
	}
	for i, f := range e.Faults {
		b.WriteString([]string{"; ", ": "}[btoi(i == 0)])
		b.WriteString(f.String())
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an Error with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errorf makes an Error; a %w verb sets its cause as well.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	if cause := errors.Unwrap(err); cause != nil {
		msg := strings.TrimSuffix(strings.TrimSuffix(err.Error(), cause.Error()), ": ")
		return &Error{Code: code, Message: msg, Err: cause}
	}
	return &Error{Code: code, Message: err.Error()}
}

func (e *Error) onRun(id string) *Error  { e.Run = id; return e }
func (e *Error) onWait(id string) *Error { e.Wait = id; return e }

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// CodeOf returns the code of an error, or nothing when it has none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
