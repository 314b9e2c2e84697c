package seal_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/ledger/transfer"
	"github.com/bide-dev/bide/seal"
)

// secret stands in everything that the scenario puts into a store.
const secret = "Kennwort-4711"

// scatter puts the secret everywhere: input, prompts, choices, answers, events taken, kept and waiting, children, forks,
// results, errors, writes, snapshots, commands, documents, waits of handlers and their state.
func scatter(t *testing.T, s engine.Store) {
	t.Helper()
	rt := bide.Must(bide.New(s, &bide.Options{SnapshotBytes: 1000}))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rt.Handle("fail", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		return bide.Outcome{}, errors.New("no " + secret)
	})
	rt.Handle("wait", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		return bide.Waiting(bide.Wait{Kind: bide.WaitCustom, Key: "job", Message: secret, Details: bide.JSON(`"` + secret + `"`), State: bide.JSON(`"` + secret + `"`)}), nil
	})
	child := bide.Workflow{ID: "child", Version: "1", Entry: "n", Nodes: bide.Nodes{"n": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Complete(secret), nil
	}}}
	wf := bide.Workflow{ID: "parent", Version: "1", Entry: "ask", Nodes: bide.Nodes{
		"ask": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.Ask("Tell "+secret, &bide.AskOptions{Choices: []string{secret, "no"}}).As("answer")).Then("event").Set("a", strings.Repeat(secret, 50)), nil
		},
		"event": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.WaitEvent("news", &bide.EventOptions{Scope: bide.ScopeSession}).As("event")).Then("child").Set("b", strings.Repeat(secret, 50)), nil
		},
		"child": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.StartRun("child", secret, nil).As("child")).Then("fail").Set("c", strings.Repeat(secret, 50)), nil
		},
		"fail": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.Call("fail", secret)).OnError("wait").Then("wait"), nil
		},
		"wait": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.Call("wait", secret)).ThenComplete(nil), nil
		},
	}}
	must(rt.Register(child, wf))
	run, err := rt.Run(ctx, wf, map[string]string{"x": secret}, &bide.StartOptions{RunID: "r", Session: "s", Command: bide.Command{ID: "start"}})
	must(err)
	must(rt.Send(ctx, bide.Event{ID: "e1", Scope: bide.ScopeSession, ScopeID: "s", Name: "news", Payload: secret}))
	must(rt.Send(ctx, bide.Event{ID: "e2", Scope: bide.ScopeSession, ScopeID: "s", Name: "other", Payload: secret}))
	must(rt.Send(ctx, bide.Event{ID: "e3", ScopeID: "r", Name: "later", Payload: secret}))
	must(rt.Send(ctx, bide.Event{ID: "e4", Scope: bide.ScopeGlobal, Name: "all", Payload: secret, Keep: time.Hour}))
	_, err = rt.Resume(ctx, "r", run.Waits[0].ID, secret, bide.Command{ID: "answer", Actor: "ann"})
	must(err)
	_, err = rt.Tick(ctx, "r")
	must(err)
	page, err := rt.Runs(ctx, bide.RunQuery{Parent: "r"})
	must(err)
	_, err = rt.Tick(ctx, page.Runs[0].ID)
	must(err)
	run, err = rt.Tick(ctx, "r")
	must(err)
	if run.Node != "wait" || len(run.Waits) != 1 {
		t.Fatalf("the run is at %q with waits %v, want it to wait at the end", run.Node, run.Waits)
	}
	_, err = rt.Fork(ctx, "r", 4, nil)
	must(err)
	_, err = s.PutDocument(ctx, bide.Document{Kind: "note", ID: "n", Body: bide.JSON(`"` + secret + `"`)})
	must(err)
}

// files are the contents of all files below a folder.
func files(t *testing.T, dir string) (out []byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		out = append(out, text...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tables are all rows of all tables of a database.
func tables(t *testing.T, url string) (out []byte) {
	t.Helper()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	text := func(sql string) (all []string) {
		rows, err := conn.Query(ctx, sql)
		if err == nil {
			all, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	for _, name := range text(`SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`) {
		for _, row := range text(`SELECT t::text FROM ` + name + ` t`) {
			out = append(append(out, row...), '\n')
		}
		// bytea is written in hex
		out = append(out, strings.Join(text(`SELECT encode(convert_to(t::text, 'UTF8'), 'escape') FROM `+name+` t`), "\n")...)
	}
	return out
}

func TestNothingLeaksIntoTheStore(t *testing.T) {
	for _, kind := range []string{"sqlite", "file", "postgres"} {
		for _, plain := range []bool{true, false} {
			dir := t.TempDir()
			url := map[string]string{"sqlite": "sqlite:" + filepath.Join(dir, "bide.db"), "file": "file:" + filepath.Join(dir, "runs")}[kind]
			if kind == "postgres" {
				url = pgtest.Start(t)
			}
			inner, err := engine.OpenStore(ctx, url)
			if err != nil {
				t.Fatal(err)
			}
			s := inner
			if !plain {
				s = sealed(t, inner, line(t, "k"))
			}
			scatter(t, s)
			var export bytes.Buffer
			if _, err := transfer.Export(ctx, s, &export, nil); err != nil {
				t.Fatal(err)
			}
			live := files(t, dir)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			kept := map[string][]byte{"the files while open": live, "the files": files(t, dir), "an export": export.Bytes()}
			if kind == "postgres" {
				kept = map[string][]byte{"the tables": tables(t, url), "an export": export.Bytes()}
			}
			for where, text := range kept {
				hexed := []byte("4b656e6e776f72742d34373131") // of bytea
				if found := bytes.Contains(text, []byte(secret)) || bytes.Contains(text, hexed); found != plain {
					t.Errorf("%s, encrypted %v: the secret is in %s: %v", kind, !plain, where, found)
				}
			}
		}
	}
}

var _ engine.Store = (*seal.Store)(nil)
