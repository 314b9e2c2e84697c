package flow

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bide-dev/bide"
)

// Secrets looks up secrets by name, when an effect runs. It fails when there is none of that name.
type Secrets interface {
	Secret(ctx context.Context, name string) (string, error)
}

// Handlers refines Handle. Nil means the defaults.
type Handlers struct {
	// Env looks up a setting. Defaults to none set, so that those without a default fail the run.
	Env func(name string) (value string, ok bool)
	// Secrets looks up secrets. Defaults to none known.
	Secrets Secrets
	// HTTP sends requests. Its Transport is used as it is, without the guard. Defaults to a client that reaches public addresses only.
	HTTP *http.Client
	// AllowAddresses are networks that http steps may reach although they are not public, such as 127.0.0.0/8. Defaults to none.
	AllowAddresses []netip.Prefix
	// Timeout bounds one http request or program when the step does not. Defaults to 30s.
	Timeout time.Duration
	// AllowExec names the programs that exec steps may start, "*" for any. Defaults to none.
	AllowExec []string
	// Script bounds scripts. Defaults to the limits that ScriptLimits names.
	Script ScriptLimits
	// Logger receives what handlers do, without payloads. Defaults to none.
	Logger *slog.Logger
}

// Handle registers the handlers of http, exec, script, emit and env steps. Those of llm and tool steps
// are llm.Models and tool.Set; agent steps need an agent.Agent with the ID AgentWorkflow. It panics when one is registered already.
func Handle(rt *bide.Runtime, h *Handlers) {
	all := h.ByType(rt)
	for _, typ := range sortedNames(all) {
		rt.Handle(typ, all[typ])
	}
}

// ByType returns the handlers that Handle registers, by the type of their effects.
func (o *Handlers) ByType(rt *bide.Runtime) map[string]bide.Handler {
	o = cmp.Or(o, &Handlers{})
	full := *o
	o = &full
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Env == nil {
		o.Env = func(string) (string, bool) { return "", false }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.HTTP == nil {
		o.HTTP = guardedClient(o.AllowAddresses)
	}
	o.Script = o.Script.withDefaults()
	return map[string]bide.Handler{TypeEnv: o.env, TypeHTTP: o.http, TypeExec: o.exec, TypeScript: o.script, TypeEmit: emitter(rt)}
}

// within bounds a call whose step has no timeout.
func (o *Handlers) within(ctx context.Context, call *bide.Invocation) (context.Context, context.CancelFunc) {
	if !call.Deadline.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, o.Timeout, &bide.Failure{Code: bide.FailureTimeout,
		Message: fmt.Sprintf("%s took longer than %s; give the step a timeout if it may take longer", call.Type, o.Timeout)})
}

// late is err, or that the time of within was over.
func late(ctx context.Context, err error) error {
	var f *bide.Failure
	if errors.As(context.Cause(ctx), &f) {
		return f
	}
	return err
}

// env answers what a document asks of its settings.
func (o *Handlers) env(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
	var vars []EnvVar
	if err := json.Unmarshal(call.Payload, &vars); err != nil {
		return bide.Outcome{}, bide.Permanent(err)
	}
	out, missing := map[string]string{}, []string{}
	for _, v := range vars {
		value, ok := o.Env(v.Name)
		switch {
		case ok:
			out[v.Name] = value
		case v.Default != nil:
			out[v.Name] = *v.Default
		default:
			missing = append(missing, v.Name)
		}
	}
	if len(missing) > 0 {
		return bide.Outcome{}, &bide.Failure{Code: "env_missing", Permanent: true, Message: fmt.Sprintf("the settings %q of flow %s have no value", missing, call.Workflow)}
	}
	return bide.Completed(out), nil
}

// emitter sends events; the key of the effect makes sending idempotent.
func emitter(rt *bide.Runtime) bide.Handler {
	type event struct {
		Name    string          `json:"name"`
		Scope   bide.Scope      `json:"scope"`
		To      string          `json:"to"`
		Payload json.RawMessage `json:"payload"`
	}
	return func(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
		var in event
		if err := json.Unmarshal(call.Payload, &in); err != nil {
			return bide.Outcome{}, bide.Permanent(err)
		}
		if in.To == "" {
			switch in.Scope {
			case bide.ScopeSession:
				in.To = call.Session
			case bide.ScopeWorkflow:
				in.To = call.Workflow
			case bide.ScopeRun, "":
				in.To = call.Run
			}
		}
		e := bide.Event{ID: call.Key, Scope: in.Scope, ScopeID: in.To, Name: in.Name, Payload: in.Payload}
		err := rt.Send(ctx, e)
		if errors.Is(err, bide.ErrInvalidInput) || errors.Is(err, bide.ErrNotFound) || errors.Is(err, bide.ErrWrongStatus) {
			err = &bide.Failure{Code: "not_sent", Permanent: true, Message: err.Error()}
		}
		return bide.Completed(map[string]string{"id": e.ID}), err
	}
}

// unsealed is a payload with its secrets in place.
type unsealed struct {
	payload json.RawMessage
	values  []string // of the secrets, longest first
}

// unseal looks up the secrets of a payload.
func (o *Handlers) unseal(ctx context.Context, payload json.RawMessage) (*unsealed, error) {
	var in struct {
		Secrets []secretAt `json:"secrets"`
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, bide.Permanent(err)
	}
	u := &unsealed{payload: payload}
	if len(in.Secrets) == 0 {
		return u, nil
	}
	doc, err := decode(payload)
	if err != nil {
		return nil, bide.Permanent(err)
	}
	for _, at := range in.Secrets {
		var b strings.Builder
		for _, p := range at.Parts {
			if p.Secret == "" {
				b.WriteString(p.Text)
				continue
			}
			if o.Secrets == nil {
				return nil, &bide.Failure{Code: "secret_missing", Permanent: true, Message: fmt.Sprintf("the secret %q is not known here: no secrets are configured", p.Secret)}
			}
			value, err := o.Secrets.Secret(ctx, p.Secret)
			if err != nil {
				return nil, fmt.Errorf("secret %q: %w", p.Secret, err)
			}
			b.WriteString(value)
			if value != "" {
				u.values = append(u.values, value)
			}
		}
		if !putAt(doc, at.At, b.String()) {
			return nil, bide.Permanent(fmt.Errorf("the payload has no place %s for a secret", at.At))
		}
	}
	slices.SortFunc(u.values, func(a, b string) int { return len(b) - len(a) })
	u.payload, err = encode(doc)
	return u, err
}

// putAt puts text where a JSON pointer leads.
func putAt(doc any, pointer, text string) bool {
	segs := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, seg := range segs {
		seg = strings.NewReplacer("~1", "/", "~0", "~").Replace(seg)
		last := i == len(segs)-1
		switch v := doc.(type) {
		case map[string]any:
			if last {
				v[seg] = text
				return true
			}
			doc = v[seg]
		case []any:
			k, err := strconv.Atoi(seg)
			if err != nil || k < 0 || k >= len(v) {
				return false
			}
			if last {
				v[k] = text
				return true
			}
			doc = v[k]
		default:
			return false
		}
	}
	return false
}

// scrub takes the values of secrets out of a text that goes into the ledger.
func (u *unsealed) scrub(s string) string {
	for _, v := range u.values {
		s = strings.ReplaceAll(s, v, "[secret]")
	}
	return s
}

// failure is an error without secrets in it.
func (u *unsealed) failure(err error) error {
	if err == nil || len(u.values) == 0 {
		return err
	}
	var f *bide.Failure
	if errors.As(err, &f) {
		c := *f
		c.Message = u.scrub(c.Message)
		return &c
	}
	return &scrubbed{text: u.scrub(err.Error()), err: err}
}

// scrubbed is an error with another text.
type scrubbed struct {
	text string
	err  error
}

func (e *scrubbed) Error() string { return e.text }
func (e *scrubbed) Unwrap() error { return e.err }
