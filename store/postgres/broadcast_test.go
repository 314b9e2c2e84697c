package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/store/postgres"
	"github.com/bide-dev/bide/storetest"
)

// catches makes the first commit of a run that takes kept broadcasts on a key.
func catches(id, key string) *bide.Commit {
	c := storetest.NewChain(id)
	c.Info.Status = bide.StatusWaiting
	commit := c.Next(1)
	commit.Opened = []bide.Wait{{ID: id + ".1", Kind: bide.WaitForEvent, Key: key, CreatedAt: start, Since: start.Add(-time.Hour)}}
	return commit
}

// kept is a broadcast that is kept for an hour.
func kept(id, key string) *bide.Commit {
	return &bide.Commit{Send: []bide.Message{{ID: id, Key: key, At: start, Copies: true, Until: start.Add(time.Hour)}}}
}

// TestABroadcastAndAWaitThatRaceMeet lets one store open waits while another one
// sends broadcasts that they take. Nobody sweeps.
func TestABroadcastAndAWaitThatRaceMeet(t *testing.T) {
	url := pgtest.Start(t)
	here, there := open(t, url, &postgres.Options{Sweep: time.Hour}), open(t, url, &postgres.Options{Sweep: time.Hour})
	for round := range 40 {
		key := fmt.Sprintf("evt:global:%d:go", round)
		waitKey := []string{key, fmt.Sprintf("evt:global:%d:*", round)}[round%2]
		id := fmt.Sprint("run-", round)
		var both sync.WaitGroup
		both.Go(func() { must(t, here, catches(id, waitKey)) })
		both.Go(func() { must(t, there, kept("m", key)) })
		both.Wait()
		if got := load(t, here, id); len(got.Mail) != 1 || got.Mail[0].ID != "m/"+id+".1" || got.MailSeq == 0 {
			t.Fatalf("round %d: the run has the mail %v and was told %d times, want one copy", round, got.Mail, got.MailSeq)
		}
	}
}

// TestTheSweepCopiesBroadcasts takes back what is done after a commit.
func TestTheSweepCopiesBroadcasts(t *testing.T) {
	url := pgtest.Start(t)
	s := open(t, url, &postgres.Options{Sweep: time.Hour})
	conn := connect(t, url)
	must(t, s, catches("run", "evt:global::go"), kept("m", "evt:global::go"))
	for _, undo := range []string{"UPDATE broadcasts SET told = false", "UPDATE waits SET looked = false"} {
		run(t, conn, "DELETE FROM mail")
		run(t, conn, undo)
		if n, err := s.SweepOnce(t.Context(), -time.Hour); n != 1 || err != nil {
			t.Errorf("SweepOnce takes up %d (%v), want 1", n, err)
		}
		if got := load(t, s, "run").Mail; len(got) != 1 {
			t.Errorf("after %s and a sweep the run has the mail %v, want one copy", undo, got)
		}
	}
	if err := s.Forget(t.Context(), start.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	must(t, s, catches("late", "evt:global::go"))
	if got := load(t, s, "late").Mail; len(got) != 0 {
		t.Errorf("a broadcast that was forgotten is the mail %v", got)
	}
}

// TestAMessageThatIsTakenAtOnceAndSentByAnother is sent by two stores at the same
// time, one of which takes it with the commit that sends it.
func TestAMessageThatIsTakenAtOnceAndSentByAnother(t *testing.T) {
	url := pgtest.Start(t)
	here, there := open(t, url, &postgres.Options{Sweep: time.Hour}), open(t, url, &postgres.Options{Sweep: time.Hour})
	c := storetest.NewChain("run")
	c.Info.Status = bide.StatusWaiting
	first := c.Next(1)
	first.Opened = []bide.Wait{{ID: "run.1", Kind: bide.WaitForEvent, Key: "k", CreatedAt: start}}
	must(t, here, first)
	left := 0
	for round := range 40 {
		m := bide.Message{ID: fmt.Sprint("m-", round), To: "run", Key: "k", At: start}
		before := *c
		commit := c.Next(1)
		commit.Send, commit.Took = []bide.Message{m}, []string{m.ID}
		var both sync.WaitGroup
		var err error
		both.Go(func() { err = here.Commit(context.Background(), commit) })
		both.Go(func() { must(t, there, &bide.Commit{Send: []bide.Message{m}}) })
		both.Wait()
		switch {
		case errors.Is(err, bide.ErrConflict):
			*c = before
			left++
		case err != nil:
			t.Fatalf("Commit = %v", err)
		}
		if got := load(t, here, "run"); len(got.Mail) != left || got.Position != c.Info.Position() {
			t.Fatalf("round %d: the run is at record %d with %d messages, want %d with %d", round, got.Seq, len(got.Mail), c.Info.Seq, left)
		}
	}
}
