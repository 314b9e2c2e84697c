package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
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
	"migrate-run":     `{"version":"{version}"}`,
	"answer-wait":     `{"answer":"approve"}`,
	"create-schedule": `{"name":"other-{n}","interval":"1000h","workflow":"approval","input":{"amount":1}}`,
	"update-schedule": `{"name":"nightly-{n}","interval":"2000h","workflow":"approval","input":{"amount":1}}`,
	"put-artifact":    `hello`,
	"create-bookmark": `{"name":"b-{n}","run_id":"{run}"}`,
	"apply-retention": `{"rules":[{"after":"1ns"}]}`,
	"sweep-artifacts": `{"older":"2h"}`,
	"upload-flow":     `{"source":"bide: 1\nflow: f{n}\nsteps: [{say: hi}]"}`,
	"poll-work":       `{"worker":"w","types":["resize"],"wait":"1ms"}`,
	"heartbeat-call":  `{"token":1}`,
	"complete-call":   `{"token":1}`,
	"fail-call":       `{"token":1,"message":"x"}`,
}

// queries are those of operations that need one.
var queries = map[string]string{"preview-fork": "?seq=1", "revoke-shared-grant": "?scope=session&of=s", "export-runs": "?run={run}"}

// noneOfIt are operations that are about what a run of this test has none of.
var noneOfIt = map[string]bool{"revoke-grant": true, "revoke-shared-grant": true, "get-command": true, "redeliver-message": true, "get-proof": true}

// wholeStore are operations that no principal of a namespace may do, whatever its roles; the checkpoint, which there is none of, all may see.
var wholeStore = map[string]bool{"write-checkpoint": true, "apply-retention": true, "list-holds": true}

// made are things that a namespace has besides runs: how each is made, and which field of the answer names it.
var made = map[string]struct{ path, body, id string }{
	"{webhook}": {"/v1/webhooks", `{"url":"https://example.com/x"}`, "subscription_id"},
	"{hook}":    {"/v1/hooks", `{"style":"github","scope":"session","scope_id":"s","name":"pushed","secret":"0123456789abcdef"}`, "hook_id"},
	"{token}":   {"/v1/tokens", `{"name":"x","roles":["viewer"],"namespace":"own"}`, "token_id"},
	"{link}":    {"/v1/waits/{wait}/link", `{}`, "link_id"},
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
	blob := s.ask(boss, http.MethodPost, "/v1/artifacts", "of this namespace", "Content-Type", "text/plain").field(t, "sha256")
	byName := map[string]gateway.Operation{}
	var ops []authtest.Operation
	for _, op := range s.Operations() {
		if op.Right == "" {
			continue
		}
		byName[op.ID] = op
		of := op.ID == "send-event" || op.ID == "create-bookmark" || op.ID == "revoke-shared-grant" || op.ID == "get-artifact" || op.ID == "export-runs" || strings.Contains(op.Path, "{run}") || strings.Contains(op.Path, "{wait}") || strings.Contains(op.Path, "{name}") || strings.Contains(op.Path, "{session}")
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
		if op.ID == "delete-bookmark" {
			if got := s.ask(boss, http.MethodPost, "/v1/bookmarks", fmt.Sprintf(`{"name":"nightly-%d","run_id":%q}`, n, run.ID)); got.Status != http.StatusCreated {
				t.Fatalf("bookmark = %d %s", got.Status, got.Body)
			}
		}
		if op.ID == "delete-run" {
			bide.Must(s.rt.Cancel(t.Context(), run.ID))
		}
		session := fmt.Sprint("session-", n)
		if op.ID == "end-session" {
			body := `{"principal":{"actor":"zoe","roles":["viewer"],"namespace":"own"},"expires_at":"2999-01-01T00:00:00Z"}`
			bide.Must(store.PutDocument(t.Context(), bide.Document{Kind: "login", ID: session, Body: bide.JSON(body), UpdatedAt: time.Now()}))
		}
		fill := strings.NewReplacer("{run}", run.ID, "{other}", run.ID, "{wait}", run.Waits[0].ID, "{name}", fmt.Sprint("nightly-", n), "{n}", fmt.Sprint(n), "{command}", "c", "{call}", "c", "{grant}", "g",
			"{sha256}", blob, "{workflow}", "approval", "{version}", s.doc.Version(), "{session}", session).Replace
		path := op.Path
		for name, thing := range made {
			if strings.Contains(path, name) {
				path = strings.ReplaceAll(path, name, s.ask(boss, http.MethodPost, fill(thing.path), thing.body).field(t, thing.id))
			}
		}
		status := s.status(op.Method, fill(path+queries[op.ID]), fill(bodies[op.ID]), token)
		if noneOfIt[op.ID] && status == http.StatusNotFound && (as == nil || as.Namespace == authtest.Own) {
			return http.StatusOK
		}
		if as != nil && as.May(op.Right, nil) && (wholeStore[op.ID] && status == http.StatusForbidden || op.ID == "get-checkpoint" && status == http.StatusNotFound) {
			return http.StatusOK
		} else if wholeStore[op.ID] && status == http.StatusOK {
			t.Errorf("%s was done for a namespace", op.ID)
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

// What a namespace uploads is its own: nobody else sees the flows, starts them, takes their names or reads the blobs.
func TestUploadsBelongToTheirNamespace(t *testing.T) {
	s := newServer(t, &gateway.Options{Workflows: []bide.Workflow{broken()}})
	source := func(name string) string {
		return `{"source":"bide: 1\nflow: ` + name + `\nsteps: [{say: hi}]"}`
	}
	made := s.ask("author@acme", "POST", "/v1/workflows", source("secret"), "Idempotency-Key", "k")
	if made.Status != http.StatusCreated {
		t.Fatalf("publish = %d %s", made.Status, made.Body)
	}
	version := made.field(t, "version")
	if again := s.ask("author@acme", "POST", "/v1/workflows", source("secret"), "Idempotency-Key", "k"); again.field(t, "version") != version {
		t.Errorf("published again = %d %s", again.Status, again.Body)
	}
	if got := s.ask("viewer@acme", "GET", "/v1/workflows/secret/versions/"+version, ""); got.Status != 200 || got.field(t, "published_by") != "author@acme" {
		t.Errorf("seen by its namespace = %d %s", got.Status, got.Body)
	}
	for _, who := range []string{"author", "author@other"} {
		for _, path := range []string{"/v1/workflows/secret", "/v1/workflows/secret/versions/" + version, "/v1/workflows/secret/versions/newest", "/v1/workflows/secret/versions/" + version + "/graph"} {
			if got := s.ask(who, "GET", path, ""); got.Status != 404 {
				t.Errorf("%s as %s = %d %s", path, who, got.Status, got.Body)
			}
		}
		if got := s.ask(who, "GET", "/v1/workflows", ""); strings.Contains(string(got.Body), "secret") {
			t.Errorf("listed for %s: %s", who, got.Body)
		}
		for path, body := range map[string]string{
			"/v1/runs":      `{"workflow":"secret","version":"` + version + `"}`,
			"/v1/schedules": `{"name":"n","interval":"1h","workflow":"secret"}`,
		} {
			if got := s.ask(who, "POST", path, body); got.Status != 404 || got.field(t, "code") != "unknown_workflow" {
				t.Errorf("%s as %s = %d %s", path, who, got.Status, got.Body)
			}
		}
		if got := s.ask(who, "POST", "/v1/workflows", source("secret")); got.Status != 409 || got.field(t, "code") != "exists" {
			t.Errorf("published by %s = %d %s", who, got.Status, got.Body)
		}
	}
	// Those of the default namespace, and what is code of the program, are everybody's to start and nobody's to replace.
	if got := s.ask("operator@acme", "POST", "/v1/runs", `{"workflow":"approval","input":{"amount":1}}`); got.Status != 201 {
		t.Errorf("start = %d %s", got.Status, got.Body)
	}
	for who, name := range map[string]string{"author@acme": "approval", "author@other": "broken", "author": "broken"} {
		if got := s.ask(who, "POST", "/v1/workflows", source(name)); got.Status != 409 {
			t.Errorf("%s publishes %s = %d %s", who, name, got.Status, got.Body)
		}
	}

	blob := "/v1/artifacts/" + s.ask("operator@acme", "POST", "/v1/artifacts", "hello", "Content-Type", "text/plain").field(t, "sha256")
	for who, want := range map[string]int{"viewer@acme": 200, "viewer": 404, "viewer@other": 404} {
		if got := s.ask(who, "GET", blob, ""); got.Status != want {
			t.Errorf("the blob for %s = %d %s", who, got.Status, got.Body)
		}
	}
	s.ask("operator@other", "POST", "/v1/artifacts", "hello", "Content-Type", "text/plain")
	if got := s.ask("viewer@other", "GET", blob, ""); got.Status != 200 {
		t.Errorf("the blob that other has as well = %d %s", got.Status, got.Body)
	}
}

// A blob that a tool kept is for those who see a run whose effects gave it.
func TestABlobOfAToolIsSeenWithItsRun(t *testing.T) {
	blobs := bide.Must(artifact.OpenDir(t.TempDir()))
	sum, _, err := blobs.Put(t.Context(), strings.NewReader("a page"))
	if err != nil {
		t.Fatal(err)
	}
	fetch := bide.Workflow{ID: "fetch", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Call("fetch", nil).As("page")).ThenCompleteWith("page"), nil
	}}}
	s := newServer(t, &gateway.Options{Workflows: []bide.Workflow{fetch}, Artifacts: blobs})
	s.rt.Handle("fetch", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		return bide.Completed(map[string]string{"artifact": sum}), nil
	})
	run := s.start("operator@acme", `{"workflow":"fetch"}`)
	asked := s.start("operator@other", `{"workflow":"fetch","input":{"artifact":"`+sum+`"}}`)
	named := s.start("operator", `{"workflow":"approval","input":{"amount":1,"artifact":"`+sum+`"}}`)
	for _, c := range []struct {
		who, run string
		want     int
	}{{"viewer@acme", run.ID, 200}, {"viewer@acme", "", 404}, {"viewer", run.ID, 404}, {"viewer", "", 404}, {"viewer", named.ID, 404}, {"viewer@other", asked.ID, 200}, {"viewer@other", run.ID, 404}} {
		path := "/v1/artifacts/" + sum
		if c.run != "" {
			path += "?run=" + c.run
		}
		if got := s.ask(c.who, "GET", path, ""); got.Status != c.want {
			t.Errorf("the blob for %s by run %q = %d %s, want %d", c.who, c.run, got.Status, got.Body, c.want)
		}
	}
}
