package transfer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/ledger"
)

// RestoreKind is the kind of the documents that say that a store was put back to a time; the body is a Restored.
const RestoreKind = "restore"

// RewindOptions refines Rewind. Nil means the defaults.
type RewindOptions struct {
	// DryRun says what would be done, and changes nothing.
	DryRun bool
	// Signers sign again that runs were deleted since. They are needed when the log says so.
	Signers []note.Signer
	// Actor is who does it, From where the store comes from: both are noted.
	Actor, From string
	// Dir is where a file is kept while it works. Defaults to the system's folder for that.
	Dir string
	// Now is the clock. Defaults to the system's.
	Now func() time.Time
}

// Restored is what a store that was put back says of it.
type Restored struct {
	At       time.Time `json:"at"` // the time that it was put back to
	DoneAt   time.Time `json:"done_at"`
	Actor    string    `json:"actor,omitempty"`
	From     string    `json:"from,omitempty"`
	Runs     int       `json:"runs"`     // put back
	LeftOut  int       `json:"left_out"` // begun later
	Removed  []string  `json:"removed,omitempty"`
	Shredded []string  `json:"shredded,omitempty"`
	// Checkpoint is the newest one that was taken out of the log.
	Checkpoint string `json:"checkpoint,omitempty"`
}

// Rewound is what putting a store back to a time does.
type Rewound struct {
	Restored
	Kept int `json:"kept"` // runs that have not changed since
	// Back are the runs that are put back, and Later those that are left out, with the effects that may happen again.
	Back  []RewoundRun `json:"back"`
	Later []RewoundRun `json:"later"`
}

// RewoundRun is one run of them.
type RewoundRun struct {
	RunID    string            `json:"run_id"`
	Workflow string            `json:"workflow"`
	Seq      int64             `json:"seq"`  // up to which it goes back; 0 when it is left out
	Last     int64             `json:"last"` // its last record before
	Status   bide.Status       `json:"status,omitempty"`
	Effects  []bide.ForkEffect `json:"effects,omitempty"`

	was   bide.RunInfo
	state *bide.Run
	mail  []bide.Message
}

// RewindStore is what can be put back.
type RewindStore interface {
	Store
	bide.Documents
}

// Rewind puts a store back to a time: every run to its last commit at or before it, with its waits, its commands
// and the mail that it had and is known; runs that began later are left out. The store must be a copy that nobody else has
// open, such as a backup: cut off, it is of no use.
//
// What was destroyed since does not come back: Removed names the runs that the log says were deleted, Shredded those whose content was
// destroyed, which stay as they are. Documents stay as they are. Mail to runs is what it was, in a store that
// is a bide.Mailer. The log is cut where it speaks of later times: whoever kept a
// later checkpoint finds that the store was put back, and a document of RestoreKind says so.
//
// It fails with ErrSealed when a run is encrypted and its key is not at hand, and with ErrInvalidInput when the log says that runs were deleted since and
// there are no signers.
func Rewind(ctx context.Context, store RewindStore, at time.Time, opts *RewindOptions) (*Rewound, error) {
	var o RewindOptions
	if opts != nil {
		o = *opts
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	now := o.Now().UTC().Truncate(time.Microsecond)
	rw := &rewinding{store: store, raw: store, at: at, opts: o, rt: bide.Must(bide.New(store, nil)), runs: map[string]*RewoundRun{},
		out: &Rewound{Restored: Restored{At: at.UTC(), DoneAt: now, Actor: o.Actor, From: o.From}}}
	if keys, ok := store.(sealing); ok {
		rw.raw = keys.Stored()
	}
	if err := rw.plan(ctx); err != nil {
		return nil, fmt.Errorf("put the store back: %w", err)
	}
	if o.DryRun {
		return rw.out, nil
	}
	if err := rw.do(ctx); err != nil {
		return nil, fmt.Errorf("put the store back: %w", err)
	}
	return rw.out, nil
}

type rewinding struct {
	store   RewindStore
	raw     bide.Store
	at      time.Time
	opts    RewindOptions
	rt      *bide.Runtime
	out     *Rewound
	runs    map[string]*RewoundRun // that change, by id
	log     *ledger.LogRewind
	session []bide.Message // taken since, from mailboxes that are no run's
}

// plan finds what is to be done.
func (rw *rewinding) plan(ctx context.Context) error {
	for q := (bide.RunQuery{Limit: 1000, Order: bide.OrderOldest}); ; {
		page, err := rw.store.Runs(ctx, q)
		if err != nil {
			return err
		}
		for i := range page.Runs {
			if err := rw.look(ctx, &page.Runs[i]); err != nil {
				return fmt.Errorf("run %s: %w", page.Runs[i].ID, err)
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	parentsFirst(rw.out.Back)
	for i := range rw.out.Back {
		rw.runs[rw.out.Back[i].RunID] = &rw.out.Back[i]
	}
	for i := range rw.out.Later {
		rw.runs[rw.out.Later[i].RunID] = &rw.out.Later[i]
	}
	for i := range rw.out.Back {
		if err := rw.family(ctx, &rw.out.Back[i]); err != nil {
			return err
		}
	}
	rw.out.Runs, rw.out.LeftOut = len(rw.out.Back), len(rw.out.Later)
	return rw.planLog(ctx)
}

// parentsFirst orders runs as they began; those that began at the same time as their parents follow them.
func parentsFirst(runs []RewoundRun) {
	place := map[string]int{}
	for _, r := range runs {
		place[r.RunID] = 0
	}
	for range len(runs) { // as deep as the tree is, at most
		deeper := false
		for _, r := range runs {
			if up, ok := place[r.was.Parent]; ok && place[r.RunID] <= up {
				place[r.RunID], deeper = up+1, true
			}
		}
		if !deeper {
			break
		}
	}
	slices.SortStableFunc(runs, func(a, b RewoundRun) int {
		return cmp.Or(a.was.CreatedAt.Compare(b.was.CreatedAt), cmp.Compare(place[a.RunID], place[b.RunID]))
	})
}

// look finds where a run goes back to.
func (rw *rewinding) look(ctx context.Context, info *bide.RunInfo) error {
	mail, late, err := rw.mailOf(ctx, info)
	if err != nil {
		return err
	}
	if !info.UpdatedAt.After(rw.at) && !late {
		rw.out.Kept++
		return nil
	}
	r := RewoundRun{RunID: info.ID, Workflow: info.Workflow, Last: info.Seq, was: *info, mail: mail}
	taken, shredded, err := rw.since(ctx, &r)
	switch {
	case err != nil:
		return err
	case r.Seq == 0:
		if !shredded {
			r.Effects, err = rw.rt.ForkPreview(ctx, r.RunID, 1)
		}
		rw.out.Later = append(rw.out.Later, r)
		return err
	case shredded:
		rw.out.Shredded = append(rw.out.Shredded, r.RunID)
		return nil
	}
	for _, m := range taken {
		if m.To == "" {
			rw.session = append(rw.session, m)
		} else if !slices.ContainsFunc(r.mail, func(is bide.Message) bool { return is.ID == m.ID }) {
			r.mail = append(r.mail, m)
		}
	}
	slices.SortStableFunc(r.mail, func(a, b bide.Message) int { return a.At.Compare(b.At) })
	if r.state, err = rw.rt.StateAt(ctx, r.RunID, r.Seq); err != nil {
		return err
	}
	r.Status = r.state.Status
	if r.Effects, err = rw.rt.ForkPreview(ctx, r.RunID, r.Seq); err != nil {
		return err
	}
	rw.out.Back = append(rw.out.Back, r)
	return nil
}

// mailOf returns the mail that a run had at the time and has not taken, and whether there is later mail.
func (rw *rewinding) mailOf(ctx context.Context, info *bide.RunInfo) (mail []bide.Message, late bool, err error) {
	all, err := mailOf(ctx, rw.store, info)
	for _, m := range all {
		if m.At.After(rw.at) {
			late = true
		} else {
			mail = append(mail, m)
		}
	}
	return mail, late, err
}

// since reads a run's records and finds the last one at or before the time, what mail of before was taken after it, and whether the
// run was shredded.
func (rw *rewinding) since(ctx context.Context, r *RewoundRun) (taken []bide.Message, shredded bool, err error) {
	later := false
	for next := int64(1); ; {
		raws, err := rw.store.Records(ctx, r.RunID, next, 1000)
		if err != nil || len(raws) == 0 {
			return taken, shredded, err
		}
		for _, raw := range raws {
			rec, err := bide.ParseRecord(raw)
			if err != nil {
				return nil, false, err
			}
			if later = later || rec.At.After(rw.at); !later {
				r.Seq = rec.Seq
			}
			shredded = shredded || rec.Kind == bide.KindRunShredded
			if m := rw.takenBy(r.RunID, &rec); later && m != nil {
				taken = append(taken, *m)
			}
			next++
		}
	}
}

// takenBy is the message that a record took, if it was there at the time.
func (rw *rewinding) takenBy(runID string, rec *bide.Record) *bide.Message {
	if rec.Kind != bide.KindWaitResolved || rec.IsSealed() {
		return nil
	}
	data, err := rec.Decode()
	d, ok := data.(*bide.WaitResolved)
	if err != nil || !ok || d.Message == nil || d.Message.At.After(rw.at) {
		return nil
	}
	m := &bide.Message{ID: d.Message.ID, To: runID, Key: d.Message.Key, Payload: d.Answer, At: d.Message.At}
	if strings.HasPrefix(m.Key, "evt:"+string(bide.ScopeSession)+":") {
		m.ID, m.To = m.ID+"/again", "" // the mailbox knows its id, and would leave it out
	}
	return m
}

// family completes the mail of a run with what it was to hear of its children and its parent.
func (rw *rewinding) family(ctx context.Context, r *RewoundRun) error {
	for _, w := range r.state.Waits {
		child, ok := strings.CutPrefix(w.Key, "run:")
		if !ok || w.Kind != bide.WaitChild || slices.ContainsFunc(r.mail, func(m bide.Message) bool { return m.Key == w.Key }) {
			continue
		}
		run, err := rw.then(ctx, child)
		if err != nil {
			return err
		}
		if run == nil || !run.Status.Final() {
			continue
		}
		news := bide.ChildResult{RunID: child, Status: run.Status, Output: run.Output, Error: run.Error}
		if run.ContinuedAs != "" {
			news = bide.ChildResult{RunID: child, Status: bide.StatusRunning, ContinuedAs: run.ContinuedAs}
		}
		payload, err := json.Marshal(news)
		if err != nil {
			return err
		}
		r.mail = append(r.mail, bide.Message{ID: fmt.Sprintf("%s/end/%d", child, run.Seq), To: r.RunID, Key: w.Key, Payload: payload, At: run.UpdatedAt})
	}
	if r.state.Parent == "" || r.state.Detached || r.state.Status.Final() {
		return nil
	}
	parent, err := rw.then(ctx, r.state.Parent)
	if err != nil || parent == nil || !parent.Status.Final() || parent.ContinuedAs != "" {
		return err
	}
	key := "cancel:" + r.RunID
	if !slices.ContainsFunc(r.mail, func(m bide.Message) bool { return m.Key == key }) {
		r.mail = append(r.mail, bide.Message{ID: r.RunID + "/cancel", To: r.RunID, Key: key, At: parent.UpdatedAt})
	}
	return nil
}

// then is a run as it was at the time; nil when it was not there.
func (rw *rewinding) then(ctx context.Context, id string) (*bide.Run, error) {
	if r := rw.runs[id]; r != nil {
		return r.state, nil
	}
	run, err := rw.rt.Get(ctx, id)
	if errors.Is(err, bide.ErrNotFound) || errors.Is(err, bide.ErrShredded) {
		return nil, nil
	}
	return run, err
}

// planLog finds what of the log goes.
func (rw *rewinding) planLog(ctx context.Context) (err error) {
	rw.log, err = ledger.PlanLogRewind(ctx, rw.store, rw.at, func(l ledger.Leaf) bool {
		r := rw.runs[l.RunID]
		return r == nil || l.Seq <= r.Seq
	})
	if err != nil {
		return err
	}
	rw.out.Checkpoint = rw.log.Newest
	for _, l := range rw.log.Deleted {
		rw.out.Removed = append(rw.out.Removed, l.RunID)
	}
	if len(rw.out.Removed) > 0 && len(rw.opts.Signers) == 0 && !rw.opts.DryRun {
		return bide.Errorf(bide.CodeInvalidInput, "the log says that %d runs were deleted since, among them %s; give the key that signs it again", len(rw.out.Removed), rw.out.Removed[0])
	}
	return nil
}

// do changes the store.
func (rw *rewinding) do(ctx context.Context) (err error) {
	file, err := os.CreateTemp(rw.opts.Dir, ".restore-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	if err := rw.write(ctx, file); err != nil {
		return err
	}
	for _, r := range rw.runs {
		if err := rw.raw.Commit(ctx, &bide.Commit{RunID: r.RunID, Expect: r.was.Position(), Delete: true}); err != nil {
			return err
		}
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := put(ctx, rw.store, file, &ImportOptions{Live: true}); err != nil {
		return err
	}
	for _, r := range rw.out.Back {
		if r.was.SetAside != "" && !r.Status.Final() {
			if err := rw.store.SetAside(ctx, r.RunID, r.was.SetAside); err != nil {
				return err
			}
		}
	}
	if len(rw.session) > 0 {
		if err := rw.store.Commit(ctx, &bide.Commit{Send: rw.session}); err != nil {
			return err
		}
	}
	if err := rw.log.Do(ctx, rw.store, rw.out.DoneAt); err != nil {
		return err
	}
	if err := rw.tombstones(ctx); err != nil {
		return err
	}
	body, err := json.Marshal(rw.out.Restored)
	if err != nil {
		return err
	}
	_, err = rw.store.PutDocument(ctx, bide.Document{Kind: RestoreKind, ID: rw.out.DoneAt.Format(time.RFC3339Nano), Body: body, UpdatedAt: rw.out.DoneAt})
	return err
}

// write writes the runs that go back, as they were, into a file of an export.
func (rw *rewinding) write(ctx context.Context, w io.Writer) error {
	e := newExporter(rw.store, w, ExportOptions{Now: rw.opts.Now})
	e.log = &ledger.Evidence{}
	if err := e.line(line{Header: &Header{Format: Format, At: rw.out.DoneAt}}); err != nil {
		return err
	}
	for _, r := range rw.out.Back {
		if err := e.write(ctx, r.state, r.mail); err != nil {
			return err
		}
	}
	return e.end(ctx)
}

// tombstones says again, in the log as it is now, which runs are deleted.
func (rw *rewinding) tombstones(ctx context.Context) error {
	if len(rw.log.Deleted) == 0 {
		return nil
	}
	log, err := ledger.OpenLog(ctx, rw.store, &ledger.LogOptions{Signers: rw.opts.Signers, Now: rw.opts.Now})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(rw.log.Deleted, ledger.BatchLeaves) {
		if _, err := log.Append(ctx, some...); err != nil {
			return err
		}
	}
	return nil
}
