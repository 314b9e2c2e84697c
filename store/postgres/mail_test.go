package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/store/postgres"
	"github.com/bide-dev/bide/storetest"
)

var known = []bide.WorkflowVersion{{ID: "wf", Version: "1"}}

// TestNoMessageIsLostOrTakenTwice lets two stores send messages to keys while
// runs wait on keys, take what comes and go on to wait on others. A run looks only when
// it is told. Nobody sweeps.
func TestNoMessageIsLostOrTakenTwice(t *testing.T) {
	const runs, senders, messages = 8, 4, 60
	url := pgtest.Start(t)
	stores := make([]*postgres.Store, 2)
	for i := range stores {
		stores[i] = open(t, url, &postgres.Options{Committers: 2, Sweep: time.Hour, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	}
	keys := []string{"evt:session:1:a", "evt:session:1:b", "evt:session:2:a", "job"}
	waits := append([]string{"evt:session:1:*", "evt:session:2:*"}, keys...)
	w := &listeners{t: t, waits: waits, chains: map[string]*storetest.Chain{}, open: map[string]string{}, took: map[string]int{}}
	for i := range runs {
		id := fmt.Sprint("run-", i)
		w.chains[id] = storetest.NewChain(id)
		must(t, stores[i%2], w.wait(id, w.chains[id]))
	}
	var sending, all sync.WaitGroup
	var sent atomic.Bool
	for i := range senders {
		sending.Go(func() {
			for k := range messages {
				m := bide.Message{ID: fmt.Sprintf("m-%d-%d", i, k), Key: keys[rand.IntN(len(keys))], At: start}
				if k%5 == 0 {
					m.To = fmt.Sprint("run-", rand.IntN(runs))
				}
				for range 1 + k%2 { // some twice
					must(t, stores[(i+k)%2], &bide.Commit{Send: []bide.Message{m}})
				}
			}
		})
	}
	for i := range 4 {
		all.Go(func() {
			for owner := fmt.Sprint("worker-", i); ; {
				over := sent.Load()
				if !w.work(stores[i%2], owner) && over {
					return
				}
			}
		})
	}
	sending.Wait()
	sent.Store(true)
	all.Wait()
	for w.work(stores[0], "last") { // what a worker released after the others had left
	}

	left := 0
	conn := connect(t, url)
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM mail WHERE NOT taken").Scan(&left); err != nil {
		t.Fatal(err)
	}
	for id := range w.chains {
		if mail := load(t, stores[0], id).Mail; len(mail) > 0 {
			t.Errorf("run %s waits, was told of nothing and has the messages %v", id, mail)
		}
	}
	for id, n := range w.took {
		if n != 1 {
			t.Errorf("message %s was taken %d times", id, n)
		}
	}
	if len(w.took)+left != senders*messages {
		t.Errorf("%d messages were taken and %d are left of %d", len(w.took), left, senders*messages)
	}
	if len(w.took) < senders*messages/4 {
		t.Errorf("only %d messages were taken", len(w.took))
	}
}

// listeners are runs that wait for messages, and the workers that drive them.
type listeners struct {
	t     *testing.T
	waits []string

	mu     sync.Mutex
	chains map[string]*storetest.Chain // a run's is its owner's
	open   map[string]string           // the wait of each
	took   map[string]int
}

// wait makes a commit by which a run waits on another key. The caller owns the run.
func (w *listeners) wait(id string, chain *storetest.Chain) *bide.Commit {
	w.mu.Lock()
	defer w.mu.Unlock()
	chain.Info.Status = bide.StatusWaiting
	c := chain.Next(1)
	if old := w.open[id]; old != "" {
		c.Closed = []string{old}
	}
	w.open[id] = fmt.Sprintf("%s.%d", id, c.Info.Seq)
	c.Opened = []bide.Wait{{ID: w.open[id], Kind: bide.WaitForEvent, Key: w.waits[rand.IntN(len(w.waits))], CreatedAt: start}}
	return c
}

// work claims runs and lets each take one message, if there is one. It reports
// whether there was anything to claim.
func (w *listeners) work(s *postgres.Store, owner string) bool {
	ctx := context.Background()
	if err := s.Heartbeat(ctx, owner, start.Add(time.Hour)); err != nil {
		w.t.Errorf("Heartbeat = %v", err)
	}
	claims, err := s.Claim(ctx, bide.ClaimQuery{Owner: owner, Now: start, Limit: 3, Workflows: known})
	if err != nil {
		w.t.Errorf("Claim = %v", err)
		return false
	}
	for _, c := range claims {
		if err := w.drive(ctx, s, owner, c); err != nil {
			w.t.Errorf("run %s: %v", c.RunID, err)
		}
	}
	return len(claims) > 0 && !w.t.Failed()
}

func (w *listeners) drive(ctx context.Context, s *postgres.Store, owner string, c bide.Claim) error {
	stored, err := s.Load(ctx, c.RunID, bide.Position{})
	if err != nil {
		return err
	}
	if len(stored.Mail) == 0 {
		return s.Release(ctx, owner, []string{c.RunID}, true)
	}
	w.mu.Lock()
	chain, before := w.chains[c.RunID], w.open[c.RunID]
	old := *chain
	w.mu.Unlock()
	commit := w.wait(c.RunID, chain)
	commit.Fence, commit.MailSeen = c.Fence, stored.MailSeq
	commit.Took = []string{stored.Mail[0].ID}
	if len(stored.Mail) > 1 {
		commit.MailSeen-- // there is more to do
	}
	err = s.Commit(ctx, commit)
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(err, bide.ErrConflict) { // another run took it
		*chain, w.open[c.RunID] = old, before
		return s.Release(ctx, owner, []string{c.RunID}, false)
	}
	w.took[stored.Mail[0].ID]++
	return err
}

// TestTheSweepDoesWhatADeadProcessLeft takes back what is done after a commit.
func TestTheSweepDoesWhatADeadProcessLeft(t *testing.T) {
	url := pgtest.Start(t)
	s := open(t, url, &postgres.Options{Sweep: time.Hour})
	conn := connect(t, url)
	listen := func(id, key string) {
		c := storetest.NewChain(id)
		c.Info.Status = bide.StatusWaiting
		commit := c.Next(1)
		if key != "" {
			commit.Opened = []bide.Wait{{ID: id + ".1", Kind: bide.WaitForEvent, Key: key, CreatedAt: start}}
		}
		must(t, s, commit)
	}
	listen("direct", "")
	listen("exact", "evt:run:x:go")
	listen("wide", "evt:run:y:*")
	listen("other", "evt:run:z:go")
	must(t, s, &bide.Commit{Send: []bide.Message{{ID: "1", To: "direct", Key: "k", At: start}, {ID: "2", Key: "evt:run:x:go", At: start}, {ID: "3", Key: "evt:run:y:go", At: start}}})
	for _, undo := range []string{"UPDATE mail SET told = false", "UPDATE waits SET looked = false"} {
		run(t, conn, undo)
		run(t, conn, "UPDATE runs SET mail_seq = 0, ready_at = NULL")
		if n, err := s.SweepOnce(t.Context(), time.Hour); n != 0 || err != nil {
			t.Errorf("SweepOnce takes up %d that are not overdue (%v)", n, err)
		}
		for _, want := range []int{3, 0} {
			if n, err := s.SweepOnce(t.Context(), -time.Hour); n != want || err != nil {
				t.Errorf("SweepOnce takes up %d (%v), want %d", n, err, want)
			}
		}
		for id, want := range map[string]int64{"direct": 1, "exact": 1, "wide": 1, "other": 0} {
			if undo == "UPDATE waits SET looked = false" && id == "direct" {
				want = 0 // it has no wait
			}
			if got := load(t, s, id).MailSeq; got != want {
				t.Errorf("after %s, run %s was told %d times, want %d", undo, id, got, want)
			}
		}
		claims, err := s.Claim(t.Context(), bide.ClaimQuery{Owner: "w", Now: start, Limit: 10, Workflows: known})
		if err != nil || len(claims) < 2 {
			t.Errorf("Claim = %v, %v, want the runs that were told", claims, err)
		}
		if err := s.Release(t.Context(), "w", nil, true); err != nil {
			t.Error(err)
		}
		run(t, conn, "UPDATE runs SET mail_seen = 0")
	}
}

func TestHintsReachOtherProcesses(t *testing.T) {
	url := pgtest.Start(t)
	here, there := open(t, url, nil), open(t, url, nil)
	heard := map[*postgres.Store]chan bool{}
	for _, s := range []*postgres.Store{here, there} {
		hints := make(chan bool, 1000)
		if err := s.Hints(t.Context(), func(claimable bool) { hints <- claimable }); err != nil {
			t.Fatal(err)
		}
		heard[s] = hints
	}
	c := storetest.NewChain("run")
	c.Info.Status = bide.StatusWaiting
	must(t, here, c.Next(1))
	for i, event := range []func(){
		func() { must(t, here, storetest.NewChain("new").Next(1)) },
		func() { must(t, here, &bide.Commit{Send: []bide.Message{{ID: "m", To: "run", Key: "k", At: start}}}) },
		func() { c.Info.Status = bide.StatusRunning; must(t, here, c.Next(1)) },
		func() {
			if err := here.SetAside(context.Background(), "run", ""); err != nil {
				t.Error(err)
			}
		},
	} {
		event()
		for s, hints := range heard {
			want(t, fmt.Sprintf("event %d, of the other store: %v", i, s == there), hints, true)
		}
	}
	for _, hints := range heard {
		for len(hints) > 0 {
			<-hints
		}
	}
	c.Info.Status = bide.StatusWaiting
	must(t, here, c.Next(1))
	for _, hints := range heard {
		want(t, "a record that lets nothing be claimed", hints, false)
	}
}

// want waits for a hint.
func want(t *testing.T, what string, hints <-chan bool, claimable bool) {
	t.Helper()
	for {
		select {
		case got := <-hints:
			if got == claimable {
				return
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: no hint", what)
		}
	}
}
