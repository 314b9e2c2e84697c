package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/problem"
)

// Style is the way in which requests to a hook are signed.
type Style = api.Style

// The styles.
const (
	Standard = api.StyleStandard
	GitHub   = api.StyleGitHub
	Stripe   = api.StyleStripe
)

var styles = map[Style]func(h http.Header, secrets []string, now time.Time, body []byte) (id string, err error){
	Standard: Verify, GitHub: verifyGitHub, Stripe: verifyStripe,
}

// HookSpec says what becomes of requests to a hook.
type HookSpec = api.HookSpec

// Hook is a hook as it is kept; its secret is not shown.
type Hook = api.Hook

const (
	hookKind    = "hook"
	maxBody     = 1 << 20
	leastSecret = 16
)

// CreateHook makes a hook of a principal's namespace and returns its secret. Requests to it are POST /hooks/{id}. It fails with
// ErrInvalidInput, listing every fault, when the spec cannot be used, and with ErrForbidden when it is for a
// workflow or for all, and the namespace is not the default one.
func (h *Hooks) CreateHook(ctx context.Context, p *auth.Principal, spec HookSpec) (text string, hook Hook, err error) {
	if spec.Secret == "" {
		spec.Secret = NewSecret()
	}
	if err := checkHook(p, &spec); err != nil {
		return "", hook, err
	}
	switch spec.Scope {
	case bide.ScopeSession:
		spec.ScopeID = p.Scoped(spec.ScopeID)
	case bide.ScopeRun:
		if ok, err := h.trees.SeesRun(ctx, p, spec.ScopeID); !ok || err != nil {
			return "", hook, errors.Join(err, bide.Errorf(bide.CodeNotFound, "there is no run %q", spec.ScopeID))
		}
	}
	hook = Hook{ID: newID(), HookSpec: spec, Namespace: p.Namespace, CreatedAt: h.now(), CreatedBy: p.Actor}
	if err := h.put(ctx, hookKind, hook.ID, 0, hook); err != nil {
		return "", Hook{}, fmt.Errorf("keep hook: %w", err)
	}
	return spec.Secret, shown(p, hook), nil
}

func checkHook(p *auth.Principal, spec *HookSpec) error {
	var faults []bide.Fault
	add := func(path, format string, args ...any) {
		faults = append(faults, bide.Fault{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if styles[spec.Style] == nil {
		add("/style", "%q is none of standard, github and stripe", spec.Style)
	}
	if k, err := key(spec.Secret); err != nil || len(k) < leastSecret {
		add("/secret", "has fewer than %d bytes, or cannot be read", leastSecret)
	}
	switch spec.Scope {
	case bide.ScopeRun, bide.ScopeSession, bide.ScopeWorkflow:
		if spec.ScopeID == "" {
			add("/scope_id", "is empty")
		}
	case bide.ScopeGlobal:
	default:
		add("/scope", "%q is none of run, session, workflow and global", spec.Scope)
	}
	if spec.Name == "" {
		add("/name", "is empty")
	}
	if len(faults) > 0 {
		return &bide.Error{Code: bide.CodeInvalidInput, Message: "the hook cannot be made", Faults: faults}
	}
	if (spec.Scope == bide.ScopeWorkflow || spec.Scope == bide.ScopeGlobal) && !p.Broadcast() {
		return bide.Errorf(bide.CodeForbidden, "events for a %s reach every namespace; only the default one can send them", spec.Scope)
	}
	return nil
}

// shown is a hook as its principal sees it.
func shown(p *auth.Principal, k Hook) Hook {
	k.Secret = ""
	if k.Scope == bide.ScopeSession {
		k.ScopeID, _ = p.Local(k.ScopeID)
	}
	return k
}

// ListHooks lists the hooks of a principal's namespace.
func (h *Hooks) ListHooks(ctx context.Context, p *auth.Principal) (out []Hook, err error) {
	all, err := list[Hook](ctx, h.store, hookKind)
	for _, k := range all {
		if k.Namespace == p.Namespace {
			out = append(out, shown(p, k))
		}
	}
	return out, err
}

// DeleteHook ends a hook. It fails with ErrNotFound when the principal's namespace has no such hook.
func (h *Hooks) DeleteHook(ctx context.Context, p *auth.Principal, id string) error {
	k, rev, err := find[Hook](ctx, h.store, hookKind, id)
	if err == nil && k.Namespace != p.Namespace {
		err = bide.Errorf(bide.CodeNotFound, "there is no hook %q", id)
	}
	if err != nil {
		return err
	}
	return h.store.DeleteDocument(ctx, hookKind, id, rev)
}

// Handler serves POST /hooks/{id}. Its requests carry no credentials but their signature. It answers 202 when the
// event is sent, also when it was before; 401 when the signature does not count or there is no such hook; 413 when the body
// has more than 1 MiB; 422 when it is not JSON, and as the runtime says when the event cannot be sent.
func (h *Hooks) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hooks/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := h.take(w, r)
		if err != nil {
			if problem.Of(err).Status >= http.StatusInternalServerError {
				h.opts.Logger.Error("a hook's event cannot be sent", "hook", r.PathValue("id"), "err", err)
			}
			problem.Write(w, err)
			return
		}
		problem.Reply(w, http.StatusAccepted, map[string]string{"event_id": id})
	})
	return mux
}

// take makes an event of a request and returns the event's id.
func (h *Hooks) take(w http.ResponseWriter, r *http.Request) (string, error) {
	body, err := problem.Body(w, r, maxBody)
	if err != nil {
		return "", err
	}
	k, _, err := find[Hook](r.Context(), h.store, hookKind, r.PathValue("id"))
	if errors.Is(err, bide.ErrNotFound) {
		return "", problem.New(api.CodeUnauthenticated, ErrSignature.Error())
	}
	if err != nil {
		return "", err
	}
	id, err := styles[k.Style](r.Header, []string{k.Secret}, h.now(), body)
	if err != nil {
		return "", problem.New(api.CodeUnauthenticated, ErrSignature.Error())
	}
	if !json.Valid(body) {
		return "", bide.Errorf(bide.CodeInvalidInput, "the body is not JSON")
	}
	id = k.ID + "/" + id
	return id, h.rt.Send(r.Context(), bide.Event{ID: id, Scope: k.Scope, ScopeID: k.ScopeID, Name: k.Name, Payload: bide.JSON(body), Keep: time.Duration(k.Keep)})
}
