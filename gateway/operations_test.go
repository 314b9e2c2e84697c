package gateway_test

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/ledger/retention"
)

// broken is a workflow that fails.
func broken() bide.Workflow {
	return bide.Workflow{ID: "broken", Version: "1", Entry: "try", Nodes: bide.Nodes{"try": func(*bide.Run) (bide.StepPlan, error) {
		return bide.StepPlan{}, errors.New("it is broken")
	}}}
}

// fixtures are the names that the cases use in braces.
func (s *server) fixtures() map[string]string {
	s.t.Helper()
	waiting := s.start("operator", `{"workflow":"approval","input":{"amount":12},"key":"order-1","labels":{"team":"ops"}}`)
	foreign := s.start("operator@acme", `{"workflow":"approval","input":{"amount":12},"key":"order-1"}`)
	done := s.start("operator", `{"workflow":"approval","input":{"amount":13}}`)
	if _, err := s.rt.Resume(s.t.Context(), done.ID, done.Waits[0].ID, "reject", bide.Command{Actor: "zoe"}); err != nil {
		s.t.Fatal(err)
	}
	s.tick(done.ID)
	failed := s.start("operator", `{"workflow":"broken"}`)
	if got := s.ask("author", http.MethodPost, "/v1/schedules", `{"name":"nightly","cron":"@daily","workflow":"approval","input":{"amount":1}}`); got.Status != http.StatusCreated {
		s.t.Fatalf("schedule = %d %s", got.Status, got.Body)
	}
	blob := s.ask("operator", http.MethodPost, "/v1/artifacts", "hello", "Content-Type", "text/plain")
	if blob.Status != http.StatusCreated {
		s.t.Fatalf("artifact = %d %s", blob.Status, blob.Body)
	}
	if err := retention.Hold(s.t.Context(), s.store, failed.ID, "a lawsuit", "zoe", time.Now()); err != nil {
		s.t.Fatal(err)
	}
	if got := s.ask("operator", http.MethodPost, "/v1/bookmarks", `{"name":"marked","run_id":"`+done.ID+`","seq":1,"tags":["start"]}`); got.Status != http.StatusCreated {
		s.t.Fatalf("bookmark = %d %s", got.Status, got.Body)
	}
	hooked := s.ask("admin", http.MethodPost, "/v1/webhooks", `{"url":"http://127.0.0.1:1/"}`)
	hook := s.ask("admin", http.MethodPost, "/v1/hooks", `{"style":"standard","scope":"global","name":"paid"}`)
	if hooked.Status != http.StatusCreated || hook.Status != http.StatusCreated {
		s.t.Fatalf("webhook = %d %s, hook = %d %s", hooked.Status, hooked.Body, hook.Status, hook.Body)
	}
	link := s.ask("approver", http.MethodPost, "/v1/waits/"+waiting.Waits[0].ID+"/link", `{"for":"bob"}`)
	if link.Status != http.StatusCreated {
		s.t.Fatalf("link = %d %s", link.Status, link.Body)
	}
	for id, as := range map[string]string{"s1": `{"actor":"zoe","roles":["viewer"]}`, "s2": `{"actor":"yan","roles":["admin"],"namespace":"acme"}`} {
		body := `{"principal":` + as + `,"expires_at":"` + time.Now().Add(time.Hour).Format(time.RFC3339) + `"}`
		if _, err := s.store.PutDocument(s.t.Context(), bide.Document{Kind: "login", ID: id, Body: bide.JSON(body), UpdatedAt: time.Now()}); err != nil {
			s.t.Fatal(err)
		}
	}
	return map[string]string{
		"link": link.field(s.t, "link_id"), "webhook": hooked.field(s.t, "subscription_id"), "hook": hook.field(s.t, "hook_id"),
		"waiting": waiting.ID, "wait": waiting.Waits[0].ID, "foreign": foreign.ID, "foreign-wait": foreign.Waits[0].ID,
		"done": done.ID, "done-wait": done.Waits[0].ID, "failed": failed.ID, "version": s.doc.Version(), "blob": blob.field(s.t, "sha256"),
		"exported": string(s.ask("viewer", http.MethodGet, "/v1/export?run="+done.ID, "").Body),
		"etag":     s.ask("viewer", http.MethodGet, "/v1/runs/"+waiting.ID, "").Header.Get("ETag"),
	}
}

// Every operation is asked for what it is for, and for what it refuses.
func TestEveryOperationAnswersAndRefuses(t *testing.T) {
	none := "00000000-0000-7000-8000-000000000000"
	cases := []struct {
		op, as, method, path, body string
		header                     []string
		status                     int
		want                       map[string]string // members of the answer
	}{
		{op: "list-runs", as: "viewer", method: "GET", path: "/v1/runs?q=status:waiting", status: 200, want: map[string]string{"runs.0.run_id": "{waiting}", "runs.1": "null"}},
		{op: "list-runs", as: "viewer@acme", method: "GET", path: "/v1/runs", status: 200, want: map[string]string{"runs.0.run_id": "{foreign}", "runs.1": "null"}},
		{op: "list-runs", as: "refunder", method: "GET", path: "/v1/runs", status: 200, want: map[string]string{"runs.0.run_id": "{waiting}", "runs.1": "null"}},
		{op: "list-runs", as: "viewer", method: "GET", path: "/v1/runs?q=stauts:waiting", status: 422, want: map[string]string{"code": "invalid_input", "faults.0.path": "stauts:waiting"}},
		{op: "list-runs", as: "viewer", method: "GET", path: "/v1/runs?limit=0", status: 422, want: map[string]string{"code": "invalid_input", "faults.0.path": "query.limit"}},
		{op: "list-runs", as: "viewer", method: "GET", path: "/v1/runs?cursor=x", status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "list-runs", as: "viewer", method: "GET", path: "/v1/runs?colour=red", status: 422, want: map[string]string{"code": "invalid_input"}},

		{op: "list-runs", as: "viewer", method: "GET", path: "/v1/runs?order=created_asc&limit=1", status: 200, want: map[string]string{"runs.0.run_id": "{waiting}"}},
		{op: "list-runs", as: "viewer", method: "GET", path: "/v1/runs?order=status_desc&limit=1", status: 200, want: map[string]string{"runs.0.run_id": "{failed}", "next": "completed/"}},
		{op: "list-runs", as: "viewer", method: "GET", path: "/v1/runs?order=sideways", status: 422, want: map[string]string{"code": "invalid_input", "faults.0.path": "query.order"}},
		{op: "list-runs", as: "viewer", method: "GET", path: "/v1/runs?order=status&cursor=asleep/", status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "list-runs", as: "viewer", method: "GET", path: "/v1/runs?order=status&cursor=waiting/x", status: 422, want: map[string]string{"code": "invalid_input"}},

		{op: "count-runs", as: "viewer", method: "GET", path: "/v1/stats/runs", status: 200, want: map[string]string{"runs": "3", "statuses.waiting": "1", "statuses.paused": "0", "partial": "false",
			"workflows.0.workflow": "approval", "workflows.0.runs": "2", "workflows.1.statuses.failed": "1", "workflows.2": "null"}},
		{op: "count-runs", as: "viewer@acme", method: "GET", path: "/v1/stats/runs", status: 200, want: map[string]string{"runs": "1", "workflows.1": "null"}},
		{op: "count-runs", as: "refunder", method: "GET", path: "/v1/stats/runs", status: 200, want: map[string]string{"runs": "1", "statuses.waiting": "1"}},
		{op: "count-runs", as: "viewer", method: "GET", path: "/v1/stats/runs?q=stauts:waiting", status: 422, want: map[string]string{"code": "invalid_input", "faults.0.path": "stauts:waiting"}},
		{op: "get-outcomes", as: "viewer", method: "GET", path: "/v1/stats/outcomes?every=1d", status: 200, want: map[string]string{"every": "24h0m0s", "partial": "false"}},
		{op: "get-outcomes", as: "viewer", method: "GET", path: "/v1/stats/outcomes?every=1s", status: 422, want: map[string]string{"code": "invalid_input", "faults.0.path": "query.every"}},
		{op: "get-outcomes", as: "viewer", method: "GET", path: "/v1/stats/outcomes?every=soon", status: 422, want: map[string]string{"code": "invalid_input", "faults.0.path": "query.every"}},
		{op: "get-outcomes", as: "viewer", method: "GET", path: "/v1/stats/outcomes?from=2026-11-23T10:00:00Z&to=2026-11-23T09:00:00Z", status: 422, want: map[string]string{"code": "invalid_input", "faults.0.path": "query.from"}},
		{op: "get-outcomes", as: "viewer", method: "GET", path: "/v1/stats/outcomes?from=yesterday", status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "get-latencies", as: "viewer", method: "GET", path: "/v1/stats/latency?q=flow:approval", status: 200, want: map[string]string{"whole.runs": "1"}},
		{op: "get-latencies", as: "viewer@acme", method: "GET", path: "/v1/stats/latency", status: 200, want: map[string]string{"whole.runs": "0"}},
		{op: "get-latencies", as: "viewer", method: "GET", path: "/v1/stats/latency?q=status:done", status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "get-time", as: "viewer", method: "GET", path: "/v1/stats/time", status: 200, want: map[string]string{"runs": "3", "partial": "false", "workflows.0.workflow": "approval", "workflows.0.runs": "2", "workflows.1.workflow": "broken"}},
		{op: "get-time", as: "viewer@acme", method: "GET", path: "/v1/stats/time", status: 200, want: map[string]string{"runs": "1"}},
		{op: "get-time", as: "viewer", method: "GET", path: "/v1/stats/time?from=2026-11-23T10:00:00Z&to=2026-11-23T09:00:00Z", status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "get-usage-sums", as: "viewer", method: "GET", path: "/v1/stats/usage", status: 200, want: map[string]string{"runs": "3", "usage": "[]"}},
		{op: "get-usage-sums", as: "viewer", method: "GET", path: "/v1/stats/usage?q=%22open", status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "get-node-sums", as: "viewer", method: "GET", path: "/v1/workflows/approval/versions/newest/stats", status: 200, want: map[string]string{"runs": "2", "version": "{version}", "nodes.0.node": "@end", "nodes.0.runs": "1", "nodes.2.node": "ask", "nodes.2.runs": "2", "nodes.2.here": "1"}},
		{op: "get-node-sums", as: "viewer", method: "GET", path: "/v1/workflows/broken/versions/1/stats", status: 200, want: map[string]string{"runs": "1", "nodes.0.node": "try", "nodes.0.failures": "1"}},
		{op: "get-node-sums", as: "viewer", method: "GET", path: "/v1/workflows/broken/versions/1/stats?q=flow:approval", status: 200, want: map[string]string{"runs": "0", "nodes": "[]"}},
		{op: "get-node-sums", as: "viewer", method: "GET", path: "/v1/workflows/nothing/versions/newest/stats", status: 404, want: map[string]string{"code": "unknown_workflow"}},

		{op: "start-run", as: "operator", method: "POST", path: "/v1/runs", body: `{"workflow":"approval","input":{"amount":9007199254740993},"labels":{"a":"b"}}`, status: 201,
			want: map[string]string{"vars.input.amount": "9007199254740993", "actor": "operator", "labels.a": "b"}},
		{op: "start-run", as: "operator@acme", method: "POST", path: "/v1/runs", body: `{"workflow":"approval","input":{"amount":1},"key":"k","session":"s"}`, status: 201,
			want: map[string]string{"labels": `{"bide.namespace":"acme"}`, "key": "_acme_k", "session": "_acme_s"}},
		{op: "start-run", as: "operator", method: "POST", path: "/v1/runs", body: `{"workflow":"approval","input":{"amount":1},"key":"order-1"}`, status: 409, want: map[string]string{"code": "key_reused"}},
		{op: "start-run", as: "operator", method: "POST", path: "/v1/runs", body: `{"workflow":"approval","input":{"amount":12},"run_id":"{foreign}"}`, status: 409, want: map[string]string{"code": "exists"}},
		{op: "start-run", as: "operator", method: "POST", path: "/v1/runs", body: `{"workflow":"approval","input":{"amount":"much"}}`, status: 422, want: map[string]string{"code": "invalid_input", "faults.0.path": "/amount"}},
		{op: "start-run", as: "operator", method: "POST", path: "/v1/runs", body: `{"workflow":"approval","input":{"amount":1},"labels":{"bide.namespace":"acme"}}`, status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "start-run", as: "operator", method: "POST", path: "/v1/runs", body: `{"workflow":"aproval"}`, status: 404, want: map[string]string{"code": "unknown_workflow"}},
		{op: "start-run", as: "operator", method: "POST", path: "/v1/runs", body: `{"workflow":"approval","colour":"red"}`, status: 422, want: map[string]string{"faults.0.path": "body.colour"}},
		{op: "start-run", as: "operator", method: "POST", path: "/v1/runs", body: `{"workflow":`, status: 400, want: map[string]string{"code": "bad_request"}},
		{op: "start-run", as: "operator", method: "POST", path: "/v1/runs", body: `{"workflow":"approval","timeout":"soon"}`, status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "start-run", as: "operator", method: "POST", path: "/v1/runs", body: `workflow=approval`, header: []string{"Content-Type", "application/x-www-form-urlencoded"}, status: 415, want: map[string]string{"code": "unsupported_media_type"}},
		{op: "start-run", as: "operator@acme", method: "POST", path: "/v1/runs", body: `{"workflow":"approval","input":{"amount":1},"run_id":"mine"}`, status: 201, want: map[string]string{"run_id": "_acme_mine"}},
		{op: "start-run", as: "operator", method: "POST", path: "/v1/runs", body: `{"workflow":"approval","input":{"amount":1},"run_id":"_acme_mine"}`, status: 201, want: map[string]string{"run_id": "___acme_mine"}},
		{op: "start-run", as: "operator", method: "POST", path: "/v1/runs", body: `{"workflow":"bide.webhook"}`, status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "start-run", as: "operator", method: "POST", path: "/v1/runs", body: `{"workflow":"bide.schedule"}`, status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "start-run", as: "refunder", method: "POST", path: "/v1/runs", body: `{"workflow":"approval","input":{"amount":1},"labels":{"team":"dev"}}`, status: 403, want: map[string]string{"code": "forbidden"}},

		{op: "get-run", as: "viewer", method: "GET", path: "/v1/runs/{waiting}", status: 200, want: map[string]string{"status": "waiting", "waits.0.wait_id": "{wait}"}},
		{op: "get-run", as: "viewer", method: "GET", path: "/v1/runs/{waiting}", header: []string{"If-None-Match", "{etag}"}, status: 304},
		{op: "get-run", as: "viewer", method: "GET", path: "/v1/runs/{done}", header: []string{"If-None-Match", "{etag}"}, status: 200, want: map[string]string{"status": "completed"}},
		{op: "get-run", as: "viewer", method: "GET", path: "/v1/runs/{waiting}?at=1", status: 200, want: map[string]string{"status": "running", "seq": "1"}},
		{op: "get-run", as: "viewer", method: "GET", path: "/v1/runs/{waiting}?at=99", status: 404, want: map[string]string{"code": "not_found"}},
		{op: "get-run", as: "viewer", method: "GET", path: "/v1/runs/{foreign}", status: 404, want: map[string]string{"code": "not_found"}},
		{op: "get-run", as: "viewer", method: "GET", path: "/v1/runs/" + none, status: 404, want: map[string]string{"type": "urn:bide:problem:not_found"}},

		{op: "get-output", as: "viewer", method: "GET", path: "/v1/runs/{done}/output", status: 200, want: map[string]string{"status": "completed", "output.said": "reject"}},
		{op: "get-output", as: "viewer", method: "GET", path: "/v1/runs/{failed}/output", status: 200, want: map[string]string{"status": "failed", "error.message": "it is broken"}},
		{op: "get-output", as: "viewer", method: "GET", path: "/v1/runs/{foreign}/output", status: 404},

		{op: "get-tree", as: "viewer", method: "GET", path: "/v1/runs/{waiting}/tree", status: 200, want: map[string]string{"runs.0.run_id": "{waiting}", "runs.1": "null"}},
		{op: "get-tree", as: "viewer", method: "GET", path: "/v1/runs/{foreign}/tree", status: 404},

		{op: "pause-run", as: "operator", method: "POST", path: "/v1/runs/{waiting}/pause", body: `{"reason":"lunch"}`, status: 200, want: map[string]string{"status": "paused", "paused.actor": "operator", "paused.reason": "lunch"}},
		{op: "pause-run", as: "operator", method: "POST", path: "/v1/runs/{done}/pause", status: 409, want: map[string]string{"code": "wrong_status", "run_id": "{done}"}},
		{op: "unpause-run", as: "operator", method: "POST", path: "/v1/runs/{waiting}/unpause", status: 409, want: map[string]string{"code": "wrong_status"}},
		{op: "cancel-run", as: "operator", method: "POST", path: "/v1/runs/{waiting}/cancel", status: 200, want: map[string]string{"status": "cancelled"}},
		{op: "cancel-run", as: "operator", method: "POST", path: "/v1/runs/{foreign}/cancel", status: 404},
		{op: "cancel-run", as: "operator", method: "POST", path: "/v1/runs/{waiting}/cancel", body: `{"because":"x"}`, status: 422},
		{op: "retry-run", as: "operator", method: "POST", path: "/v1/runs/{failed}/retry", status: 200, want: map[string]string{"status": "running"}},
		{op: "retry-run", as: "operator", method: "POST", path: "/v1/runs/{done}/retry", status: 409, want: map[string]string{"code": "wrong_status"}},
		{op: "shred-run", as: "operator", method: "POST", path: "/v1/runs/{done}/shred", status: 409, want: map[string]string{"code": "wrong_status"}}, // the store is plain
		{op: "shred-run", as: "viewer", method: "POST", path: "/v1/runs/{done}/shred", status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "shred-run", as: "operator", method: "POST", path: "/v1/runs/{foreign}/shred", status: 404},
		{op: "delete-run", as: "operator", method: "DELETE", path: "/v1/runs/{done}", status: 204},
		{op: "delete-run", as: "operator", method: "DELETE", path: "/v1/runs/{waiting}", status: 409, want: map[string]string{"code": "wrong_status"}},
		{op: "delete-run", as: "operator", method: "DELETE", path: "/v1/runs/{foreign}", header: []string{"Idempotency-Key", "k"}, status: 404},
		{op: "preview-fork", as: "viewer", method: "GET", path: "/v1/runs/{waiting}/fork?seq=4", status: 200, want: map[string]string{"effects.0.node": "ask", "effects.0.certain": "true"}},
		{op: "preview-fork", as: "viewer", method: "GET", path: "/v1/runs/{waiting}/fork", status: 422},
		{op: "fork-run", as: "operator", method: "POST", path: "/v1/runs/{waiting}/fork", body: `{"seq":3,"writes":[{"op":"set","path":"input.amount","value":99}]}`, status: 201, want: map[string]string{"origin": "{waiting}", "vars.input.amount": "99", "labels.team": "ops"}},
		{op: "fork-run", as: "operator@acme", method: "POST", path: "/v1/runs/{foreign}/fork", body: `{"seq":3,"labels":{"x":"y"}}`, status: 201, want: map[string]string{"labels": `{"bide.namespace":"acme","x":"y"}`}},
		{op: "fork-run", as: "operator", method: "POST", path: "/v1/runs/{done}/fork", body: `{"seq":99}`, status: 404},
		{op: "get-checkpoint", as: "viewer", method: "GET", path: "/v1/checkpoint", status: 404, want: map[string]string{"code": "not_found"}},
		{op: "write-checkpoint", as: "admin", method: "POST", path: "/v1/checkpoint", status: 409, want: map[string]string{"code": "wrong_status"}},
		{op: "write-checkpoint", as: "admin@acme", method: "POST", path: "/v1/checkpoint", status: 403},
		{op: "write-checkpoint", as: "operator", method: "POST", path: "/v1/checkpoint", status: 403},
		{op: "get-proof", as: "viewer", method: "GET", path: "/v1/runs/{done}/proof", status: 404, want: map[string]string{"code": "not_found"}},
		{op: "get-proof", as: "viewer", method: "GET", path: "/v1/runs/{foreign}/proof?seq=1", status: 404},
		{op: "get-report", as: "viewer", method: "GET", path: "/v1/runs/{done}/report", status: 200},
		{op: "get-report", as: "viewer", method: "GET", path: "/v1/runs/{done}/report?format=pdf", status: 422},
		{op: "get-report", as: "viewer", method: "GET", path: "/v1/runs/{foreign}/report?format=html", status: 404},
		{op: "diff-runs", as: "viewer", method: "GET", path: "/v1/runs/{waiting}/diff/{done}", status: 200, want: map[string]string{"a.run_id": "{waiting}", "b.run_id": "{done}"}},
		{op: "diff-runs", as: "viewer", method: "GET", path: "/v1/runs/{waiting}/diff/{foreign}", status: 404},
		{op: "get-case", as: "viewer", method: "GET", path: "/v1/runs/{done}/case", status: 200, want: map[string]string{"case": "cases of {done}", "faults": "[]"}},
		{op: "get-case", as: "viewer", method: "GET", path: "/v1/runs/{waiting}/case", status: 409, want: map[string]string{"code": "wrong_status"}},
		{op: "get-case", as: "viewer", method: "GET", path: "/v1/runs/{foreign}/case", status: 404},

		{op: "export-runs", as: "viewer", method: "GET", path: "/v1/export?run={done}", status: 200},
		{op: "export-runs", as: "viewer", method: "GET", path: "/v1/export?run={done}&run={waiting}&artifacts=true&documents=flow&documents=bookmark", status: 200},
		{op: "export-runs", as: "admin", method: "GET", path: "/v1/export?all=true", status: 200},
		{op: "export-runs", as: "viewer", method: "GET", path: "/v1/export", status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "export-runs", as: "viewer", method: "GET", path: "/v1/export?run={done}&documents=token", status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "export-runs", as: "viewer", method: "GET", path: "/v1/export?run={done}&run={foreign}", status: 404, want: map[string]string{"code": "not_found"}},
		{op: "export-runs", as: "operator", method: "GET", path: "/v1/export?all=true", status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "export-runs", as: "admin@acme", method: "GET", path: "/v1/export?all=true", status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "export-runs", as: "chief", method: "GET", path: "/v1/export?all=true", status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "import-runs", as: "admin", method: "POST", path: "/v1/import", body: "{exported}", status: 200, want: map[string]string{"runs": "0", "known": "1", "left": "0"}},
		{op: "import-runs", as: "admin", method: "POST", path: "/v1/import", body: "nonsense\n", status: 422, want: map[string]string{"code": "corrupt"}},
		{op: "import-runs", as: "admin", method: "POST", path: "/v1/import", status: 422, want: map[string]string{"code": "corrupt"}},
		{op: "import-runs", as: "admin", method: "POST", path: "/v1/import?public=mine", body: "{exported}", status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "import-runs", as: "admin", method: "POST", path: "/v1/import?documents=token", body: "{exported}", status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "import-runs", as: "author", method: "POST", path: "/v1/import", body: "{exported}", status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "import-runs", as: "admin@acme", method: "POST", path: "/v1/import", body: "{exported}", status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "import-runs", as: "chief", method: "POST", path: "/v1/import", body: "{exported}", status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "compact-store", as: "admin", method: "POST", path: "/v1/compact", status: 200, want: map[string]string{"before": "2000", "after": "1000"}},
		{op: "compact-store", as: "admin@acme", method: "POST", path: "/v1/compact", status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "compact-store", as: "chief", method: "POST", path: "/v1/compact", status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "sweep-artifacts", as: "admin", method: "POST", path: "/v1/artifacts/sweep", body: `{"older":"2h"}`, status: 200, want: map[string]string{"removed": "0", "kept": "1"}},
		{op: "sweep-artifacts", as: "admin", method: "POST", path: "/v1/artifacts/sweep", body: `{"older":"1m","dry_run":true}`, status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "sweep-artifacts", as: "admin", method: "POST", path: "/v1/artifacts/sweep", body: `{}`, status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "sweep-artifacts", as: "admin@acme", method: "POST", path: "/v1/artifacts/sweep", body: `{"older":"2h"}`, status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "sweep-artifacts", as: "chief", method: "POST", path: "/v1/artifacts/sweep", body: `{"older":"2h"}`, status: 403, want: map[string]string{"code": "forbidden"}},

		{op: "create-bookmark", as: "operator", method: "POST", path: "/v1/bookmarks", body: `{"name":"before","run_id":"{waiting}","seq":2,"tags":["good"],"note":"n"}`, status: 201, want: map[string]string{"name": "before", "seq": "2", "actor": "operator"}},
		{op: "create-bookmark", as: "operator", method: "POST", path: "/v1/bookmarks", body: `{"name":"marked","run_id":"{done}","seq":2}`, status: 409, want: map[string]string{"code": "conflict"}},
		{op: "create-bookmark", as: "operator@acme", method: "POST", path: "/v1/bookmarks", body: `{"name":"marked","run_id":"{foreign}"}`, status: 201, want: map[string]string{"name": "marked"}},
		{op: "create-bookmark", as: "operator", method: "POST", path: "/v1/bookmarks", body: `{"name":"x","run_id":"{foreign}"}`, status: 404},
		{op: "create-bookmark", as: "operator", method: "POST", path: "/v1/bookmarks", body: `{"name":"x","run_id":"{done}","seq":99}`, status: 404},
		{op: "list-bookmarks", as: "viewer", method: "GET", path: "/v1/bookmarks?tag=start", status: 200, want: map[string]string{"bookmarks.0.name": "marked", "bookmarks.1": "null"}},
		{op: "list-bookmarks", as: "viewer@acme", method: "GET", path: "/v1/bookmarks", status: 200, want: map[string]string{"bookmarks": "[]"}},
		{op: "delete-bookmark", as: "operator", method: "DELETE", path: "/v1/bookmarks/marked", status: 204},
		{op: "delete-bookmark", as: "operator@acme", method: "DELETE", path: "/v1/bookmarks/marked", status: 404, want: map[string]string{"code": "not_found"}},

		{op: "apply-retention", as: "admin", method: "POST", path: "/v1/retention", body: `{"rules":[{"status":"completed","after":"1ns"}],"dry_run":true}`, status: 200, want: map[string]string{"removed.0.run_id": "{done}", "removed.0.runs": "1", "removed.1": "null"}},
		{op: "apply-retention", as: "admin", method: "POST", path: "/v1/retention", body: `{"rules":[{"status":"completed","after":"1ns"}],"archive":true}`, status: 200, want: map[string]string{"removed.0.run_id": "{done}", "more": "false"}},
		{op: "apply-retention", as: "admin", method: "POST", path: "/v1/retention", body: `{"rules":[{"status":"failed","after":"1ns"}]}`, status: 200, want: map[string]string{"removed": "[]", "held": "1"}},
		{op: "apply-retention", as: "admin", method: "POST", path: "/v1/retention", body: `{"rules":[{"after":"0s"}]}`, status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "apply-retention", as: "admin@acme", method: "POST", path: "/v1/retention", body: `{"rules":[{"after":"1ns"}],"dry_run":true}`, status: 403},
		{op: "apply-retention", as: "author", method: "POST", path: "/v1/retention", body: `{"rules":[{"after":"1ns"}],"dry_run":true}`, status: 403},
		{op: "hold-run", as: "admin", method: "POST", path: "/v1/runs/{done}/hold", body: `{"reason":"a lawsuit"}`, status: 200, want: map[string]string{"run_id": "{done}", "reason": "a lawsuit", "actor": "admin"}},
		{op: "hold-run", as: "admin", method: "POST", path: "/v1/runs/{foreign}/hold", body: `{"reason":"a lawsuit"}`, status: 404},
		{op: "hold-run", as: "admin", method: "POST", path: "/v1/runs/{failed}/hold", body: `{"reason":"another"}`, status: 409, want: map[string]string{"code": "conflict"}},
		{op: "list-holds", as: "admin", method: "GET", path: "/v1/holds", status: 200, want: map[string]string{"holds.0.run_id": "{failed}", "holds.1": "null"}},
		{op: "list-holds", as: "admin@acme", method: "GET", path: "/v1/holds", status: 403},
		{op: "get-hold", as: "viewer", method: "GET", path: "/v1/runs/{failed}/hold", status: 200, want: map[string]string{"holds.0.reason": "a lawsuit", "holds.0.actor": "zoe", "holds.1": "null"}},
		{op: "get-hold", as: "viewer", method: "GET", path: "/v1/runs/{done}/hold", status: 200, want: map[string]string{"holds": "[]"}},
		{op: "get-hold", as: "viewer", method: "GET", path: "/v1/runs/{foreign}/hold", status: 404},
		{op: "unhold-run", as: "admin", method: "DELETE", path: "/v1/runs/{failed}/hold", status: 204},
		{op: "unhold-run", as: "admin", method: "DELETE", path: "/v1/runs/{foreign}/hold", status: 404},
		{op: "release-run", as: "operator", method: "POST", path: "/v1/runs/{waiting}/release", status: 204},
		{op: "release-run", as: "operator", method: "POST", path: "/v1/runs/{foreign}/release", status: 404},
		{op: "revoke-grant", as: "approver", method: "DELETE", path: "/v1/runs/{waiting}/grants/g1", status: 404, want: map[string]string{"code": "not_found"}},

		{op: "get-ledger", as: "viewer", method: "GET", path: "/v1/runs/{waiting}/ledger?limit=2", status: 200, want: map[string]string{"records.0.kind": "run.started", "records.1.seq": "2", "records.2": "null", "next": "3"}},
		{op: "get-ledger", as: "viewer", method: "GET", path: "/v1/runs/{waiting}/ledger?from=3", status: 200, want: map[string]string{"records.0.seq": "3", "next": "null"}},
		{op: "get-ledger", as: "viewer", method: "GET", path: "/v1/runs/{waiting}/ledger?from=0", status: 422},
		{op: "get-command", as: "viewer", method: "GET", path: "/v1/runs/{waiting}/commands/nothing", status: 404, want: map[string]string{"code": "not_found"}},
		{op: "verify-run", as: "viewer", method: "GET", path: "/v1/runs/{done}/verification", status: 200, want: map[string]string{"run_id": "{done}"}},
		{op: "verify-run", as: "viewer", method: "GET", path: "/v1/runs/{foreign}/verification", status: 404},
		{op: "replay-run", as: "viewer", method: "GET", path: "/v1/runs/{done}/replay", status: 200, want: map[string]string{"same": "true"}},
		{op: "replay-run", as: "viewer", method: "GET", path: "/v1/runs/" + none + "/replay", status: 404},
		{op: "get-usage", as: "viewer", method: "GET", path: "/v1/runs/{done}/usage?tree=true", status: 200, want: map[string]string{"calls": "0"}},
		{op: "get-usage", as: "viewer", method: "GET", path: "/v1/runs/{foreign}/usage", status: 404},

		{op: "list-waits", as: "viewer", method: "GET", path: "/v1/waits?kind=question&kind=form", status: 200, want: map[string]string{"waits.0.wait_id": "{wait}", "waits.0.run_id": "{waiting}", "waits.0.status": "open", "waits.1": "null"}},
		{op: "list-waits", as: "viewer@acme", method: "GET", path: "/v1/waits", status: 200, want: map[string]string{"waits.0.wait_id": "{foreign-wait}", "waits.1": "null"}},
		{op: "list-waits", as: "viewer", method: "GET", path: "/v1/waits?limit=many", status: 422},
		{op: "get-wait", as: "viewer", method: "GET", path: "/v1/waits/{wait}", status: 200, want: map[string]string{"status": "open", "choices.0": "approve", "workflow": "approval", "quorum": "1"}},
		{op: "get-wait", as: "viewer", method: "GET", path: "/v1/waits/{done-wait}", status: 200, want: map[string]string{"status": "answered", "decision.actor": "zoe", "decision.answer": "reject"}},
		{op: "get-wait", as: "viewer", method: "GET", path: "/v1/waits/{foreign-wait}", status: 404},
		{op: "get-wait", as: "viewer", method: "GET", path: "/v1/waits/{waiting}.9", status: 404, want: map[string]string{"wait_id": "{waiting}.9"}},
		{op: "get-wait", as: "viewer", method: "GET", path: "/v1/waits/nonsense", status: 404},

		{op: "answer-wait", as: "approver", method: "POST", path: "/v1/waits/{wait}/answer", body: `{"answer":"approve"}`, status: 200, want: map[string]string{"wait.status": "answered", "wait.decision.actor": "approver", "remaining": "[]"}},
		{op: "answer-wait", as: "approver", method: "POST", path: "/v1/waits/{done-wait}/answer", body: `{"answer":"reject"}`, status: 200, want: map[string]string{"wait.decision.actor": "zoe"}},
		{op: "answer-wait", as: "approver", method: "POST", path: "/v1/waits/{done-wait}/answer", body: `{"answer":"approve"}`, status: 409, want: map[string]string{"code": "already_decided", "decision.actor": "zoe", "decision.answer": "reject"}},
		{op: "answer-wait", as: "approver", method: "POST", path: "/v1/waits/{wait}/answer", body: `{"answer":"perhaps"}`, status: 422, want: map[string]string{"code": "invalid_answer", "wait_id": "{wait}"}},
		{op: "answer-wait", as: "approver", method: "POST", path: "/v1/waits/{wait}/answer", body: `"approve"`, status: 422, want: map[string]string{"code": "invalid_answer"}},
		{op: "answer-wait", as: "approver", method: "POST", path: "/v1/waits/{wait}/answer", body: `{"answer":"approve","actor":"boss"}`, status: 422},
		{op: "answer-wait", as: "approver", method: "POST", path: "/v1/waits/{foreign-wait}/answer", body: `{"answer":"approve"}`, status: 404},

		{op: "get-me", as: "approver@acme", method: "GET", path: "/v1/me", status: 200, want: map[string]string{"actor": "approver@acme", "roles.0": "approver", "rights": `["view","decide"]`, "namespace": "acme"}},
		{op: "create-link", as: "approver", method: "POST", path: "/v1/waits/{wait}/link", body: `{"for":"bob","expires_in":"1h"}`, status: 201, want: map[string]string{"actor": "link:bob"}},
		{op: "create-link", as: "approver", method: "POST", path: "/v1/waits/{wait}/link", body: `{"expires_in":"1000h"}`, status: 422},
		{op: "create-link", as: "approver", method: "POST", path: "/v1/waits/{done-wait}/link", status: 409, want: map[string]string{"code": "wrong_status"}},
		{op: "create-link", as: "operator", method: "POST", path: "/v1/waits/{wait}/link", status: 403},
		{op: "create-link", as: "approver", method: "POST", path: "/v1/waits/{foreign-wait}/link", status: 404},

		{op: "list-links", as: "approver", method: "GET", path: "/v1/waits/{wait}/links", status: 200, want: map[string]string{"links.0.link_id": "{link}", "links.0.actor": "link:bob", "links.0.revoked_at": "null", "links.1": "null"}},
		{op: "list-links", as: "operator", method: "GET", path: "/v1/waits/{wait}/links", status: 403},
		{op: "list-links", as: "approver@acme", method: "GET", path: "/v1/waits/{wait}/links", status: 404},
		{op: "revoke-link", as: "approver", method: "DELETE", path: "/v1/links/{link}", status: 200, want: map[string]string{"link_id": "{link}", "revoked_by": "approver"}},
		{op: "revoke-link", as: "approver@acme", method: "DELETE", path: "/v1/links/{link}", status: 404, want: map[string]string{"code": "not_found"}},
		{op: "revoke-link", as: "approver", method: "DELETE", path: "/v1/links/{wait}.aaaaaaaa", status: 404, want: map[string]string{"code": "not_found"}},
		{op: "send-event", as: "operator", method: "POST", path: "/v1/events", body: `{"scope_id":"{waiting}","name":"paid","payload":{"n":1}}`, header: []string{"Idempotency-Key", "e1"}, status: 202, want: map[string]string{"event_id": "e1", "scope": "run"}},
		{op: "send-event", as: "operator", method: "POST", path: "/v1/events", body: `{"scope_id":"{foreign}","name":"paid"}`, status: 404},
		{op: "send-event", as: "operator", method: "POST", path: "/v1/events", body: `{"scope_id":"{done}","name":"paid"}`, status: 409},
		{op: "send-event", as: "operator", method: "POST", path: "/v1/events", body: `{"name":"paid"}`, status: 422, want: map[string]string{"faults.0.path": "scope_id"}},
		{op: "send-event", as: "operator", method: "POST", path: "/v1/events", body: `{"scope":"global","name":"paid"}`, status: 202},
		{op: "send-event", as: "operator@acme", method: "POST", path: "/v1/events", body: `{"scope":"global","name":"paid"}`, status: 403},
		{op: "send-event", as: "refunder", method: "POST", path: "/v1/events", body: `{"scope":"session","scope_id":"s","name":"paid"}`, status: 403},

		{op: "list-workflows", as: "viewer", method: "GET", path: "/v1/workflows", status: 200, want: map[string]string{"workflows.0.workflow": "approval", "workflows.0.input_schema.required.0": "amount", "workflows.1.workflow": "broken"}},
		{op: "list-workflows", as: "refunder", method: "GET", path: "/v1/workflows", status: 200, want: map[string]string{"workflows.0.workflow": "approval", "workflows.1": "null"}},
		{op: "upload-flow", as: "author", method: "POST", path: "/v1/workflows", body: `{"source":"bide: 1\nflow: hello\nsteps:\n  - return: {hello: world}\n"}`, status: 201, want: map[string]string{"workflow": "hello", "newest": "true"}},
		{op: "upload-flow", as: "author", method: "POST", path: "/v1/workflows", body: `{"source":"bide: 1\nflow: hello\nsteps:\n  - aks: x\n"}`, status: 422, want: map[string]string{"code": "invalid_workflow"}},
		{op: "list-versions", as: "viewer", method: "GET", path: "/v1/workflows/approval", status: 200, want: map[string]string{"workflows.0.version": "{version}", "workflows.0.newest": "true"}},
		{op: "list-versions", as: "viewer", method: "GET", path: "/v1/workflows/nothing", status: 404},
		{op: "get-workflow", as: "viewer", method: "GET", path: "/v1/workflows/approval/versions/newest", status: 200, want: map[string]string{"version": "{version}", "document": "true", "title": "Approve a refund"}},
		{op: "get-workflow", as: "viewer", method: "GET", path: "/v1/workflows/broken/versions/1", status: 200, want: map[string]string{"document": "false"}},
		{op: "get-workflow", as: "viewer", method: "GET", path: "/v1/workflows/broken/versions/{version}", status: 404, want: map[string]string{"code": "unknown_workflow"}},
		{op: "get-graph", as: "viewer", method: "GET", path: "/v1/workflows/approval/versions/{version}/graph", status: 200, want: map[string]string{"entry": "@start"}},
		{op: "get-graph", as: "viewer", method: "GET", path: "/v1/workflows/nothing/versions/newest/graph", status: 404},

		{op: "list-tokens", as: "admin", method: "GET", path: "/v1/tokens", status: 200, want: map[string]string{"tokens": "[]"}},
		{op: "create-token", as: "admin", method: "POST", path: "/v1/tokens", body: `{"name":"x","roles":["king"]}`, status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "create-token", as: "admin@acme", method: "POST", path: "/v1/tokens", body: `{"name":"x","roles":["viewer"]}`, status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "create-token", as: "admin", method: "POST", path: "/v1/tokens", body: `{"name":"x","roles":["viewer"]}`, status: 201, want: map[string]string{"name": "x", "actor": "token:x"}},
		{op: "revoke-token", as: "admin", method: "DELETE", path: "/v1/tokens/none", status: 404, want: map[string]string{"code": "not_found"}},

		{op: "list-sessions", as: "admin", method: "GET", path: "/v1/sessions", status: 200, want: map[string]string{"sessions.0.session_id": "s1", "sessions.0.actor": "zoe", "sessions.0.current": "false", "sessions.1.namespace": "acme"}},
		{op: "list-sessions", as: "admin@acme", method: "GET", path: "/v1/sessions", status: 200, want: map[string]string{"sessions.0.actor": "yan", "sessions.1": "null"}},
		{op: "list-sessions", as: "author", method: "GET", path: "/v1/sessions", status: 403},
		{op: "end-session", as: "admin", method: "DELETE", path: "/v1/sessions/s1", status: 204},
		{op: "end-session", as: "admin@acme", method: "DELETE", path: "/v1/sessions/s1", status: 404, want: map[string]string{"code": "not_found"}},
		{op: "list-webhooks", as: "admin", method: "GET", path: "/v1/webhooks", status: 200, want: map[string]string{"webhooks.0.subscription_id": "{webhook}", "webhooks.0.secret": "null"}},
		{op: "list-webhooks", as: "admin@acme", method: "GET", path: "/v1/webhooks", status: 200, want: map[string]string{"webhooks": "[]"}},
		{op: "list-webhooks", as: "author", method: "GET", path: "/v1/webhooks", status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "create-webhook", as: "admin", method: "POST", path: "/v1/webhooks", body: `{"url":"https://example.com/x","types":["run.failed"]}`, status: 201, want: map[string]string{"types": `["run.failed"]`, "created_by": "admin"}},
		{op: "create-webhook", as: "admin", method: "POST", path: "/v1/webhooks", body: `{"url":"ftp://example.com"}`, status: 422, want: map[string]string{"code": "invalid_input", "faults.0.path": "/url"}},
		{op: "delete-webhook", as: "admin", method: "DELETE", path: "/v1/webhooks/{webhook}", status: 204},
		{op: "delete-webhook", as: "admin@acme", method: "DELETE", path: "/v1/webhooks/{webhook}", status: 404, want: map[string]string{"code": "not_found"}},
		{op: "rotate-webhook", as: "admin", method: "POST", path: "/v1/webhooks/{webhook}/rotate", status: 200, want: map[string]string{"url": "null"}},
		{op: "rotate-webhook", as: "admin@acme", method: "POST", path: "/v1/webhooks/{webhook}/rotate", status: 404, want: map[string]string{"code": "not_found"}},
		{op: "rotate-webhook", as: "author", method: "POST", path: "/v1/webhooks/{webhook}/rotate", status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "redeliver-message", as: "admin", method: "POST", path: "/v1/messages/{waiting}/redeliver", status: 404, want: map[string]string{"code": "not_found"}},

		{op: "list-hooks", as: "admin", method: "GET", path: "/v1/hooks", status: 200, want: map[string]string{"hooks.0.hook_id": "{hook}", "hooks.0.secret": "null"}},
		{op: "create-hook", as: "admin", method: "POST", path: "/v1/hooks", body: `{"style":"github","scope":"session","scope_id":"s","name":"pushed","secret":"0123456789abcdef"}`, status: 201, want: map[string]string{"name": "pushed", "secret": "0123456789abcdef"}},
		{op: "create-hook", as: "admin@acme", method: "POST", path: "/v1/hooks", body: `{"style":"github","scope":"global","name":"pushed"}`, status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "create-hook", as: "admin", method: "POST", path: "/v1/hooks", body: `{"style":"smoke","scope":"global","name":"pushed"}`, status: 422, want: map[string]string{"faults.0.path": "/style"}},
		{op: "delete-hook", as: "admin", method: "DELETE", path: "/v1/hooks/{hook}", status: 204},
		{op: "delete-hook", as: "admin", method: "DELETE", path: "/v1/hooks/none", status: 404, want: map[string]string{"code": "not_found"}},

		{op: "migrate-run", as: "author", method: "POST", path: "/v1/runs/{waiting}/migrate", body: `{"version":"{version}","reason":"r"}`, status: 200, want: map[string]string{"run_id": "{waiting}"}},
		{op: "migrate-run", as: "author", method: "POST", path: "/v1/runs/{waiting}/migrate", body: `{"version":"none"}`, status: 404, want: map[string]string{"code": "unknown_workflow"}},
		{op: "migrate-run", as: "author@acme", method: "POST", path: "/v1/runs/{waiting}/migrate", body: `{"version":"{version}"}`, status: 404, want: map[string]string{"code": "not_found"}},
		{op: "migrate-run", as: "operator", method: "POST", path: "/v1/runs/{waiting}/migrate", body: `{"version":"{version}"}`, status: 403, want: map[string]string{"code": "forbidden"}},

		{op: "list-schedules", as: "viewer", method: "GET", path: "/v1/schedules", status: 200, want: map[string]string{"schedules.0.spec.name": "nightly"}},
		{op: "list-schedules", as: "viewer@acme", method: "GET", path: "/v1/schedules", status: 200, want: map[string]string{"schedules": "[]"}},
		{op: "create-schedule", as: "author", method: "POST", path: "/v1/schedules", body: `{"name":"hourly","interval":"1h","workflow":"approval","input":{"amount":2}}`, status: 201, want: map[string]string{"spec.version": "{version}"}},
		{op: "create-schedule", as: "author", method: "POST", path: "/v1/schedules", body: `{"name":"hourly","interval":"1h","workflow":"approval"}`, status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "create-schedule", as: "author", method: "POST", path: "/v1/schedules", body: `{"name":"nightly","interval":"1h","workflow":"approval","input":{"amount":2}}`, status: 409, want: map[string]string{"code": "key_reused"}},
		{op: "get-schedule", as: "viewer", method: "GET", path: "/v1/schedules/nightly", status: 200, want: map[string]string{"spec.cron": "@daily"}},
		{op: "get-schedule-times", as: "viewer", method: "GET", path: "/v1/schedules/nightly/times?limit=3", status: 200, want: map[string]string{"times.3": "null", "time_zone": "UTC"}},
		{op: "create-schedule", as: "author@acme", method: "POST", path: "/v1/schedules", body: `{"name":"nightly","interval":"1h","workflow":"approval","input":{"amount":2}}`, status: 201, want: map[string]string{"spec.name": "nightly", "spec.labels": `{"bide.namespace":"acme"}`}},
		{op: "get-schedule", as: "viewer@acme", method: "GET", path: "/v1/schedules/nightly", status: 404},
		{op: "update-schedule", as: "author", method: "PUT", path: "/v1/schedules/nightly", body: `{"name":"nightly","cron":"0 3 * * *","workflow":"approval","input":{"amount":1}}`, status: 202},
		{op: "update-schedule", as: "author", method: "PUT", path: "/v1/schedules/nightly", body: `{"name":"daily","cron":"0 3 * * *","workflow":"approval","input":{"amount":1}}`, status: 422, want: map[string]string{"faults.0.path": "name"}},
		{op: "pause-schedule", as: "author", method: "POST", path: "/v1/schedules/nightly/pause", status: 200, want: map[string]string{"status": "paused"}},
		{op: "pause-schedule", as: "author", method: "POST", path: "/v1/schedules/nothing/pause", status: 404},
		{op: "unpause-schedule", as: "author", method: "POST", path: "/v1/schedules/nightly/unpause", status: 409},
		{op: "trigger-schedule", as: "operator", method: "POST", path: "/v1/schedules/nightly/trigger", status: 202},
		{op: "trigger-schedule", as: "operator@acme", method: "POST", path: "/v1/schedules/nightly/trigger", status: 404},
		{op: "delete-schedule", as: "author", method: "DELETE", path: "/v1/schedules/nightly", status: 204},
		{op: "delete-schedule", as: "author@acme", method: "DELETE", path: "/v1/schedules/nightly", header: []string{"Idempotency-Key", "k"}, status: 404},

		{op: "put-artifact", as: "operator", method: "POST", path: "/v1/artifacts", body: "hello", status: 201, want: map[string]string{"sha256": "{blob}", "size": "5"}},
		{op: "get-artifact", as: "viewer", method: "GET", path: "/v1/artifacts/{blob}", status: 200},
		{op: "get-artifact", as: "viewer", method: "GET", path: "/v1/artifacts/{blob}", header: []string{"If-None-Match", `"{blob}"`}, status: 304},
		{op: "get-artifact", as: "viewer", method: "GET", path: "/v1/artifacts/" + strings.Repeat("0", 64), status: 404},
		{op: "get-artifact", as: "viewer", method: "GET", path: "/v1/artifacts/abc", status: 422},

		{op: "list-tools", as: "viewer", method: "GET", path: "/v1/tools", status: 200, want: map[string]string{"tools.0.name": "mail", "tools.0.args_schema.required.0": "to",
			"tools.0.safety": "once", "tools.0.source.kind": "function", "tools.0.annotations.destructiveHint": "true", "tools.0.decide": "depends", "tools.0.rules.0.when": `args.to == "boss"`,
			"tools.0.rules.0.decide": "deny", "tools.0.rules.1.decide": "ask", "tools.1.name": "read", "tools.1.decide": "auto", "tools.1.safety": "read_only", "servers": `[{"error":"refused","name":"files","up":false}]`}},
		{op: "list-models", as: "viewer", method: "GET", path: "/v1/models", status: 200, want: map[string]string{"default": "work/big",
			"providers": `[{"base_url":"https://vllm.example.com/v1","key":"env:WORK_KEY","kind":"openai","name":"work"}]`, "prices.0.model": "anthropic/claude-haiku-4-5", "prices.0.cache_read": "0.1"}},
		{op: "list-grants", as: "viewer", method: "GET", path: "/v1/grants", status: 200, want: map[string]string{"grants.0.grant_id": "x.1", "grants.0.of": "nights", "grants.0.tool": "mail", "grants.1.of": "approval", "grants.2": "null"}},
		{op: "list-grants", as: "viewer@acme", method: "GET", path: "/v1/grants", status: 200, want: map[string]string{"grants.0.grant_id": "z.1", "grants.0.of": "approval", "grants.1": "null"}},
		{op: "list-grants", as: "refunder", method: "GET", path: "/v1/grants", status: 200, want: map[string]string{"grants": "[]"}},
		{op: "revoke-shared-grant", as: "approver", method: "DELETE", path: "/v1/grants/y.1?scope=workflow&of=approval", status: 204},
		{op: "revoke-shared-grant", as: "approver@acme", method: "DELETE", path: "/v1/grants/y.1?scope=workflow&of=approval", status: 404, want: map[string]string{"code": "not_found"}},
		{op: "revoke-shared-grant", as: "approver", method: "DELETE", path: "/v1/grants/y.1?scope=run&of=approval", status: 422},
		{op: "revoke-shared-grant", as: "operator", method: "DELETE", path: "/v1/grants/y.1?scope=workflow&of=approval", status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "list-budgets", as: "viewer", method: "GET", path: "/v1/budgets", status: 200, want: map[string]string{"budgets": "[]"}},
		{op: "list-usage", as: "viewer", method: "GET", path: "/v1/usage?q=status:waiting", status: 200, want: map[string]string{"runs": "[]"}},
		{op: "list-usage", as: "viewer", method: "GET", path: "/v1/usage?q=stauts:waiting", status: 422},
		{op: "poll-work", as: "worker", method: "POST", path: "/v1/work", body: `{"worker":"w","types":["resize"],"wait":"1ms"}`, status: 204},
		{op: "poll-work", as: "worker", method: "POST", path: "/v1/work", body: `{"worker":"w","types":["charge"]}`, status: 422, want: map[string]string{"code": "invalid_input", "faults.0.path": "/types"}},
		{op: "poll-work", as: "worker", method: "POST", path: "/v1/work", body: `{"worker":"","types":[]}`, status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "poll-work", as: "operator", method: "POST", path: "/v1/work", body: `{"worker":"w","types":["resize"],"wait":"1ms"}`, status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "heartbeat-call", as: "worker", method: "POST", path: "/v1/work/none/heartbeat", body: `{"token":1}`, status: 409, want: map[string]string{"code": "stale"}},
		{op: "complete-call", as: "worker", method: "POST", path: "/v1/work/none/complete", body: `{"token":1,"result":{"n":1}}`, status: 409, want: map[string]string{"code": "stale"}},
		{op: "complete-call", as: "worker", method: "POST", path: "/v1/work/none/complete", body: `{"result":1}`, status: 422, want: map[string]string{"code": "invalid_input"}},
		{op: "fail-call", as: "worker", method: "POST", path: "/v1/work/none/fail", body: `{"token":1,"message":"no"}`, status: 409, want: map[string]string{"code": "stale"}},
		{op: "fail-call", as: "worker", method: "POST", path: "/v1/work/none/fail", body: `{"token":1}`, status: 422, want: map[string]string{"code": "invalid_input"}},

		{op: "list-workers", as: "admin", method: "GET", path: "/v1/workers", status: 200, want: map[string]string{"workers": "[]"}},
		{op: "list-workers", as: "viewer", method: "GET", path: "/v1/workers", status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "drain-worker", as: "admin", method: "POST", path: "/v1/workers/nobody/drain", status: 404, want: map[string]string{"code": "not_found"}},
		{op: "drain-worker", as: "admin@acme", method: "POST", path: "/v1/workers/nobody/drain", status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "undrain-worker", as: "admin", method: "POST", path: "/v1/workers/nobody/undrain", status: 404, want: map[string]string{"code": "not_found"}},
		{op: "undrain-worker", as: "operator", method: "POST", path: "/v1/workers/nobody/undrain", status: 403, want: map[string]string{"code": "forbidden"}},
		{op: "get-metrics", as: "admin", method: "GET", path: "/metrics", status: 200},
		{op: "get-health", method: "GET", path: "/healthz", status: 200, want: map[string]string{"status": "ok"}},
		{op: "get-readiness", method: "GET", path: "/readyz", status: 200, want: map[string]string{"status": "ok"}},
		{op: "get-description", method: "GET", path: "/openapi.json", status: 200, want: map[string]string{"openapi": "3.1.0"}},
		{op: "stream-run", as: "viewer", method: "GET", path: "/v1/runs/{foreign}/stream", status: 404},
		{op: "stream-run", as: "viewer", method: "GET", path: "/v1/runs/{waiting}/stream?after=x", status: 422},
		{op: "stream-tree", as: "viewer", method: "GET", path: "/v1/runs/{foreign}/tree/stream", status: 404},
		{op: "stream-all", as: "viewer", method: "GET", path: "/v1/stream", header: []string{"Last-Event-ID", "-7"}, status: 422},
		{op: "stream-waits", as: "viewer", method: "GET", path: "/v1/waits/stream?colour=red", status: 422},
	}
	covered := map[string]bool{}
	for _, c := range cases {
		covered[c.op] = true
		t.Run(c.op+" "+c.as+" "+c.path+" "+c.body, func(t *testing.T) {
			s := newServer(t, equipped(t, &gateway.Options{Workflows: []bide.Workflow{broken()}}))
			fixtures := s.fixtures()
			fill := func(text string) string {
				for name, value := range fixtures {
					text = strings.ReplaceAll(text, "{"+name+"}", value)
				}
				return text
			}
			header := slices.Clone(c.header)
			for i := range header {
				header[i] = fill(header[i])
			}
			got := s.ask(c.as, c.method, fill(c.path), fill(c.body), header...)
			if got.Status != c.status {
				t.Fatalf("%s %s = %d %s, want %d", c.method, c.path, got.Status, got.Body, c.status)
			}
			if c.status >= 400 && (got.Header.Get("Content-Type") != "application/problem+json" || got.field(t, "type") != "urn:bide:problem:"+got.field(t, "code")) {
				t.Errorf("a refusal is no problem: %v %s", got.Header, got.Body)
			}
			for path, want := range c.want {
				if have := got.field(t, path); have != fill(want) {
					t.Errorf("%s %s: %s = %s, want %s, in %s", c.method, c.path, path, have, fill(want), got.Body)
				}
			}
		})
	}
	for _, op := range newServer(t, nil).Operations() {
		if !covered[op.ID] {
			t.Errorf("no case for %s (of %q)", op.ID, slices.Sorted(maps.Keys(covered)))
		}
	}
}

// The permission matrix: every operation by every role.
func TestEveryOperationNeedsItsRight(t *testing.T) {
	s := newServer(t, nil)
	nothing := map[string]string{"run": "r", "other": "o", "wait": "r.1", "command": "c", "call": "c", "grant": "g", "webhook": "h", "hook": "h", "token": "t", "name": "n", "workflow": "w", "version": "v", "sha256": strings.Repeat("0", 64), "worker": "w"}
	roles := []string{"", "viewer", "operator", "approver", "author", "admin", "worker", "stranger"}
	rights := map[string][]string{
		"view": {"viewer", "operator", "approver", "author", "admin"}, "operate": {"operator", "author", "admin"},
		"decide": {"approver", "admin"}, "author": {"author", "admin"}, "admin": {"admin"}, "work": {"worker", "admin"}, "installation": {"admin"},
	}
	for _, op := range s.Operations() {
		path := op.Path
		for name, value := range nothing {
			path = strings.ReplaceAll(path, "{"+name+"}", value)
		}
		for _, role := range roles {
			allowed := op.Right == "" || slices.Contains(rights[string(op.Right)], role)
			if op.Stream && allowed {
				continue // it would not end
			}
			got := s.ask(role, op.Method, path, "")
			refused := got.Status == http.StatusUnauthorized || got.Status == http.StatusForbidden
			if refused == allowed {
				t.Errorf("%s as %q = %d %s, want allowed %v", op.ID, role, got.Status, got.Body, allowed)
			}
			if !allowed && (got.Status == http.StatusUnauthorized) != (role == "") {
				t.Errorf("%s as %q = %d", op.ID, role, got.Status)
			}
		}
	}
}
