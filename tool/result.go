package tool

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/bide-dev/bide"
)

// Result is what came of one call. That of a call which was not made has the
// members of a bide.NotCalled.
type Result struct {
	ToolCallID string `json:"tool_call_id"`
	Name       string `json:"name"`
	Status     string `json:"status"`
	// Content is what the tool returned, or why there is nothing, as text.
	Content bide.JSON `json:"content"`
	// Note tells the model what happened on the way: that a person changed the
	// arguments, that the content was cut off.
	Note string `json:"note,omitempty"`
	// Leave is how the call was let pass.
	Leave     *Leave `json:"leave,omitempty"`
	DecidedBy string `json:"decided_by,omitempty"`
	// Whole is where all of a content that was cut off is kept.
	Whole *Artifact `json:"whole,omitempty"`
	// Evidence is what was asked and what came back, for calls that went outside.
	Evidence []Artifact `json:"evidence,omitempty"`
}

// The statuses of a result.
const (
	StatusOK        = "ok"
	StatusError     = "error"  // the tool failed, or the call could not be made; Content says why
	StatusDenied    = "denied" // by a rule
	StatusRejected  = bide.CallRejected
	StatusResponded = bide.CallResponded
	StatusExpired   = bide.CallExpired
	StatusApproved  = "approved" // after PlanDecisions: the call may run, and has not yet
)

// IsError reports whether to tell the model that the call did not do what was asked.
func (r *Result) IsError() bool { return r.Status != StatusOK && r.Status != StatusResponded }

// Text is the result as a model reads it: the note, then the content, which is
// JSON unless it is a string.
func (r *Result) Text() string {
	text := string(r.Content)
	var s string
	if json.Unmarshal(r.Content, &s) == nil {
		text = s
	}
	if r.Note == "" {
		return text
	}
	return r.Note + "\n\n" + text
}

func (r *Result) fail(format string, args ...any) *Result {
	r.Status = StatusError
	return r.say(format, args...)
}

// say sets the content to a text.
func (r *Result) say(format string, args ...any) *Result {
	text, err := json.Marshal(fmt.Sprintf(format, args...))
	if err != nil { // a string is always JSON
		text = []byte(`""`)
	}
	r.Content = text
	return r
}

func (r *Result) note(format string, args ...any) {
	if r.Note != "" {
		r.Note += " "
	}
	r.Note += fmt.Sprintf(format, args...)
}

// limit cuts the content off at max bytes, and keeps the whole if it can.
func (r *Result) limit(ctx context.Context, max int, keep Artifacts) {
	if len(r.Content) <= max {
		return
	}
	whole := []byte(r.Content)
	var s string
	if json.Unmarshal(r.Content, &s) == nil {
		whole = []byte(s)
	}
	size := len(whole)
	cut := whole[:min(max, size)]
	for len(cut) > 0 && !utf8.Valid(cut) {
		cut = cut[:len(cut)-1]
	}
	r.say("%s", cut)
	r.note("The result has %d bytes; these are the first %d.", size, len(cut))
	if keep == nil {
		return
	}
	sum, n, err := keep.Put(ctx, bytes.NewReader(whole))
	if err != nil {
		r.note("The rest is lost: %v.", err)
		return
	}
	r.Whole = &Artifact{Name: "result", SHA256: sum, Bytes: n}
	r.note("The whole is artifact %s.", sum)
}
