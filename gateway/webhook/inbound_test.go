package webhook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/webhook"
	"github.com/bide-dev/bide/store/mem"
)

// inbox is hooks with a clock, and what a sender does.
type inbox struct {
	*bide.Runtime
	hooks *webhook.Hooks
}

func newInbox(t *testing.T) *inbox {
	store, clock := mem.New(), bidetest.NewClock(noon)
	rt := bide.Must(bide.New(store, &bide.Options{Clock: clock}))
	hooks, err := webhook.New(rt, store, &webhook.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	return &inbox{rt, hooks}
}

func (i *inbox) post(id string, header http.Header, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest("POST", "/hooks/"+id, strings.NewReader(body))
	req.Header = header
	rec := httptest.NewRecorder()
	i.hooks.Handler().ServeHTTP(rec, req)
	return rec
}

// signers sign a body as senders of each style do.
var signers = map[webhook.Style]func(secret, body string, at time.Time) http.Header{
	webhook.Standard: func(secret, body string, at time.Time) http.Header {
		h := http.Header{}
		if err := webhook.Sign(h, []string{secret}, fmt.Sprintf("msg_%x", body), at, []byte(body)); err != nil {
			panic(err)
		}
		return h
	},
	webhook.GitHub: func(secret, body string, _ time.Time) http.Header {
		return http.Header{"X-Hub-Signature-256": {"sha256=" + hexMAC(secret, body)}, "X-Github-Delivery": {"not signed"}}
	},
	webhook.Stripe: func(secret, body string, at time.Time) http.Header {
		return http.Header{"Stripe-Signature": {fmt.Sprintf("t=%d,v1=%s,v1=%s,v0=x", at.Unix(), strings.Repeat("00", 32), hexMAC(secret, fmt.Sprintf("%d.%s", at.Unix(), body)))}}
	},
}

func TestSignedRequestsBecomeEventsOnce(t *testing.T) {
	for style, sign := range signers {
		i := newInbox(t)
		run := bide.Must(i.Run(t.Context(), listen, nil, &bide.StartOptions{Session: acme.Scoped("repo-1"), Labels: map[string]string{auth.NamespaceLabel: "acme"}}))
		secret, hook, err := i.hooks.CreateHook(t.Context(), acme, webhook.HookSpec{Style: style, Secret: "a secret that is long enough", Scope: bide.ScopeSession, ScopeID: "repo-1", Name: "push"})
		if err != nil || hook.Secret != "" || hook.ScopeID != "repo-1" {
			t.Fatalf("%s: %+v, %v", style, hook, err)
		}
		for range 3 { // sent again and again
			if rec := i.post(hook.ID, sign(secret, `{"n":9007199254740993}`, noon), `{"n":9007199254740993}`); rec.Code != 202 {
				t.Fatalf("%s: %d %s", style, rec.Code, rec.Body)
			}
			run = bide.Must(i.Tick(t.Context(), run.ID))
		}
		if run.Status != bide.StatusWaiting || run.Node != "b" {
			t.Fatalf("%s: the run is %s at %q: a request that was sent again counts twice", style, run.Status, run.Node)
		}
		var first bide.ReceivedEvent
		if first, err = bide.Get[bide.ReceivedEvent](run.Vars, "e"); err != nil || string(first.Payload) != `{"n":9007199254740993}` {
			t.Errorf("%s: %+v, %v", style, first, err)
		}
		if rec := i.post(hook.ID, sign(secret, `{"n":2}`, noon), `{"n":2}`); rec.Code != 202 {
			t.Fatalf("%s: %d", style, rec.Code)
		}
		if run = bide.Must(i.Tick(t.Context(), run.ID)); string(run.Output) != `{"n":2}` {
			t.Errorf("%s: %s %s", style, run.Status, run.Output)
		}
	}
}

func TestRequestsToHooksAreRefused(t *testing.T) {
	for style, sign := range signers {
		i := newInbox(t)
		secret, hook, err := i.hooks.CreateHook(t.Context(), root, webhook.HookSpec{Style: style, Secret: "a secret that is long enough", Scope: bide.ScopeGlobal, Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		old := http.StatusUnauthorized
		if style == webhook.GitHub { // says nothing of the time
			old = http.StatusAccepted
		}
		large := `"` + strings.Repeat("x", 1<<20) + `"`
		for _, c := range []struct {
			name, id, body string
			header         http.Header
			status         int
		}{
			{"as it should be", hook.ID, `{}`, sign(secret, `{}`, noon), 202},
			{"another body", hook.ID, `{ }`, sign(secret, `{}`, noon), 401},
			{"another secret", hook.ID, `{}`, sign("another secret that is long", `{}`, noon), 401},
			{"no signature", hook.ID, `{}`, http.Header{}, 401},
			{"no such hook", "x", `{}`, sign(secret, `{}`, noon), 401},
			{"an id that cannot be", strings.Repeat("a", 300), `{}`, sign(secret, `{}`, noon), 401},
			{"another id that cannot be", "%00%ff", `{}`, sign(secret, `{}`, noon), 401},
			{"too old", hook.ID, `{}`, sign(secret, `{}`, noon.Add(-webhook.Tolerance-time.Second)), old},
			{"too early", hook.ID, `{}`, sign(secret, `{}`, noon.Add(webhook.Tolerance+time.Second)), old},
			{"too large", hook.ID, large, sign(secret, large, noon), 413},
			{"not JSON", hook.ID, `x=1`, sign(secret, `x=1`, noon), 422},
		} {
			rec := i.post(c.id, c.header, c.body)
			if rec.Code != c.status {
				t.Errorf("%s, %s: %d %s, want %d", style, c.name, rec.Code, rec.Body, c.status)
			}
			if c.status >= 400 && (rec.Header().Get("Content-Type") != "application/problem+json" || bytes.Contains(rec.Body.Bytes(), []byte(secret))) {
				t.Errorf("%s, %s: %v %s", style, c.name, rec.Header(), rec.Body)
			}
		}
	}
}

func TestHooksThatMakeNoSenseAreRefused(t *testing.T) {
	i := newInbox(t)
	_, _, err := i.hooks.CreateHook(t.Context(), acme, webhook.HookSpec{Style: "x", Secret: "short", Scope: "y"})
	var e *bide.Error
	if !errors.As(err, &e) || len(e.Faults) != 4 {
		t.Errorf("err = %v", err)
	}
	foreign := bide.Must(i.Start(t.Context(), listen, nil, &bide.StartOptions{Session: "s"}))
	for name, c := range map[string]struct {
		scope bide.Scope
		id    string
		want  error
	}{
		"to all":                         {bide.ScopeGlobal, "", bide.ErrForbidden},
		"to a workflow":                  {bide.ScopeWorkflow, "listen", bide.ErrForbidden},
		"to a run of another namespace":  {bide.ScopeRun, foreign.ID, bide.ErrNotFound},
		"to a run that there is not one": {bide.ScopeRun, "x", bide.ErrNotFound},
	} {
		spec := webhook.HookSpec{Style: webhook.Standard, Scope: c.scope, ScopeID: c.id, Name: "n"}
		if _, _, err := i.hooks.CreateHook(t.Context(), acme, spec); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestHooksBelongToANamespace(t *testing.T) {
	i := newInbox(t)
	secret, hook, err := i.hooks.CreateHook(t.Context(), acme, webhook.HookSpec{Style: webhook.Standard, Scope: bide.ScopeSession, ScopeID: "s", Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	if got := bide.Must(i.hooks.ListHooks(t.Context(), other)); len(got) != 0 {
		t.Errorf("another namespace lists %+v", got)
	}
	got := bide.Must(i.hooks.ListHooks(t.Context(), acme))
	if raw, err := json.Marshal(got); err != nil || len(got) != 1 || strings.Contains(string(raw), secret) {
		t.Errorf("listed %s, %v", raw, err)
	}
	if err := i.hooks.DeleteHook(t.Context(), other, hook.ID); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("another namespace deletes: %v", err)
	}
	if err := i.hooks.DeleteHook(t.Context(), acme, hook.ID); err != nil {
		t.Error(err)
	}
	if rec := i.post(hook.ID, signers[webhook.Standard](secret, `{}`, noon), `{}`); rec.Code != 401 {
		t.Errorf("after it was deleted: %d", rec.Code)
	}
}
