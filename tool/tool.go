package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/bide-dev/bide"
)

// Tool is something that a model can call. New copies it.
type Tool struct {
	// Name is what the model calls it by: letters, digits, _ and -, at most 64.
	Name        string
	Description string
	// Schema is the JSON Schema of the arguments, which are an object. Nil allows any object.
	Schema bide.JSON
	// Safety says what a second call does. Defaults to Once.
	Safety Safety
	// Annotations are what the tool says about itself. Nil follows from Safety.
	Annotations *bide.ToolAnnotations
	// Source says where it comes from. Kind defaults to "function"; SHA256 is computed by New.
	Source bide.ToolSource
	// Outside marks a tool that crosses the boundary of the process: what was asked and
	// what came back is kept as evidence, and a timeout may leave the other side at work.
	Outside bool
	// Timeout bounds one call. Defaults to 1m.
	Timeout time.Duration
	// AtOnce is how many calls run at the same time in this process. Zero does not bound.
	AtOnce int
	// MaxResult is how many bytes of a result go back to the model. Defaults to 64 KiB.
	MaxResult int
	// Retry makes calls that failed with a Transient error again, if Safety allows it. Nil means no.
	Retry *bide.RetryPolicy
	// Run carries out a call. It should return when ctx ends. An error becomes a
	// result that tells the model about it.
	Run func(ctx context.Context, req *Request) (Reply, error)

	places chan struct{} // those of AtOnce
}

// Safety says what happens when a call is made a second time, and so what a
// crash in the middle of one leads to.
type Safety string

// The safeties.
const (
	Once       Safety = ""           // it happens twice: after a crash a person says what happened
	Idempotent Safety = "idempotent" // the same arguments and key change nothing more: it is made again
	ReadOnly   Safety = "read_only"  // it changes nothing: it is made again
)

// Request is one call, as a tool sees it.
type Request struct {
	// Args fit the tool's schema.
	Args bide.JSON
	// Key is the idempotency key: the same on every attempt.
	Key string
	// Answered are the answers to the waits that the tool opened in earlier attempts of this call, oldest first.
	Answered []bide.Answered

	evidence *recorder
}

// Reply is what a tool returns.
type Reply struct {
	// Content is any value that can be written as JSON; a string is shown to the model as text.
	Content any
	// IsError tells the model that the call did not do what was asked.
	IsError bool
	// Wait, when not nil, leaves the call open: the tool is called again with the
	// answer, in another process if need be (Request.Answered).
	Wait *bide.Wait
}

// Transient marks an error that another attempt may mend (Tool.Retry).
func Transient(err error) error { return transientError{err} }

type transientError struct{ error }

func (e transientError) Unwrap() error { return e.error }

// Func is a tool made of a Go function; the schema of its arguments is that of
// In, a struct whose json tags name them and whose jsonschema tags describe them. It panics
// when In has no schema.
func Func[In, Out any](name, description string, safety Safety, fn func(ctx context.Context, in In) (Out, error)) Tool {
	schema, err := jsonschema.For[In](nil)
	if err != nil {
		panic(fmt.Sprintf("tool: %q cannot take a %T: %v", name, *new(In), err))
	}
	raw, err := json.Marshal(schema)
	if err != nil {
		panic(fmt.Sprintf("tool: %q: %v", name, err))
	}
	return Tool{Name: name, Description: description, Schema: raw, Safety: safety, Run: func(ctx context.Context, req *Request) (Reply, error) {
		var in In
		if err := json.Unmarshal(req.Args, &in); err != nil {
			return Reply{}, err
		}
		out, err := fn(ctx, in)
		return Reply{Content: out}, err
	}}
}

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// complete fills in defaults and says what is wrong with a tool.
func (t *Tool) complete() error {
	switch {
	case !nameForm.MatchString(t.Name):
		return fmt.Errorf("tool %q: a name has letters, digits, _ and -, at most 64", t.Name)
	case t.Run == nil:
		return fmt.Errorf("tool %q has no Run", t.Name)
	case t.Safety != Once && t.Safety != Idempotent && t.Safety != ReadOnly:
		return fmt.Errorf("tool %q: safety %q is not empty, %q or %q", t.Name, t.Safety, Idempotent, ReadOnly)
	case t.Timeout < 0 || t.AtOnce < 0 || t.MaxResult < 0:
		return fmt.Errorf("tool %q: a limit is negative", t.Name)
	}
	if t.Schema == nil {
		t.Schema = bide.JSON(`{"type":"object"}`)
	}
	if faults := bide.CheckSchema(bide.JSON(`{"type":"object","properties":{"type":{"const":"object"}},"required":["type"]}`), t.Schema); len(faults) > 0 {
		return fmt.Errorf("tool %q: the schema is not that of an object: %s", t.Name, faults[0])
	}
	if t.Annotations == nil {
		t.Annotations = &bide.ToolAnnotations{ReadOnly: t.Safety == ReadOnly, Destructive: t.Safety != ReadOnly,
			Idempotent: t.Safety != Once, OpenWorld: t.Outside}
	}
	if t.Source.Kind == "" {
		t.Source.Kind = "function"
	}
	if t.Timeout == 0 {
		t.Timeout = time.Minute
	}
	if t.MaxResult == 0 {
		t.MaxResult = 64 << 10
	}
	if t.AtOnce > 0 {
		t.places = make(chan struct{}, t.AtOnce)
	}
	sum, err := definition(t)
	t.Source.SHA256 = sum
	return err
}

// definition is the hash over what a person is shown of a tool: a grant counts as long as it stays the same.
func definition(t *Tool) (string, error) {
	raw, err := json.Marshal(struct {
		Description string               `json:"description"`
		Schema      bide.JSON            `json:"schema"`
		Kind        string               `json:"kind"`
		Server      string               `json:"server"`
		Safety      Safety               `json:"safety"`
		Annotations bide.ToolAnnotations `json:"annotations"`
	}{t.Description, t.Schema, t.Source.Kind, t.Source.Server, t.Safety, *t.Annotations})
	if err != nil {
		return "", fmt.Errorf("tool %q: %w", t.Name, err)
	}
	return bide.ArgsSHA256(t.Name, raw)
}
