package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/storetest"
)

// A script is a random program on a store. It is made while it runs on the
// reference store, which is the oracle of what must be there after each step.
type script struct {
	steps  []step
	states []state // states[n] is what n steps leave behind
}

type step struct {
	name string
	do   func(context.Context, both) error
}

// both is what the tests ask of a store.
type both interface {
	bide.Store
	bide.Claims
	bide.Documents
}

var (
	epoch  = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	always = []bide.WorkflowVersion{{ID: "wf", Version: "1"}}
)

// author makes scripts.
type author struct {
	rand   *rand.Rand
	chains map[string]*storetest.Chain
	waits  map[string][]string // open ones, by run
	oracle *mem.Store
	n      int
	kind
}

// kind is what a script has besides.
type kind struct {
	live      bool // owners of claims live on: the store is not opened again
	documents bool
}

const maxSteps = 80

// newScript makes a script of a store that may be opened again at any step.
func newScript(t testing.TB, seed uint64, steps int) *script {
	return writeScript(t, seed, steps, kind{documents: true})
}

func writeScript(t testing.TB, seed uint64, steps int, k kind) *script {
	a := &author{rand: rand.New(rand.NewPCG(seed, 7)), chains: map[string]*storetest.Chain{}, waits: map[string][]string{}, oracle: mem.New(), kind: k}
	s := &script{states: []state{stateOf(t, a.oracle)}}
	for a.n = range steps {
		next := a.step(t)
		if err := next.do(context.Background(), a.oracle); err != nil {
			t.Fatalf("step %d, %s, on the reference store: %v", a.n, next.name, err)
		}
		s.steps = append(s.steps, next)
		if k.live && a.n < steps-1 {
			s.states = append(s.states, state{}) // nobody looks
			continue
		}
		s.states = append(s.states, stateOf(t, a.oracle))
	}
	return s
}

func (a *author) pick(ids []string) string { return ids[a.rand.IntN(len(ids))] }

func (a *author) runs() []string { return slices.Sorted(maps.Keys(a.chains)) }

func (a *author) step(t testing.TB) step {
	known := a.runs()
	switch n := a.rand.IntN(23); {
	case n >= 20 && a.documents:
		return a.document(t)
	case n < 2 && len(known) > 0:
		return a.claim()
	case n < 4 && a.live:
		owner, quiet := a.owner(), a.rand.IntN(2) == 0
		if a.rand.IntN(3) == 0 {
			until := epoch.Add(time.Duration(a.rand.IntN(5)) * time.Hour)
			return step{"heartbeat", func(ctx context.Context, s both) error { return s.Heartbeat(ctx, owner, until) }}
		}
		return step{"release", func(ctx context.Context, s both) error { return s.Release(ctx, owner, nil, quiet) }}
	case n == 2 && len(known) > 0:
		id, reason := a.pick(known), a.pick([]string{"", "broken"})
		return step{"set aside", func(ctx context.Context, s both) error { return s.SetAside(ctx, id, reason) }}
	case n == 6 && len(known) > 1:
		id := a.pick(known)
		c := &bide.Commit{RunID: id, Expect: a.chains[id].Info.Position(), Delete: true}
		delete(a.chains, id)
		delete(a.waits, id)
		return step{"delete " + id, func(ctx context.Context, s both) error { return s.Commit(ctx, c) }}
	case n < 6:
		c := &bide.Commit{Send: a.messages()}
		return step{"send", func(ctx context.Context, s both) error { return s.Commit(ctx, c) }}
	}
	c := a.commit(t)
	return step{"commit to " + c.RunID, func(ctx context.Context, s both) error { return s.Commit(ctx, c) }}
}

// document puts a document, or deletes it.
func (a *author) document(t testing.TB) step {
	d := bide.Document{Kind: a.pick([]string{"flow", "Grant"}), ID: a.pick([]string{"a", "A/b"}), Body: fmt.Appendf(nil, `{"n": %d.0}`, a.n), UpdatedAt: a.now()}
	was, err := a.oracle.Document(context.Background(), d.Kind, d.ID)
	switch {
	case err == nil:
		d.Rev = was.Rev
	case !errors.Is(err, bide.ErrNotFound):
		t.Fatal(err)
	}
	if d.Rev > 0 && a.rand.IntN(3) == 0 {
		return step{"delete document " + d.ID, func(ctx context.Context, s both) error { return s.DeleteDocument(ctx, d.Kind, d.ID, d.Rev) }}
	}
	return step{"put document " + d.ID, func(ctx context.Context, s both) error {
		rev, err := s.PutDocument(ctx, d)
		if err == nil && rev != d.Rev+1 {
			err = fmt.Errorf("revision %d follows %d", rev, d.Rev)
		}
		return err
	}}
}

// now is the time of a step.
func (a *author) now() time.Time { return epoch.Add(time.Duration(a.n) * time.Minute) }

func (a *author) owner() string { return fmt.Sprintf("owner-%d", a.rand.IntN(3)) }

// claim takes some runs. In a script of more than one process every claim has
// another owner: whether the last one lives makes no difference then.
func (a *author) claim() step {
	q := bide.ClaimQuery{Owner: fmt.Sprintf("owner of step %d", a.n), Now: epoch.Add(time.Hour), Limit: 2, Workflows: always, Sole: true}
	if a.live {
		q.Owner, q.Sole = a.owner(), a.rand.IntN(4) == 0
	}
	var want []bide.Claim // what the first store gave
	return step{"claim", func(ctx context.Context, s both) error {
		got, err := s.Claim(ctx, q)
		if err == nil && want != nil && !slices.Equal(got, want) {
			return fmt.Errorf("claimed %v, want %v", got, want)
		}
		if err == nil {
			want = append([]bide.Claim{}, got...)
		}
		return err
	}}
}

func (a *author) commit(t testing.TB) *bide.Commit {
	id := a.pick([]string{"a", "B", "c", "d"})
	if a.chains[id] == nil {
		a.chains[id] = storetest.NewChain(id)
	}
	c := a.next(id)
	if a.rand.IntN(3) == 0 {
		c.Send = a.messages()
	}
	if child := fmt.Sprintf("child-%d", a.n); a.rand.IntN(6) == 0 {
		a.chains[child] = storetest.NewChain(child)
		a.chains[child].Info.Parent = id
		c.Starts = append(c.Starts, a.next(child))
	}
	if stored, err := a.oracle.Load(context.Background(), id, bide.Position{}); err == nil {
		c.MailSeen = stored.MailSeq
		sent := func(id string) bool {
			return slices.ContainsFunc(c.Send, func(m bide.Message) bool { return m.ID == id })
		}
		if len(stored.Mail) > 0 && a.rand.IntN(2) == 0 && !sent(stored.Mail[0].ID) {
			c.Took = []string{stored.Mail[0].ID}
		}
		switch a.rand.IntN(6) {
		case 0, 1:
			c.Fence = stored.Fence
		case 2:
			c.Owner, c.Claimed = fmt.Sprintf("owner of step %d", a.n), stored.Fence+1
			if a.live {
				c.Owner = a.owner()
			}
		}
		if a.rand.IntN(6) == 0 { // taken at once
			m := bide.Message{ID: fmt.Sprintf("once-%d", a.n), To: id, Key: "k", At: a.now()}
			c.Send, c.Took = append(c.Send, m), append(c.Took, m.ID)
		}
	} else if !errors.Is(err, bide.ErrNotFound) {
		t.Fatal(err)
	}
	return c
}

// next is a commit of records to a run.
func (a *author) next(id string) *bide.Commit {
	chain := a.chains[id]
	chain.Info.Status = []bide.Status{bide.StatusRunning, bide.StatusWaiting, bide.StatusWaiting, bide.StatusPaused}[a.rand.IntN(4)]
	chain.Info.WakeAt = []time.Time{{}, epoch.Add(time.Duration(a.n) * time.Minute)}[a.rand.IntN(2)]
	chain.Info.CreatedAt = epoch.Add(time.Duration(len(id)) * time.Second)
	c := chain.Next(1 + a.rand.IntN(3))
	c.Info.UpdatedAt = a.now()
	if a.rand.IntN(2) == 0 {
		w := bide.Wait{ID: fmt.Sprintf("%s.%d", id, a.n), Kind: bide.WaitForEvent, Key: a.pick([]string{"", "evt:x:y:go", "evt:x:y:*", "evt:z:*"}), CreatedAt: epoch}
		if a.rand.IntN(2) == 0 {
			w.Since = a.now().Add(-time.Duration(a.rand.IntN(20)) * time.Minute)
		}
		c.Opened = append(c.Opened, w)
		a.waits[id] = append(a.waits[id], w.ID)
	} else if open := a.waits[id]; len(open) > 0 {
		c.Closed, a.waits[id] = open[:1:1], slices.Clone(open[1:])
	}
	if a.rand.IntN(4) == 0 {
		c.Command = &bide.CommandRecord{ID: fmt.Sprintf("cmd-%d", a.n), Seq: c.Info.Seq}
	}
	if a.rand.IntN(4) == 0 {
		c.Snapshot = fmt.Appendf(nil, `{"at":%d}`, c.Info.Seq)
	}
	return c
}

func (a *author) messages() (out []bide.Message) {
	for range 1 + a.rand.IntN(2) {
		m := bide.Message{ID: fmt.Sprintf("m-%d", a.rand.IntN(40)), Key: a.pick([]string{"evt:x:y:go", "evt:x:y:stop", "evt:z:go", "k"}), Payload: bide.JSON(`{"n":1.0}`), At: a.now()}
		switch a.rand.IntN(4) { // ids of their own in each mailbox: the reference store takes by id alone
		case 0:
			m.To = a.pick([]string{"a", "B", "c", "nobody"})
			m.ID += "-to-" + m.To
		case 1:
			m.Copies = true
			m.ID += "-copies"
			if a.rand.IntN(2) == 0 {
				m.ID, m.Until = fmt.Sprintf("kept-%d-%d", a.n, len(out)), a.now().Add(time.Duration(1+a.rand.IntN(20))*time.Minute)
			}
		default:
			m.ID += "-on-" + m.Key
		}
		out = append(out, m)
	}
	return out
}

// state is all that a store shows; snapshots are left out, which only save work.
type state struct {
	Runs     []bide.RunInfo
	Waits    []bide.Wait
	Loaded   map[string]bide.Stored
	Records  map[string][]string
	Commands map[string]bide.CommandRecord
	Due      []bide.RunInfo
	Updated  []string
	Wake     time.Time
	Feed     []bide.FeedRecord
	FeedEnd  int64
	Docs     []bide.Document

	text string // all of it, to compare
}

func stateOf(t testing.TB, s both) state {
	t.Helper()
	ctx := context.Background()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	runs, err := s.Runs(ctx, bide.RunQuery{Limit: 1000})
	check(err)
	waits, err := s.Waits(ctx, bide.WaitQuery{Limit: 1000})
	check(err)
	due, err := s.Runs(ctx, bide.RunQuery{WakeBefore: epoch.Add(100 * time.Hour), Limit: 1000})
	check(err)
	out := state{Runs: append([]bide.RunInfo{}, runs.Runs...), Waits: append([]bide.Wait{}, waits.Waits...), Due: append([]bide.RunInfo{}, due.Runs...), Loaded: map[string]bide.Stored{}, Records: map[string][]string{}, Commands: map[string]bide.CommandRecord{}}
	updated, err := s.Runs(ctx, bide.RunQuery{Order: bide.OrderUpdated, Limit: 1000})
	check(err)
	for _, r := range updated.Runs {
		out.Updated = append(out.Updated, r.ID)
	}
	feed, err := s.Feed(ctx, bide.FeedQuery{Limit: 1000})
	check(err)
	end, err := s.Feed(ctx, bide.FeedQuery{After: bide.FeedEnd})
	check(err)
	out.Feed, out.FeedEnd = feed.Records, end.Next
	for _, kind := range []string{"flow", "Grant"} {
		docs, err := s.Documents(ctx, bide.DocumentQuery{Kind: kind})
		check(err)
		out.Docs = append(out.Docs, docs.Documents...)
	}
	out.Wake, err = s.NextWake(ctx, time.Time{})
	check(err)
	for _, r := range runs.Runs {
		whole, err := s.Load(ctx, r.ID, bide.Position{})
		check(err)
		raws, err := s.Records(ctx, r.ID, 1, 1<<20)
		check(err)
		for _, raw := range raws {
			out.Records[r.ID] = append(out.Records[r.ID], string(raw))
		}
		checkStored(t, whole, raws)
		whole.Snapshot, whole.SnapshotSeq, whole.Records = nil, 0, nil
		out.Loaded[r.ID] = *whole
		for n := range maxSteps {
			id := fmt.Sprintf("cmd-%d", n)
			if c, err := s.Command(ctx, r.ID, id); err == nil {
				out.Commands[r.ID+"/"+id] = *c
			} else if !errors.Is(err, bide.ErrNotFound) {
				t.Fatal(err)
			}
		}
	}
	text, err := json.Marshal(out)
	check(err)
	out.text = string(text)
	return out
}

// checkStored checks that a load is of one moment, and that the records are a chain.
func checkStored(t testing.TB, whole *bide.Stored, raws [][]byte) {
	t.Helper()
	var at bide.Position
	for _, raw := range raws {
		rec, err := bide.ParseRecord(raw)
		if err != nil || rec.Seq != at.Seq+1 || rec.Prev != at.Head {
			t.Fatalf("record %d does not follow record %d: %v", rec.Seq, at.Seq, err)
		}
		at = bide.Position{Seq: rec.Seq, Head: rec.Hash}
	}
	if at != whole.Position {
		t.Fatalf("the records end at %d, the position is %d", at.Seq, whole.Seq)
	}
	if n := whole.SnapshotSeq + int64(len(whole.Records)); n != whole.Seq {
		t.Fatalf("snapshot and records end at %d, the position is %d", n, whole.Seq)
	}
	if whole.SnapshotSeq > 0 && string(whole.Snapshot) != fmt.Sprintf(`{"at":%d}`, whole.SnapshotSeq) {
		t.Fatalf("the snapshot of record %d is %q", whole.SnapshotSeq, whole.Snapshot)
	}
}

// wantState checks that a store shows one of the states, and returns the first
// that it can be: a step that shows nothing may have to be taken again, which does no harm.
func (s *script) wantState(t testing.TB, what string, store both, atLeast, atMost int) int {
	t.Helper()
	got := stateOf(t, store)
	for n := atLeast; n <= atMost; n++ {
		if s.states[n].text == got.text {
			return n
		}
	}
	t.Fatalf("%s: the store is not as %d to %d steps leave it (-want +got):\n%s", what, atLeast, atMost, cmp.Diff(s.states[atLeast], got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(state{})))
	return 0
}
