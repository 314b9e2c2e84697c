package sqlite_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/storetest"
)

// layout1 makes a file of the first layout with runs in it.
func layout1(t *testing.T, path string, commits ...*bide.Commit) {
	t.Helper()
	schema, err := os.ReadFile("migrations/0001_runs.sql")
	if err != nil {
		t.Fatal(err)
	}
	var sql strings.Builder
	fmt.Fprintf(&sql, "PRAGMA journal_mode = wal; %s; PRAGMA application_id = 0x62696465; PRAGMA user_version = 1;", schema)
	for n, c := range commits {
		wake := "NULL"
		if !c.Info.WakeAt.IsZero() {
			wake = fmt.Sprint(c.Info.WakeAt.UnixMicro())
		}
		fmt.Fprintf(&sql, `INSERT INTO runs (run_no, run_id, seq, head, status, wake_at, node, step, version, definition, updated_at,
			workflow, run_key, session, actor, parent, created_at) VALUES (%d, '%s', %d, X'%s', '%s', %s, '', 0, '%s', '%s', %d, '%s', '', '%s', '', '%s', %d);`,
			n+1, c.RunID, c.Info.Seq, c.Info.Head, c.Info.Status, wake, c.Info.Version, c.Info.Definition, c.Info.UpdatedAt.UnixMicro(),
			c.Info.Workflow, c.Info.Session, c.Info.Parent, c.Info.CreatedAt.UnixMicro())
		for _, r := range c.Records {
			fmt.Fprintf(&sql, "INSERT INTO ledger (run_no, seq, body) VALUES (%d, %d, '%s');", n+1, r.Seq, r.Raw)
		}
		for _, w := range c.Opened {
			fmt.Fprintf(&sql, `INSERT INTO waits (wait_id, kind, wait_key, created_at, body) VALUES ('%s', '%s', '%s', %d, '{"wait_id":"%[1]s"}');`,
				w.ID, w.Kind, w.Key, w.CreatedAt.UnixMicro())
		}
	}
	runOn(t, path, sql.String())
}

func TestAStoreOfTheFirstLayoutIsUpgraded(t *testing.T) {
	now := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	running, due, waiting, dotted := storetest.NewChain("running"), storetest.NewChain("due"), storetest.NewChain("waiting"), storetest.NewChain("a.1")
	running.Info.Session, running.Info.Parent = "s", "p"
	due.Info.Status, due.Info.WakeAt = bide.StatusWaiting, now
	waiting.Info.Status, dotted.Info.Status = bide.StatusWaiting, bide.StatusWaiting
	commits := []*bide.Commit{running.Next(2), due.Next(1), waiting.Next(3), dotted.Next(1)}
	commits[2].Opened = []bide.Wait{{ID: "waiting.1", Kind: bide.WaitForEvent, Key: "evt:session:s:x", CreatedAt: now}, {ID: "waiting.2", Kind: bide.WaitQuestion, CreatedAt: now}}
	commits[3].Opened = []bide.Wait{{ID: "a.1.12", Kind: bide.WaitForEvent, Key: "evt:session:s:*", CreatedAt: now}}
	path := dbPath(t)
	layout1(t, path, commits...)

	_, err := sqlite.Open(t.Context(), path, &sqlite.Options{ReadOnly: true})
	wantFailure(t, "Open for reading", err, bide.CodeStoreReadOnly, path)
	for range 2 { // the second time there is nothing to do
		s := open(t, path, nil)
		for _, c := range commits {
			wantPosition(t, s, c.RunID, c.Info.Position())
		}
		for _, q := range []bide.RunQuery{{Session: "s"}, {Parent: "p"}} {
			page, err := s.Runs(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]bide.RunInfo{commits[0].Info}, page.Runs); diff != "" {
				t.Errorf("Runs(%+v) (-want +got):\n%s", q, diff)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, path, nil)
	must(t, s, &bide.Commit{Send: []bide.Message{{ID: "m", Key: "evt:session:s:x", At: now}}})
	claims, err := s.Claim(t.Context(), claimQuery("w", 10))
	got := map[string]bool{}
	for _, c := range claims {
		got[c.RunID] = true
	}
	if want := map[string]bool{"running": true, "due": true, "waiting": true, "a.1": true}; err != nil || !cmp.Equal(got, want) {
		t.Errorf("Claim = %v, %v, want %v", got, err, want)
	}
	must(t, s, running.Next(1), waiting.Next(1))
}

// claimQuery is what a worker asks for that has the workflow of every chain.
func claimQuery(owner string, limit int) bide.ClaimQuery {
	return bide.ClaimQuery{Owner: owner, Now: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC), Limit: limit, Workflows: []bide.WorkflowVersion{{ID: "wf", Version: "1"}}}
}
