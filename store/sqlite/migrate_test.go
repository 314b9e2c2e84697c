package sqlite_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/storetest"
)

// layout makes a file with runs in it, written in the first layout and brought to a later one.
func layout(t *testing.T, path string, version int, commits ...*bide.Commit) {
	t.Helper()
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, name := range files[:version] {
		step, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, string(step))
	}
	var sql strings.Builder
	fmt.Fprintf(&sql, "PRAGMA journal_mode = wal; %s; PRAGMA application_id = 0x62696465; PRAGMA user_version = %d;", steps[0], version)
	for n, c := range commits {
		wake := "NULL"
		if !c.Info.WakeAt.IsZero() {
			wake = fmt.Sprint(c.Info.WakeAt.UnixMicro())
		}
		labels := "NULL"
		if c.Info.Labels != nil {
			text, err := json.Marshal(c.Info.Labels)
			if err != nil {
				t.Fatal(err)
			}
			labels = fmt.Sprintf("'%s'", text)
		}
		fmt.Fprintf(&sql, `INSERT INTO runs (run_no, run_id, seq, head, status, wake_at, node, step, version, definition, updated_at,
			workflow, run_key, session, actor, parent, labels, created_at) VALUES (%d, '%s', %d, X'%s', '%s', %s, '', 0, '%s', '%s', %d, '%s', '', '%s', '', '%s', %s, %d);`,
			n+1, c.RunID, c.Info.Seq, c.Info.Head, c.Info.Status, wake, c.Info.Version, c.Info.Definition, c.Info.UpdatedAt.UnixMicro(),
			c.Info.Workflow, c.Info.Session, c.Info.Parent, labels, c.Info.CreatedAt.UnixMicro())
		for _, r := range c.Records {
			fmt.Fprintf(&sql, "INSERT INTO ledger (run_no, seq, body) VALUES (%d, %d, '%s');", n+1, r.Seq, r.Raw)
		}
		for _, w := range c.Opened {
			fmt.Fprintf(&sql, `INSERT INTO waits (wait_id, kind, wait_key, created_at, body) VALUES ('%s', '%s', '%s', %d, '{"wait_id":"%[1]s"}');`,
				w.ID, w.Kind, w.Key, w.CreatedAt.UnixMicro())
		}
	}
	runOn(t, path, sql.String()+strings.Join(steps[1:], ""))
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
	layout(t, path, 1, commits...)

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

// TestRunsOfOlderLayoutsAreListedAndFed: what layout 4 finds by was not stored before.
func TestRunsOfOlderLayoutsAreListedAndFed(t *testing.T) {
	for version := 1; version <= 4; version++ {
		tree := map[string]*storetest.Chain{}
		for id, parent := range map[string]string{"root": "", "child": "root", "grandchild": "child", "orphan": "gone", "other": ""} {
			c := storetest.NewChain(id)
			c.Info.Parent, c.Info.Labels = parent, map[string]string{"name": id, "team": "é\""}
			tree[id] = c
		}
		tree["root"].Info.Status, tree["child"].Info.Status, tree["grandchild"].Info.Status = bide.StatusWaiting, bide.StatusCompleted, bide.StatusWaiting
		tree["other"].Info.Labels = nil
		var commits []*bide.Commit
		for i, id := range []string{"grandchild", "child", "orphan", "root", "other"} { // whatever the order
			commits = append(commits, tree[id].Next(i+1))
		}
		commits[0].Opened = []bide.Wait{{ID: "grandchild.1", Kind: bide.WaitQuestion}, {ID: "grandchild.2", Kind: bide.WaitForEvent, Key: "k"}}
		commits[3].Opened = []bide.Wait{{ID: "root.1", Kind: bide.WaitChild, Key: "run:child"}}
		path := dbPath(t)
		layout(t, path, version, commits...)
		s := open(t, path, nil)
		for _, test := range []struct {
			query bide.RunQuery
			want  []string
		}{
			{bide.RunQuery{Root: "root"}, []string{"root", "grandchild", "child"}},
			{bide.RunQuery{Root: "orphan"}, []string{"orphan"}},
			{bide.RunQuery{Root: "child"}, nil},
			{bide.RunQuery{Labels: map[string]string{"team": "é\""}}, []string{"root", "orphan", "grandchild", "child"}},
			{bide.RunQuery{Labels: map[string]string{"team": "é\"", "name": "child"}}, []string{"child"}},
			{bide.RunQuery{Waiting: bide.WaitQuestion}, []string{"grandchild"}},
			{bide.RunQuery{Order: bide.OrderUpdated}, []string{"other", "root", "orphan", "child", "grandchild"}},
		} {
			page, err := s.Runs(t.Context(), test.query)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range page.Runs {
				got = append(got, r.ID)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("layout %d: Runs(%+v) = %q, want %q", version, test.query, got, test.want)
			}
		}
		for _, test := range []struct {
			query bide.WaitQuery
			want  []string
		}{{bide.WaitQuery{Root: "root"}, []string{"grandchild.1", "grandchild.2", "root.1"}}, {bide.WaitQuery{Run: "root"}, []string{"root.1"}}} {
			page, err := s.Waits(t.Context(), test.query)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range page.Waits {
				got = append(got, w.ID)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("layout %d: Waits(%+v) = %q, want %q", version, test.query, got, test.want)
			}
		}
		fed, err := s.Feed(t.Context(), bide.FeedQuery{})
		if err != nil || len(fed.Records) != 15 || fed.Records[0].RunID != "grandchild" || string(fed.Records[14].Body) != string(commits[4].Records[4].Raw) {
			t.Errorf("layout %d: Feed = %d records, %v, want the 15 in the order of writing", version, len(fed.Records), err)
		}
		if fed, err := s.Feed(t.Context(), bide.FeedQuery{Root: "root"}); err != nil || fed.Next != 15 {
			t.Errorf("layout %d: Feed of a tree looks up to %d, %v, want 15", version, fed.Next, err)
		}
		must(t, s, tree["child"].Next(1), tree["other"].Next(1))
	}
}

// TestTheLedgerOfOlderLayoutsGoesOn: they have a row for each record. Those who follow the feed go on where they were.
func TestTheLedgerOfOlderLayoutsGoesOn(t *testing.T) {
	for version := 1; version <= 4; version++ {
		a, b := storetest.NewChain("a"), storetest.NewChain("b")
		ofA, ofB := []*bide.Commit{a.NextWith("1", "{\n}", "3")}, []*bide.Commit{b.Next(4)}
		path := dbPath(t)
		layout(t, path, version, ofA[0], ofB[0])
		s := open(t, path, nil)
		for i := range 3 {
			ofA, ofB = append(ofA, a.Next(2+i)), append(ofB, b.Next(1))
			must(t, s, ofA[i+1], ofB[i+1])
		}
		wantRecords(t, s, "a", texts(ofA...))
		wantRecords(t, s, "b", texts(ofB...))
		want := append(texts(ofA[0], ofB[0])[5:], texts(ofA[1], ofB[1], ofA[2], ofB[2], ofA[3], ofB[3])...)
		page, err := s.Feed(t.Context(), bide.FeedQuery{After: 5})
		if err != nil || len(page.Records) != len(want) || page.More {
			t.Fatalf("layout %d: Feed after record 5 = %d records, %v, want %d", version, len(page.Records), err, len(want))
		}
		for i, r := range page.Records {
			if r.Pos != int64(6+i) || string(r.Body) != string(want[i]) {
				t.Errorf("layout %d: position %d of the feed has %s, want %s at %d", version, r.Pos, r.Body, want[i], 6+i)
			}
		}
		must(t, s, &bide.Commit{RunID: "a", Expect: a.Info.Position(), Delete: true})
		wantRecords(t, s, "b", texts(ofB...))
		if _, err := s.Records(t.Context(), "a", 1, 1); code(err) != bide.CodeNotFound {
			t.Errorf("layout %d: Records of a deleted run = %v, want code %s", version, err, bide.CodeNotFound)
		}
	}
}

// claimQuery is what a worker asks for that has the workflow of every chain.
func claimQuery(owner string, limit int) bide.ClaimQuery {
	return bide.ClaimQuery{Owner: owner, Now: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC), Limit: limit, Workflows: []bide.WorkflowVersion{{ID: "wf", Version: "1"}}}
}
