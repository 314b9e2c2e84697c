package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bide-dev/bide"
)

// crowd lets workers that never say that they live, and so take runs from each
// other all the time, fight for messages that others send. What they did must
// be what some order of their calls gives: a ledger's fences never go back, no claim is given twice,
// and each message is taken once. That none is left says that no wake-up was lost.
func crowd(t *testing.T, s Store) {
	const runs, workers, messages = 3, 4, 40
	for i := range runs {
		waiting(t, s, NewChain(fmt.Sprintf("run-%d", i)), paid)
	}
	var sent atomic.Int64
	var senders, all sync.WaitGroup
	for i := range 2 {
		senders.Go(func() {
			for n := range messages / 2 {
				m := toKey(fmt.Sprintf("m-%d-%d", i, n), paid)
				if n%4 == 0 {
					m.To = fmt.Sprintf("run-%d", n%runs)
				}
				if err := s.Commit(t.Context(), &bide.Commit{Send: []bide.Message{m}}); err != nil {
					t.Errorf("Commit of a message = %v", err)
				}
			}
		})
	}
	all.Go(func() {
		senders.Wait()
		sent.Store(1)
	})
	var claims, takers sync.Map // by run and fence; by message
	for i := range workers {
		all.Go(func() {
			w := &rival{T: t, s: s, name: fmt.Sprintf("w-%d", i), claims: &claims, takers: &takers}
			for turns := 0; !t.Failed() && turns < 20*messages; {
				over := sent.Load() == 1
				switch n := w.turn(); {
				case n == 0 && over:
					return
				case over:
					turns++
				}
			}
			if !t.Failed() {
				t.Errorf("runs can still be claimed after %d turns", 20*messages)
			}
		})
	}
	all.Wait()
	taken := 0
	takers.Range(func(any, any) bool { taken++; return true })
	if taken != messages {
		t.Errorf("%d of %d messages were taken", taken, messages)
	}
	for i := range runs {
		wantFencesGrow(t, s, fmt.Sprintf("run-%d", i))
	}
}

// rival is one worker of the crowd.
type rival struct {
	*testing.T
	s              Store
	name           string
	claims, takers *sync.Map
}

// turn claims runs and lets each take one message. It returns how many it claimed.
func (w *rival) turn() int {
	claims, err := w.s.Claim(w.Context(), query(w.name, 2))
	if err != nil {
		w.Errorf("Claim = %v", err)
		return 0
	}
	for _, c := range claims {
		if other, twice := w.claims.LoadOrStore(fmt.Sprint(c), w.name); twice {
			w.Errorf("claim %v was given to %s and %s", c, other, w.name)
		}
		w.take(c)
	}
	return len(claims)
}

func (w *rival) take(claim bide.Claim) {
	stored, err := w.s.Load(w.Context(), claim.RunID, bide.Position{})
	if err != nil {
		w.Errorf("Load = %v", err)
		return
	}
	c := NewChain(claim.RunID)
	c.Info.Seq, c.Info.Head, c.Info.Status = stored.Seq, stored.Head, bide.StatusWaiting
	commit := c.NextWith(strconv.FormatInt(claim.Fence, 10))
	commit.Fence = claim.Fence
	if len(stored.Mail) > 0 {
		commit.Took = []string{stored.Mail[0].ID}
	}
	if len(stored.Mail) <= 1 {
		commit.MailSeen = stored.MailSeq
	}
	switch err := w.s.Commit(w.Context(), commit); {
	case err == nil:
		for _, id := range commit.Took {
			if other, twice := w.takers.LoadOrStore(id, w.name); twice {
				w.Errorf("message %s was taken by %s and %s", id, other, w.name)
			}
		}
	case errors.Is(err, bide.ErrFenced):
	case errors.Is(err, bide.ErrConflict):
		if err := w.s.Release(w.Context(), w.name, []string{claim.RunID}, false); err != nil {
			w.Errorf("Release = %v", err)
		}
	default:
		w.Errorf("Commit = %v", err)
	}
}

// wantFencesGrow checks that the claims under which a run's records were made followed each other.
func wantFencesGrow(t *testing.T, s bide.Store, id string) {
	t.Helper()
	raws, err := s.Records(t.Context(), id, 2, 10_000)
	if err != nil {
		t.Fatalf("Records = %v", err)
	}
	last := int64(0)
	for _, raw := range raws {
		rec, err := bide.ParseRecord(raw)
		if err != nil {
			t.Fatal(err)
		}
		fence, err := strconv.ParseInt(string(rec.Data), 10, 64)
		if err != nil || fence < last {
			t.Errorf("record %d of %s was made under claim %s, after one under claim %d", rec.Seq, id, rec.Data, last)
		}
		last = fence
	}
}
