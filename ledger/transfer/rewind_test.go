package transfer_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/retention"
	"github.com/bide-dev/bide/ledger/transfer"
)

// past is a store in which something happens every second, from Start on.
type past struct {
	*ledgertest.World
	t      *testing.T
	signer note.Signer
	key    note.Verifier
	sent   time.Time // when the event was
}

// newPast makes one: two orders with a child each, one done and one that waits for its event, which was sent long before it
// is looked at; one that failed, one that was cancelled; a checkpoint after every second.
func newPast(t *testing.T, store ledgertest.Store) *past {
	t.Helper()
	p := &past{World: ledgertest.New(t, store), t: t}
	p.signer, p.key = newKey(t)
	p.second(func() { p.Start("done", "x") })
	p.second(func() { p.Start("asking", "x") })
	child := ""
	p.second(func() { child = p.ToChild("done") })
	p.second(func() { p.answerOnly(child) })
	p.second(func() { p.Tick(child) })
	p.second(func() { p.Tick("done") })
	p.second(func() { p.send("done") })
	p.second(func() { p.Start("broken", "broken") })
	p.second(func() { p.Tick("done") })
	p.second(func() { p.Answer("broken", "yes") })
	p.second(func() { p.Start("gone", "x") })
	p.second(func() {
		if _, err := p.RT.Cancel(ctx, "gone", bide.Command{Actor: "eve"}); err != nil {
			t.Fatal(err)
		}
	})
	p.second(func() { p.ToChild("asking") })
	return p
}

// second does something, signs it and lets a second pass.
func (p *past) second(do func()) {
	p.t.Helper()
	do()
	log, err := ledger.OpenLog(ctx, p.Store, &ledger.LogOptions{Signers: []note.Signer{p.signer}, Now: p.Clock.Now})
	if err == nil {
		err = ledger.NewNotary(p.RT, p.Store, log, nil).Seal(ctx)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.Clock.Advance(time.Second)
}

func (p *past) answerOnly(id string) {
	run, err := p.RT.Get(ctx, id)
	if err == nil {
		_, err = p.RT.Resume(ctx, id, run.Waits[0].ID, "made it", bide.Command{ID: "answer-" + id, Actor: "bob"})
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *past) send(id string) {
	p.sent = p.Clock.Now()
	if err := p.RT.Send(ctx, bide.Event{Scope: bide.ScopeRun, ScopeID: id, Name: "shipped", ID: "ev-" + id, Payload: "today"}); err != nil {
		p.t.Fatal(err)
	}
}

// times are all moments at which there is a record.
func (p *past) times() (out []time.Time) {
	for _, id := range p.ids() {
		for rec, err := range p.RT.Ledger(ctx, id, 1) {
			if err != nil {
				p.t.Fatal(err)
			}
			out = append(out, rec.At)
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return slices.CompactFunc(out, time.Time.Equal)
}

func (p *past) ids() (out []string) {
	page, err := p.RT.Runs(ctx, bide.RunQuery{Limit: 1000})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, r := range page.Runs {
		out = append(out, r.ID)
	}
	return out
}

// then is a run as it was at a time; nil before it began.
func (p *past) then(id string, at time.Time) *bide.Run {
	seq := int64(0)
	for rec, err := range p.RT.Ledger(ctx, id, 1) {
		if err != nil {
			p.t.Fatal(err)
		}
		if rec.At.After(at) {
			break
		}
		seq = rec.Seq
	}
	if seq == 0 {
		return nil
	}
	run, err := p.RT.StateAt(ctx, id, seq)
	if err != nil {
		p.t.Fatal(err)
	}
	return run
}

// A store is put back to every moment at which there is a record: each run is what it was, verification finds nothing, and all
// goes on to the same ends; nothing that was answered or sent before has to be answered or sent again.
func TestAStoreGoesBackToEveryMoment(t *testing.T) {
	for _, kind := range []string{"mem", "sealed"} {
		t.Run(kind, func(t *testing.T) {
			first := newPast(t, ledgertest.Open(t, kind))
			for _, at := range first.times() {
				p := newPast(t, ledgertest.Open(t, kind))
				out, err := transfer.Rewind(ctx, p.Store, at, &transfer.RewindOptions{Actor: "ann", From: "backup", Dir: t.TempDir()})
				if err != nil {
					t.Fatalf("Rewind to %s: %v", at, err)
				}
				checkRewound(t, first, p, at, out)
			}
		})
	}
}

func TestEveryStoreGoesBack(t *testing.T) {
	for _, kind := range ledgertest.Kinds {
		t.Run(kind, func(t *testing.T) {
			first := newPast(t, ledgertest.Open(t, "mem"))
			at := first.times()[12]
			p := newPast(t, ledgertest.Open(t, kind))
			out, err := transfer.Rewind(ctx, p.Store, at, &transfer.RewindOptions{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			checkRewound(t, first, p, at, out)
		})
	}
}

func checkRewound(t *testing.T, first, p *past, at time.Time, out *transfer.Rewound) {
	t.Helper()
	to := ledgertest.New(t, p.Store)
	to.Clock.Advance(at.Sub(to.Clock.Now()))
	there := map[string]bool{}
	page, err := to.RT.Runs(ctx, bide.RunQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range page.Runs {
		there[r.ID] = true
		if r.SetAside != "" {
			t.Errorf("at %s run %s is set aside: %s", at, r.ID, r.SetAside)
		}
	}
	for _, id := range first.ids() {
		want := first.then(id, at)
		if there[id] != (want != nil) {
			t.Errorf("at %s run %s is there: %v, want %v", at, id, there[id], want != nil)
		}
		if want == nil || !there[id] {
			continue
		}
		got, err := to.RT.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		got.Head, want.Head = bide.Hash{}, bide.Hash{} // those of encrypted records differ between the two
		if a, b := text(t, got), text(t, want); a != b {
			t.Errorf("at %s run %s is\n%s, want\n%s", at, id, a, b)
		}
	}
	rep, err := ledger.VerifyStore(ctx, p.Store, &ledger.VerifyOptions{Keys: []note.Verifier{p.key}})
	if err != nil || !rep.OK() {
		t.Errorf("at %s: VerifyStore = %+v, %v", at, rep, err)
	}
	if rep.Checkpoint != nil && rep.Checkpoint.At.After(at) {
		t.Errorf("at %s: the newest checkpoint is of %s", at, rep.Checkpoint.At)
	}
	if out.Runs != len(out.Back) || out.Kept+out.Runs != len(there) {
		t.Errorf("at %s: %+v says that %d runs are there, there are %d", at, out.Restored, out.Kept+out.Runs, len(there))
	}
	finishAll(t, to, at, !p.sent.After(at))
	if rep, err := ledger.VerifyStore(ctx, p.Store, nil); err != nil || !rep.OK() {
		t.Errorf("at %s, gone on: VerifyStore = %+v, %v", at, rep, err)
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// finishAll drives all runs until "done" has ended, if it is there. The people who answered before the time do not do it again,
// nor does the sender of the event.
func finishAll(t *testing.T, w *ledgertest.World, at time.Time, sent bool) {
	t.Helper()
	for range 40 {
		page, err := w.RT.Runs(ctx, bide.RunQuery{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Runs {
			if r.Status.Final() || r.Workflow != "order" && r.Workflow != "part" {
				continue
			}
			run, err := w.RT.Tick(ctx, r.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, wait := range run.Waits {
				var answer any = "yes"
				switch wait.Kind {
				case bide.WaitQuestion:
				case bide.WaitAttention: // a charge of which nobody knows whether it was made
					answer = bide.Attention{Type: bide.AttentionDone}
				default:
					continue
				}
				if _, err := w.RT.Resume(ctx, r.ID, wait.ID, answer); err != nil {
					t.Fatal(err)
				}
			}
			if run.Node == "wait" && !(sent && r.ID == "done") {
				if err := w.RT.Send(ctx, bide.Event{Scope: bide.ScopeRun, ScopeID: r.ID, Name: "shipped", ID: "ev-" + r.ID, Payload: "today"}); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.Clock.Advance(time.Minute)
	}
	page, err := w.RT.Runs(ctx, bide.RunQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range page.Runs {
		if !r.Status.Final() {
			run, err := w.RT.Get(ctx, r.ID)
			t.Errorf("at %s, gone on: run %s is %s at %s: %v, %v", at, r.ID, r.Status, r.Node, run, err)
		}
	}
}

// What the preview lists is what was done since, and what must not be done twice is marked.
func TestThePreviewOfARewindNamesWhatMayHappenAgain(t *testing.T) {
	p := newPast(t, ledgertest.Open(t, "mem"))
	at := ledgertest.Start
	out, err := transfer.Rewind(ctx, p.Store, at, &transfer.RewindOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]bool{}
	unsafe := map[string]bool{}
	for _, r := range out.Back {
		for _, e := range r.Effects {
			types[r.RunID+" "+e.Type] = true
			unsafe[e.Type] = unsafe[e.Type] || e.Unsafe
		}
	}
	for _, want := range []string{"done charge", "done flaky", "done " + bide.TypeStartRun} {
		if !types[want] {
			t.Errorf("the preview has %v, want %s among them", types, want)
		}
	}
	if !unsafe["charge"] || unsafe["flaky"] {
		t.Errorf("unsafe are %v, want the charge that is made once at most", unsafe)
	}
	if len(out.Later) == 0 || len(out.Back) != 1 {
		t.Errorf("%d runs go back and %d are left out; want the first alone to go back", len(out.Back), len(out.Later))
	}
	verified(t, p.Store)
	if run, err := p.RT.Get(ctx, "done"); err != nil || run.Status != bide.StatusCompleted {
		t.Errorf("after a dry run, done is %v, %v; want nothing changed", run, err)
	}
}

// What was deleted or shredded on purpose does not come back.
func TestARewindBringsNothingBackThatWasDestroyed(t *testing.T) {
	s := ledgertest.Open(t, "sealed")
	p := newPast(t, s)
	log, err := ledger.OpenLog(ctx, s, &ledger.LogOptions{Signers: []note.Signer{p.signer}, Now: p.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := retention.Delete(ctx, p.RT, s, log, "gone"); err != nil {
		t.Fatal(err)
	}
	p.Clock.Advance(time.Second)
	if _, err := p.RT.Shred(ctx, "done"); err != nil {
		t.Fatal(err)
	}
	at := ledgertest.Start.Add(100 * time.Hour)
	if out, err := transfer.Rewind(ctx, s, at, nil); err != nil || out.Runs+out.LeftOut != 0 {
		t.Fatalf("Rewind to a time to come = %+v, %v; want nothing done", out, err)
	}
	at = p.times()[8]
	if _, err := transfer.Rewind(ctx, s, at, nil); !errors.Is(err, bide.ErrInvalidInput) {
		t.Errorf("Rewind without the key of the log = %v, want ErrInvalidInput", err)
	}
	out, err := transfer.Rewind(ctx, s, at, &transfer.RewindOptions{Signers: []note.Signer{p.signer}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(out.Removed, "gone") || !slices.Contains(out.Shredded, "done") {
		t.Errorf("removed are %v and shredded %v; want gone and done", out.Removed, out.Shredded)
	}
	if run, err := p.fresh().RT.Get(ctx, "done"); err != nil || run.Shredded == nil {
		t.Errorf("done is %v, %v; want it shredded", run, err)
	}
	rep, err := ledger.VerifyStore(ctx, s, &ledger.VerifyOptions{Keys: []note.Verifier{p.key}})
	if err != nil || !rep.OK() {
		t.Errorf("VerifyStore = %+v, %v", rep, err)
	}
	d, err := s.Documents(ctx, bide.DocumentQuery{Kind: transfer.RestoreKind})
	if err != nil || len(d.Documents) == 0 {
		t.Errorf("the note of it = %v, %v", d, err)
	}
	// Whoever kept a checkpoint finds it.
	rep, err = ledger.VerifyStore(ctx, s, &ledger.VerifyOptions{Keys: []note.Verifier{p.key}, Seen: out.Checkpoint})
	if err != nil || rep.OK() {
		t.Errorf("VerifyStore with a later checkpoint = %+v, %v; want that it was put back", rep, err)
	}
}

// fresh is the store in another process.
func (p *past) fresh() *ledgertest.World { return ledgertest.New(p.t, p.Store) }

// Mail that nobody waits for is there again if it had been sent by then, and not if it came later.
func TestMailGoesBackWithItsRun(t *testing.T) {
	for _, kind := range append([]string{"sealed"}, ledgertest.Kinds...) {
		t.Run(kind, func(t *testing.T) {
			for sent, want := range map[time.Duration]int{time.Second: 1, 3 * time.Second: 0} {
				w := ledgertest.New(t, ledgertest.Open(t, kind))
				w.Start("r", "x")
				w.Clock.Advance(sent)
				if err := w.RT.Send(ctx, bide.Event{Scope: bide.ScopeRun, ScopeID: "r", Name: "shipped", ID: "early", Payload: "today"}); err != nil {
					t.Fatal(err)
				}
				w.Clock.Advance(4*time.Second - sent)
				w.Answer("r", "yes")
				if _, err := transfer.Rewind(ctx, w.Store, ledgertest.Start.Add(2*time.Second), &transfer.RewindOptions{Dir: t.TempDir()}); err != nil {
					t.Fatal(err)
				}
				mail, err := w.Store.(bide.Mailer).Mail(ctx, "r")
				if err != nil || len(mail) != want {
					t.Errorf("sent after %s: the run has %v, %v; want %d messages", sent, mail, err, want)
				}
			}
		})
	}
}
