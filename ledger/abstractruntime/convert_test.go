package abstractruntime_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/abstractruntime"
	"github.com/bide-dev/bide/ledger/transfer"
	"github.com/bide-dev/bide/store/mem"
)

var ctx = context.Background()

// step is a line of a ledger, with the members that the tests do not vary.
func step(id, stepID, node, status, effect, result, rest string) string {
	return `{"run_id": "` + id + `", "step_id": "` + stepID + `", "node_id": "` + node + `", "status": "` + status + `", "effect": ` + effect +
		`, "result": ` + result + `, "error": null, "started_at": "2026-11-22T23:20:55.511192+00:00", "ended_at": "2026-11-22T23:20:56+00:00", "actor_id": "act", "session_id": "sess", "attempt": 1, "idempotency_key": "` + stepID + `"` + rest + `}`
}

// checkpoint is a run's file.
func checkpoint(id, status, vars, waiting, output, rest string) string {
	return `{"run_id": "` + id + `", "workflow_id": "demo", "status": "` + status + `", "current_node": "ask", "vars": ` + vars + `, "waiting": ` + waiting +
		`, "output": ` + output + `, "error": null, "created_at": "2026-11-22T23:20:55+00:00", "updated_at": "2026-11-22T23:21:00Z", "actor_id": "act", "session_id": "sess", "parent_run_id": null` + rest + `}`
}

const (
	noChain = `, "prev_hash": null, "record_hash": null, "signature": null`
	asks    = `{"reason": "user", "wait_key": "user:w:ask", "until": null, "resume_to_node": "done", "result_key": "ans", "prompt": "Name?", "choices": ["a", "b"], "allow_free_text": false, "details": null}`
)

// data is a directory as AbstractRuntime writes it: the checkpoints and the ledgers by run.
var data = map[string][2]string{
	"ended": {checkpoint("ended", "completed", `{"x": 1, "big": 9007199254740993}`, "null", `{"a": 1.50}`, ""),
		step("ended", "s1", "ask", "started", `{"type": "llm_call", "payload": {"p": 1}, "result_key": "r"}`, "null", noChain) + "\n" +
			step("ended", "s1", "ask", "completed", `{"type": "llm_call", "payload": {"p": 1}, "result_key": "r"}`, `{"t": "<hi>"}`, noChain) + "\n\n" +
			step("ended", "s2", "ask", "waiting", `{"type": "ask_user", "payload": {}, "result_key": "r"}`, `{"wait": {"reason": "user"}}`, noChain) + "\n" +
			step("ended", "s3", "ask", "completed", `{"type": "resume", "payload": {}, "result_key": null}`, `"yes"`, noChain) + "\n" +
			step("ended", "s4", "done", "completed", "null", `{"completed": true}`, noChain) +
			step("ended", "s5", "done", "completed", `{"type": "emit_event", "payload": {}, "result_key": null}`, `NaN`, noChain) + "\n"},
	"asking": {checkpoint("asking", "waiting", `{"x": 1, "_runtime": {"node_traces": {}}}`, asks, "null", ""),
		step("asking", "s1", "ask", "started", `{"type": "ask_user", "payload": {}, "result_key": "ans"}`, "null", noChain) + "\n" +
			step("asking", "s1", "ask", "waiting", `{"type": "ask_user", "payload": {}, "result_key": "ans"}`, `{"wait": {"reason": "user"}}`, noChain) + "\n"},
	"torn": {checkpoint("torn", "failed", `{}`, "null", "null", ""),
		step("torn", "s1", "ask", "started", "null", "null", noChain)[:90] + step("torn", "s2", "ask", "failed", `{"type": "llm_call", "payload": {}, "result_key": null}`, "null", noChain) + "\n"},
	"busy":  {checkpoint("busy", "running", `{}`, "null", "null", ""), step("busy", "s1", "ask", "started", `{"type": "tool_calls", "payload": {}, "result_key": null}`, "null", noChain) + "\n"},
	"event": {checkpoint("event", "waiting", `{}`, strings.NewReplacer(`"user"`, `"event"`, "user:w:ask", "evt:run:event:go").Replace(asks), "null", ""), ""},
	"timer": {checkpoint("timer", "waiting", `{}`, strings.NewReplacer(`"user"`, `"until"`, `"until": null`, `"until": "2026-12-01T00:00:00+01:00"`).Replace(asks), "null", ""), ""},
	"never": {checkpoint("never", "waiting", `{}`, strings.NewReplacer(`"user"`, `"until"`, `"until": null`, `"until": "tomorrow"`).Replace(asks), "null", ""), ""},
	"still": {checkpoint("still", "waiting", `{}`, strings.NewReplacer("user:w:ask", "pause:still").Replace(asks), "null", ""), ""},
	"child": {strings.Replace(checkpoint("child", "cancelled", `{}`, "null", "null", ""), `"parent_run_id": null`, `"parent_run_id": "ended"`, 1), ""},
}

func directory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for id, d := range data {
		write(t, filepath.Join(dir, "run_"+id+".json"), d[0])
		if d[1] != "" {
			write(t, filepath.Join(dir, "ledger_"+id+".jsonl"), d[1])
		}
	}
	write(t, filepath.Join(dir, "run_broken.json"), `{"run_id": "bro`)
	write(t, filepath.Join(dir, "run_up.json"), strings.Replace(data["busy"][0], `"busy"`, `"../../up"`, 1))
	write(t, filepath.Join(dir, "commands.jsonl"), "")
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func database(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "runs.sqlite3")
	conn, err := sqlite3.Open("file:" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	exec := func(sql string, args ...string) {
		stmt, _, err := conn.Prepare(sql)
		if err != nil {
			t.Fatal(err)
		}
		defer stmt.Close()
		for i, a := range args {
			if err := stmt.BindText(i+1, a); err != nil {
				t.Fatal(err)
			}
		}
		if err := stmt.Exec(); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE runs(run_id TEXT PRIMARY KEY, workflow_id TEXT, status TEXT, created_at TEXT, run_json TEXT)")
	exec("CREATE TABLE ledger(run_id TEXT, seq INTEGER, record_json TEXT, PRIMARY KEY(run_id, seq))")
	for id, d := range data {
		exec("INSERT INTO runs VALUES (?, 'demo', '', '', ?)", id, d[0])
		for line := range strings.Lines(d[1]) {
			exec("INSERT INTO ledger SELECT ?, coalesce(max(seq), 0) + 1, ? FROM ledger", id, line)
		}
	}
	exec("INSERT INTO runs VALUES ('broken', 'demo', '', '', '{')")
	return name
}

func TestRunsOfAbstractRuntimeAreReadAndGoOn(t *testing.T) {
	for name, path := range map[string]string{"directory": directory(t), "SQLite": database(t)} {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			rep, err := abstractruntime.Convert(path, &file, nil)
			if err != nil {
				t.Fatal(err)
			}
			if rep.Runs != 9 || rep.Waiting != 4 || rep.ChainsNone != 9 {
				t.Errorf("Convert = %+v, want 9 runs, 4 of them waiting, 9 without chains", rep)
			}
			said(t, rep, "", "broken")
			said(t, rep, "torn", "torn and lost")
			said(t, rep, "busy", "paused")
			said(t, rep, "never", "no time")
			said(t, rep, "ended", "no numbers")
			s := mem.New()
			if _, err := transfer.Import(ctx, s, bytes.NewReader(file.Bytes()), &transfer.ImportOptions{Live: true}); err != nil {
				t.Fatal(err)
			}
			if rep, err := ledger.VerifyStore(ctx, s, nil); err != nil || !rep.OK() {
				t.Errorf("VerifyStore = %+v, %v", rep, err)
			}
			check(t, s)
		})
	}
}

// said checks that a note about a run says something.
func said(t *testing.T, rep *abstractruntime.Report, id, what string) {
	t.Helper()
	for _, n := range rep.Notes {
		if n.RunID == id && strings.Contains(n.Message, what) {
			return
		}
	}
	t.Errorf("no note about run %q says %q: %v", id, what, rep.Notes)
}

// check looks at the imported runs and lets those that wait go on.
func check(t *testing.T, s *mem.Store) {
	t.Helper()
	rt := bide.Must(bide.New(s, nil))
	demo := bide.Workflow{ID: "demo", Version: "1", Entry: "ask", Nodes: bide.Nodes{
		"ask": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete("asked again"), nil },
		"done": func(r *bide.Run) (bide.StepPlan, error) {
			x, err := bide.Get[any](r.Vars, "x")
			ans, err2 := bide.Get[any](r.Vars, "ans")
			return bide.Complete(map[string]any{"x": x, "ans": ans}), errors.Join(err, err2)
		},
	}}
	if err := rt.Register(demo); err != nil {
		t.Fatal(err)
	}
	get := func(id string) *bide.Run {
		run, err := rt.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	ended := get("ended")
	if ended.Status != bide.StatusCompleted || string(ended.Output) != `{"a":1.50}` || ended.Session != "sess" || ended.Actor != "act" {
		t.Errorf("the ended run is %+v with output %s", ended.RunInfo, ended.Output)
	}
	if big, _, err := ended.Vars.Raw("big"); err != nil || string(big) != "9007199254740993" {
		t.Errorf("vars.big = %s, %v", big, err)
	}
	kept := 0
	for rec, err := range rt.Ledger(ctx, "ended", 1) {
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(rec.Data, []byte(`"abstractruntime":{"run_id":"ended"`)) {
			kept++
		}
	}
	if kept < 6 {
		t.Errorf("%d records carry those that they were made of, want all 6", kept)
	}
	if child := get("child"); child.Parent != "ended" || child.Root != "ended" || child.Status != bide.StatusCancelled {
		t.Errorf("the child is %+v", child.RunInfo)
	}
	asking := get("asking")
	if len(asking.Waits) != 1 || asking.Waits[0].Message != "Name?" || asking.Waits[0].Kind != bide.WaitQuestion {
		t.Fatalf("the asking run waits for %+v", asking.Waits)
	}
	if _, err := rt.Resume(ctx, "asking", asking.Waits[0].ID, "c"); !errors.Is(err, bide.ErrInvalidAnswer) {
		t.Errorf("an answer that is no choice: %v", err)
	}
	if _, err := rt.Resume(ctx, "asking", asking.Waits[0].ID, "b"); err != nil {
		t.Fatal(err)
	}
	if run, err := rt.Tick(ctx, "asking"); err != nil || string(run.Output) != `{"ans":{"choice":"b"},"x":1}` {
		t.Errorf("the run that was answered gives %s, %v", run.Output, err)
	}
	if err := rt.Send(ctx, bide.Event{Scope: bide.ScopeRun, ScopeID: "event", Name: "go"}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"event", "timer"} {
		if run, err := rt.Tick(ctx, id); err != nil || run.Node != map[string]string{"event": "done", "timer": "ask"}[id] {
			t.Errorf("run %s is at %q, %v", id, run.Node, err)
		}
	}
	for _, id := range []string{"busy", "still"} {
		if run := get(id); run.Status != bide.StatusPaused {
			t.Errorf("run %s is %s, want paused", id, run.Status)
		}
	}
	if run := get("never"); len(run.Waits) != 1 || run.Waits[0].Kind != bide.WaitCustom {
		t.Errorf("the run without a time waits for %+v", run.Waits)
	}
}

// The vectors are those that the Python program gives.
func TestHashChainsOfAbstractRuntimeAreChecked(t *testing.T) {
	record := func(prev, hash string) string {
		return `{"run_id": "r", "step_id": "s", "node_id": "n", "status": "completed", "effect": null, "result": {"\u00e9": 1.5}, "error": null, "started_at": "2026-01-01T00:00:00+00:00", "ended_at": null, "actor_id": null, "session_id": null, "attempt": 1, "idempotency_key": null, "prev_hash": ` + prev + `, "record_hash": "` + hash + `", "signature": null}`
	}
	const first = "5a3f20ef4c818711d8bbf7b4f0bfcc62377ef90ba22f1eff82e1bc309c2ac82f"
	const afterAB = "e90beb2fb983f4d81802cd79b21abb32d4ee08a06432a8fea6831dc585b82ac7"
	for name, c := range map[string]struct{ text, want string }{
		"one that holds":      {record("null", first), ""},
		"one that is changed": {strings.Replace(record("null", first), "1.5", "1.6", 1), "record 1 was changed"},
		"one that is cut":     {record(`"ab"`, afterAB), "record 1 does not follow"},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "run_r.json"), checkpoint("r", "completed", "{}", "null", "1", ""))
		write(t, filepath.Join(dir, "ledger_r.jsonl"), c.text+"\n")
		var file bytes.Buffer
		rep, err := abstractruntime.Convert(dir, &file, nil)
		if err != nil || rep.Runs != 1 {
			t.Fatalf("%s: Convert = %+v, %v", name, rep, err)
		}
		if c.want == "" && (rep.ChainsOK != 1 || len(rep.Notes) > 0) {
			t.Errorf("%s: %+v", name, rep)
		}
		if c.want != "" {
			said(t, rep, "r", c.want)
		}
	}
}

func TestWhatIsNoDataOfAbstractRuntimeIsRefused(t *testing.T) {
	other := filepath.Join(t.TempDir(), "x")
	write(t, other, "not a database")
	for path, want := range map[string]error{other: bide.ErrStoreForeign, other + "y": bide.ErrNotFound} {
		if _, err := abstractruntime.Convert(path, &bytes.Buffer{}, nil); !errors.Is(err, want) {
			t.Errorf("Convert(%s) = %v, want %v", path, err, want)
		}
	}
	// A link that leads out of the directory is not followed.
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "run_x.json")
	write(t, outside, checkpoint("x", "completed", "{}", "null", "1", ""))
	if err := os.Symlink(outside, filepath.Join(dir, "run_x.json")); err != nil {
		t.Fatal(err)
	}
	if rep, err := abstractruntime.Convert(dir, &bytes.Buffer{}, nil); err == nil && rep.Runs > 0 {
		t.Errorf("Convert followed a link out of the directory: %+v", rep)
	}
}
