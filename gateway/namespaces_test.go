package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/auth/authtest"
	"github.com/bide-dev/bide/store/mem"
)

// bodies are those of operations that need one. {n} is the number of the attempt.
var bodies = map[string]string{
	"start-run":       `{"workflow":"approval","input":{"amount":1}}`,
	"send-event":      `{"scope_id":"{run}","name":"x"}`,
	"fork-run":        `{"seq":1}`,
	"answer-wait":     `{"answer":"approve"}`,
	"create-schedule": `{"name":"other-{n}","interval":"1000h","workflow":"approval","input":{"amount":1}}`,
	"update-schedule": `{"name":"nightly-{n}","interval":"2000h","workflow":"approval","input":{"amount":1}}`,
	"put-artifact":    `hello`,
	"poll-work":       `{"worker":"w","types":["resize"],"wait":"1ms"}`,
	"heartbeat-call":  `{"token":1}`,
	"complete-call":   `{"token":1}`,
	"fail-call":       `{"token":1,"message":"x"}`,
}

// queries are those of operations that need one.
var queries = map[string]string{"preview-fork": "?seq=1", "revoke-shared-grant": "?scope=session&of=s"}

// noneOfIt are operations that are about what a run of this test has none of.
var noneOfIt = map[string]bool{"revoke-grant": true, "revoke-shared-grant": true, "get-command": true, "redeliver-message": true}

// made are things that a namespace has besides runs: how each is made, and which field of the answer names it.
var made = map[string]struct{ path, body, id string }{
	"{webhook}": {"/v1/webhooks", `{"url":"https://example.com/x"}`, "subscription_id"},
	"{hook}":    {"/v1/hooks", `{"style":"github","scope":"session","scope_id":"s","name":"pushed","secret":"0123456789abcdef"}`, "hook_id"},
	"{token}":   {"/v1/tokens", `{"name":"x","roles":["viewer"],"namespace":"own"}`, "token_id"},
}

// Every operation is tried by every role, on what is of its own namespace and of another one.
func TestNamespacesAreInvisibleToEachOther(t *testing.T) {
	store := mem.New()
	guard := auth.New(store, &auth.Options{Rate: 1e6, Burst: 1e6})
	s := serverOver(t, store, &gateway.Options{Authenticate: guard.Protect})
	tokens := map[string]string{}
	for _, p := range authtest.Callers() {
		text, _, err := guard.Tokens().Create(t.Context(), auth.TokenSpec{Name: "x", Actor: p.Actor, Roles: p.Roles, Namespace: p.Namespace}, "")
		if err != nil {
			t.Fatal(err)
		}
		tokens[p.Namespace+p.Actor] = text
	}
	boss := tokens[authtest.Own+"token:admin"]
	blob := s.ask(boss, http.MethodPost, "/v1/artifacts", "hello", "Content-Type", "text/plain").field(t, "sha256")
	byName := map[string]gateway.Operation{}
	var ops []authtest.Operation
	for _, op := range s.Operations() {
		if op.Right == "" || op.ID == "upload-flow" {
			continue
		}
		byName[op.ID] = op
		of := op.ID == "send-event" || op.ID == "revoke-shared-grant" || strings.Contains(op.Path, "{run}") || strings.Contains(op.Path, "{wait}") || strings.Contains(op.Path, "{name}")
		for name := range made {
			of = of || strings.Contains(op.Path, name)
		}
		ops = append(ops, authtest.Operation{Name: op.ID, Right: op.Right, OfNamespace: of})
	}
	n := 0
	authtest.Matrix(t, ops, func(t *testing.T, want authtest.Operation, as *auth.Principal) int {
		n++
		op, token := byName[want.Name], ""
		if as != nil {
			token = tokens[as.Namespace+as.Actor]
		}
		run := s.start(boss, `{"workflow":"approval","input":{"amount":1}}`)
		if strings.Contains(op.Path, "{name}") {
			body := fmt.Sprintf(`{"name":"nightly-%d","interval":"1000h","workflow":"approval","input":{"amount":1}}`, n)
			if got := s.ask(boss, http.MethodPost, "/v1/schedules", body); got.Status != http.StatusCreated {
				t.Fatalf("schedule = %d %s", got.Status, got.Body)
			}
		}
		if op.ID == "delete-run" {
			bide.Must(s.rt.Cancel(t.Context(), run.ID))
		}
		path := op.Path
		for name, thing := range made {
			if strings.Contains(path, name) {
				path = strings.ReplaceAll(path, name, s.ask(boss, http.MethodPost, thing.path, thing.body).field(t, thing.id))
			}
		}
		fill := strings.NewReplacer("{run}", run.ID, "{wait}", run.Waits[0].ID, "{name}", fmt.Sprint("nightly-", n), "{n}", fmt.Sprint(n), "{command}", "c", "{call}", "c", "{grant}", "g",
			"{sha256}", blob, "{workflow}", "approval", "{version}", s.doc.Version()).Replace
		status := s.status(op.Method, fill(path)+queries[op.ID], fill(bodies[op.ID]), token)
		if noneOfIt[op.ID] && status == http.StatusNotFound && (as == nil || as.Namespace == authtest.Own) {
			return http.StatusOK
		}
		return status
	})
}

// status asks and looks at the beginning of the answer, which for a stream has no end.
func (s *server) status(method, path, body, token string) int {
	ctx, stop := context.WithCancel(s.t.Context())
	defer stop()
	req := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	w := &head{ResponseRecorder: httptest.NewRecorder(), stop: stop}
	s.ServeHTTP(w, req)
	return w.Code
}

// head ends a stream at what it sends first.
type head struct {
	*httptest.ResponseRecorder
	stop func()
}

func (h *head) Flush() {
	h.ResponseRecorder.Flush()
	h.stop()
}
