package llm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bide-dev/bide"
)

// Type is the type of the effect that asks a model.
const Type = "LLM_CALL"

// How a call is tried, unless its effect says otherwise (Effect.WithRetry, Effect.WithAttemptTimeout).
const (
	CallAttempts = 5
	CallTimeout  = 10 * time.Minute // of one attempt
)

// call is the payload of the effect: a request, and where the rest of it is.
type call struct {
	Request
	From *source `json:"from,omitempty"`
}

// source says where in the run's vars a request has its base and its messages, and what they were when it was planned.
type source struct {
	Request  string `json:"request,omitempty"`
	Messages string `json:"messages,omitempty"`
	First    int    `json:"first,omitempty"`
	Count    int    `json:"count,omitempty"`
	SHA256   string `json:"sha256"`
}

// Call asks a model; the effect's result is a Response. What may pass is tried up to CallAttempts times.
func Call(req Request) bide.Effect { return effect(call{Request: req}) }

func effect(c call) bide.Effect {
	return bide.Call(Type, c).WithRetry(bide.RetryPolicy{Attempts: CallAttempts}).WithAttemptTimeout(CallTimeout)
}

// From says where in the vars of a run the larger part of a request is (K4). Empty fields refer to nothing.
type From struct {
	// Request is the path of a Request. Its fields count where the call's own are empty.
	Request string
	// Messages is the path of a list of messages. They follow Request.Messages of the call.
	Messages string
	// First is the index of the first of them that is sent; what is before it is left out.
	First int
}

// CallFrom is Call for a conversation that is in the vars of a run: the payload refers to its messages
// by path, number and hash instead of holding them. Append the result to the messages, and each is stored once:
//
//	call, err := llm.CallFrom(run, llm.Request{Model: model}, llm.From{Messages: "messages"})
//	return bide.Do(call.AppendTo("messages")).Then("next"), err
//
// It means what is in run.Vars when the node is called, not what the same plan writes. The
// messages may grow before the call is made. Should they change, the call fails with CodeConversation.
//
// It fails when a path is malformed or leads to something else.
func CallFrom(run *bide.Run, req Request, from From) (bide.Effect, error) {
	src := source{Request: from.Request, Messages: from.Messages, First: from.First}
	base, messages, err := src.read(run.Vars)
	if err != nil {
		return bide.Effect{}, fmt.Errorf("a call from vars: %w", err)
	}
	if src.Count = len(messages); src.First < 0 || src.First > src.Count {
		return bide.Effect{}, fmt.Errorf("a call from vars: %q has %d messages; the first to send cannot be number %d", src.Messages, src.Count, src.First)
	}
	if src.SHA256, err = hash(run.Vars, base, messages[src.First:]); err != nil {
		return bide.Effect{}, fmt.Errorf("a call from vars: %w", err)
	}
	return effect(call{Request: req, From: &src}), nil
}

// read returns the texts that the source refers to; all messages there are.
func (s *source) read(vars bide.Vars) (base bide.JSON, messages []bide.JSON, err error) {
	if s.Request != "" {
		raw, ok, err := vars.Raw(s.Request)
		if err != nil {
			return nil, nil, err
		}
		if !ok || len(raw) == 0 || raw[0] != '{' {
			return nil, nil, fmt.Errorf("there is no request at %q", s.Request)
		}
		base = raw
	}
	if s.Messages == "" {
		return base, nil, nil
	}
	if messages, err = vars.Items(s.Messages); err == nil && len(messages) == 0 {
		err = fmt.Errorf("there are no messages at %q", s.Messages)
	}
	return base, messages, err
}

// hash is over the base, the messages that are sent, and the results that they refer to.
func hash(vars bide.Vars, base bide.JSON, messages []bide.JSON) (string, error) {
	h := sha256.New()
	add := func(text bide.JSON) {
		h.Write(text)
		h.Write([]byte{'\n'}) // which is in no compact JSON
	}
	add(base)
	for _, text := range messages {
		add(text)
		if !bytes.Contains(text, []byte(`"from":`)) {
			continue
		}
		m, err := readMessage(vars, text)
		if err != nil {
			return "", err
		}
		for _, p := range m.Parts {
			add(p.Result)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// readMessage reads a message of a conversation in vars, with the results that it refers to in their places.
func readMessage(vars bide.Vars, text bide.JSON) (m Message, err error) {
	if err := json.Unmarshal(text, &m); err != nil {
		return m, err
	}
	for i := range m.Parts {
		p := &m.Parts[i]
		if p.From == "" {
			continue
		}
		raw, ok, err := vars.Raw(p.From)
		if err != nil || !ok {
			return m, fmt.Errorf("there is no result at %q", p.From)
		}
		p.Result, p.From = raw, ""
	}
	return m, nil
}

// Messages reads the conversation at path in vars, with the results that its parts refer to (Part.From) in their places.
func Messages(vars bide.Vars, path string) ([]Message, error) {
	texts, err := vars.Items(path)
	if err != nil {
		return nil, err
	}
	messages := make([]Message, len(texts))
	for i, text := range texts {
		if messages[i], err = readMessage(vars, text); err != nil {
			return nil, fmt.Errorf("%s.%d is not a message: %w", path, i, err)
		}
	}
	return messages, nil
}

// resolve puts together the request of a payload and the run's vars.
func (c *call) resolve(vars bide.Vars) (Request, error) {
	src := c.From
	if src == nil {
		return c.Request, nil
	}
	base, messages, err := src.read(vars)
	if err != nil {
		return Request{}, Errorf(CodeConversation, "%w", err)
	}
	if src.First < 0 || src.First > src.Count || src.Count > len(messages) {
		return Request{}, Errorf(CodeConversation, "there are %d messages at %q in the vars; %d to %d were planned to be sent", len(messages), src.Messages, src.First, src.Count)
	}
	if sum, err := hash(vars, base, messages[src.First:src.Count]); err != nil || sum != src.SHA256 {
		return Request{}, Errorf(CodeConversation, "what is at %q and %q in the vars is not what it was when the call was planned", src.Request, src.Messages)
	}
	req, err := overlay(base, c.Request)
	if err != nil {
		return Request{}, Errorf(CodeInvalidRequest, "the request at %q: %w", src.Request, err)
	}
	for i, raw := range messages[src.First:src.Count] {
		m, err := readMessage(vars, raw)
		if err != nil {
			return Request{}, Errorf(CodeInvalidRequest, "%s.%d is not a message: %w", src.Messages, src.First+i, err)
		}
		req.Messages = append(req.Messages, m)
	}
	return req, nil
}

// overlay is base with the fields that own has in place of its own.
func overlay(base bide.JSON, own Request) (req Request, err error) {
	if base == nil {
		return own, nil
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(base, &fields); err != nil {
		return req, err
	}
	raw, err := json.Marshal(own)
	if err != nil {
		return req, err
	}
	if err := json.Unmarshal(raw, &fields); err != nil {
		return req, err
	}
	if raw, err = json.Marshal(fields); err != nil {
		return req, err
	}
	err = strict(raw, &req)
	return req, err
}

// strict reads JSON whose fields must all be known.
func strict(raw bide.JSON, v any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

// Handle is the bide.Handler for Type.
func (m *Models) Handle(ctx context.Context, inv *bide.Invocation) (bide.Outcome, error) {
	var c call
	if err := strict(inv.Payload, &c); err != nil {
		return bide.Outcome{}, failure(Errorf(CodeInvalidRequest, "the payload is not a request: %w", err))
	}
	req, err := c.resolve(inv.Vars)
	if err != nil {
		return bide.Outcome{}, failure(err)
	}
	if inv.Last != nil && inv.Last.Code == string(CodeInvalidOutput) {
		req.Messages = append(req.Messages, User("Your last answer could not be used. "+inv.Last.Message+"\n\nAnswer again, with JSON alone that fits."))
	}
	emit, end := m.deltas.follow(Attempt{Run: inv.Run, Step: inv.Step, Effect: inv.Effect, Attempt: inv.Attempt})
	outcome := Errorf(CodeProtocol, "the provider panicked") // unless it returns
	defer func() { end(outcome) }()
	resp, err := m.generate(ctx, req, inv.Key, func(d Delta) { emit(m.secrets.cleanDelta(d)) })
	outcome = nil
	errors.As(err, &outcome)
	if resp == nil {
		return bide.Outcome{}, failure(err)
	}
	raw, encErr := m.secrets.clean(resp)
	if encErr != nil {
		return bide.Outcome{}, failure(Errorf(CodeProtocol, "the response is not JSON: %w", encErr))
	}
	if err != nil {
		return bide.Completed(raw), failure(err)
	}
	return bide.Completed(raw), nil
}

// failure says to the kernel what an error means for the attempt.
func failure(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return bide.Permanent(err)
	}
	if e.Code == CodeCancelled {
		return err // the kernel knows why it ended the context
	}
	f := &bide.Failure{Code: string(e.Code), Message: e.Error(), Permanent: !e.Again()}
	if e.RetryAfter > 0 && e.Again() {
		return bide.RetryAfter(f, time.Duration(e.RetryAfter))
	}
	return f
}
