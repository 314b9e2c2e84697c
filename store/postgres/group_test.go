package postgres_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/store/postgres"
	"github.com/bide-dev/bide/storetest"
)

// together makes commits share one transaction, as far as they may: it holds up
// one commit at the server until all the others wait, in order. It returns their outcomes.
func together(t *testing.T, s *postgres.Store, conn *pgx.Conn, commits []*bide.Commit) []error {
	t.Helper()
	gate := storetest.NewChain("gate")
	must(t, s, gate.Next(1))
	run(t, conn, "BEGIN")
	run(t, conn, "SELECT 1 FROM runs WHERE run_id = 'gate' FOR UPDATE")
	var all sync.WaitGroup
	first := gate.Next(1)
	all.Go(func() { must(t, s, first) })
	for waiting := 0; waiting == 0; { // until the committer is held up
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()").Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		run(t, conn, "SELECT pg_stat_clear_snapshot()")
	}
	errs := make([]error, len(commits))
	for i, c := range commits {
		all.Go(func() { errs[i] = s.Commit(context.Background(), c) })
		for s.Queued() <= i {
			runtime.Gosched()
		}
	}
	run(t, conn, "COMMIT")
	all.Wait()
	return errs
}

func TestACommitThatIsRefusedDoesNotDisturbItsGroup(t *testing.T) {
	url := pgtest.Start(t)
	s := open(t, url, &postgres.Options{Committers: 1})
	conn := connect(t, url)
	good, stale, fenced, robbed, twice := storetest.NewChain("good"), storetest.NewChain("stale"), storetest.NewChain("fenced"), storetest.NewChain("robbed"), storetest.NewChain("twice")
	must(t, s, good.Next(1), stale.Next(1), fenced.Next(1), robbed.Next(1), twice.Next(1))
	must(t, s, &bide.Commit{Send: []bide.Message{{ID: "m", To: "good", Key: "k", At: start}}})

	outdated := *stale
	must(t, s, stale.Next(1))
	late := outdated.NextWith(`"late"`)
	late.Opened = []bide.Wait{{ID: "stale.1", Kind: bide.WaitJob, Key: "k", CreatedAt: start}}
	late.Send = []bide.Message{{ID: "late", To: "good", Key: "k", At: start}}
	late.Starts = []*bide.Commit{storetest.NewChain("child-of-stale").Next(1)}
	unclaimed := fenced.Next(1)
	unclaimed.Fence = 7
	theft := robbed.Next(1)
	theft.Took = []string{"m"} // it is another run's
	fair := good.Next(2)
	fair.Took = []string{"m"}
	begun := storetest.NewChain("new").Next(1)
	begun.Starts = []*bide.Commit{storetest.NewChain("child").Next(2)}
	again := storetest.NewChain("good").NextWith(`"again"`)
	one, two := twice.Next(1), twice.Next(1)
	bad := storetest.NewChain("bad").Next(1)
	bad.Info.Node = "not \x00 text"

	errs := together(t, s, conn, []*bide.Commit{late, unclaimed, theft, fair, begun, again, one, two, bad})
	for i, want := range []bide.Code{bide.CodeConflict, bide.CodeFenced, bide.CodeConflict, "", "", bide.CodeConflict, "", "", bide.CodeInvalidInput} {
		if want != "" {
			wantCode(t, fmt.Sprintf("Commit %d of the group", i), errs[i], want)
		} else if errs[i] != nil {
			t.Errorf("Commit %d of the group = %v", i, errs[i])
		}
	}
	for id, seq := range map[string]int64{"good": 3, "stale": 2, "fenced": 1, "robbed": 1, "new": 1, "child": 2, "twice": 3} {
		if got := load(t, s, id); got.Seq != seq || int64(len(got.Records)) != seq || len(got.Mail) > 0 {
			t.Errorf("run %s is at record %d with %d records and the mail %v, want %d", id, got.Seq, len(got.Records), got.Mail, seq)
		}
	}
	for _, id := range []string{"bad", "child-of-stale"} {
		_, err := s.Load(t.Context(), id, bide.Position{})
		wantCode(t, "Load of "+id, err, bide.CodeNotFound)
	}
	waits, err := s.Waits(t.Context(), bide.WaitQuery{})
	if err != nil || len(waits.Waits) > 0 {
		t.Errorf("Waits = %v, %v, want none", waits, err)
	}
}

func TestCommitsOfManyRunsShareATransaction(t *testing.T) {
	url := pgtest.Start(t)
	s := open(t, url, &postgres.Options{Committers: 1})
	conn := connect(t, url)
	var begin, next []*bide.Commit
	for i := range 50 {
		c := storetest.NewChain(fmt.Sprintf("run-%d", i))
		begin, next = append(begin, c.Next(1)), append(next, c.Next(1))
	}
	must(t, s, begin...)
	for _, err := range together(t, s, conn, next) {
		if err != nil {
			t.Error(err)
		}
	}
	var groups int
	if err := conn.QueryRow(t.Context(), "SELECT count(DISTINCT txn) FROM runs WHERE run_id LIKE 'run-%'").Scan(&groups); err != nil || groups != 1 {
		t.Errorf("50 commits that waited made %d transactions (%v), want 1", groups, err)
	}
}

func TestOfTwoStoresOneWins(t *testing.T) {
	url := pgtest.Start(t)
	stores := []*postgres.Store{open(t, url, nil), open(t, url, nil)}
	for round := range 30 {
		base := storetest.NewChain(fmt.Sprintf("run-%d", round))
		if round%2 == 1 {
			must(t, stores[0], base.Next(1))
		}
		errs := make([]error, 6)
		var all sync.WaitGroup
		for i := range errs {
			mine := *base
			commit := mine.NextWith(fmt.Sprintf(`"rival %d"`, i))
			all.Go(func() { errs[i] = stores[i%2].Commit(context.Background(), commit) })
		}
		all.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				wantCode(t, "Commit of the others", err, bide.CodeConflict)
			}
		}
		if won != 1 {
			t.Errorf("%d of 6 rivals were told that they won, want 1", won)
		}
	}
}
