package ledger

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
)

// Report is what verifying found.
type Report struct {
	Runs    int64 `json:"runs"`
	Records int64 `json:"records"`
	// Deleted is how many signed runs are not there because they were deleted on record.
	Deleted     int64 `json:"deleted"`
	Checkpoints int64 `json:"checkpoints"`
	// Checkpoint is the newest; nil without one.
	Checkpoint *Checkpoint `json:"checkpoint,omitempty"`
	// Signed says that a key that was given has signed it.
	Signed bool `json:"signed"`
	// Sealed are runs that are encrypted, of which the chain alone was checked for want of a key.
	Sealed int64 `json:"sealed,omitempty"`
	// Faults are everything that is not as recorded.
	Faults []Fault `json:"faults,omitempty"`
	// Unsigned are the records that no checkpoint speaks for yet, by run. Somebody who can write to the store
	// can have added or changed them without leaving a trace.
	Unsigned []Span `json:"unsigned,omitempty"`
}

// OK reports whether no fault was found.
func (r *Report) OK() bool { return len(r.Faults) == 0 }

// Span is a range of a run's records.
type Span struct {
	RunID string `json:"run_id"`
	From  int64  `json:"from"`
	To    int64  `json:"to"`
}

// VerifyOptions refines VerifyStore. Nil means all runs, without signatures.
type VerifyOptions struct {
	// Keys are the public keys that count. Without any, the log is held to itself alone.
	Keys []note.Verifier
	// Seen is a checkpoint that was kept elsewhere: the log must still begin with it. Without it, putting the
	// whole store back to an older state cannot be found.
	Seen string
	// Runs are the ids of the runs to look at. Defaults to all, and then missing ones are found too.
	Runs []string
}

// checksAtOnce is how many runs are looked at at once.
const checksAtOnce = 4

// historyPrefix begins RunInfo.SetAside of a run that was imported to be read only; its waits are not open in the store.
const historyPrefix = "history"

// HistoryReason is why a run that was imported to be read is set aside.
func HistoryReason(from string) string { return historyPrefix + ": imported from " + from }

// VerifyStore holds a store to itself and to its checkpoints (K27): every run's records, row, open waits and snapshot.
// It may run while runs go on. An error means that the store could not be read.
func VerifyStore(ctx context.Context, store bide.Store, opts *VerifyOptions) (*Report, error) {
	v := &verifier{store: store, raw: store, out: &Report{}, log: &Evidence{}}
	if s, ok := store.(sealing); ok {
		v.raw, v.open = s.Stored(), s.OpenRecord
	}
	if opts != nil {
		v.opts = *opts
	}
	var err error
	if v.rt, err = bide.New(store, &bide.Options{CacheRuns: 1}); err != nil {
		return nil, err
	}
	if docs, ok := store.(bide.Documents); ok {
		if err := v.readLog(ctx, docs); err != nil {
			return nil, err
		}
	}
	if len(v.opts.Runs) > 0 {
		err = v.named(ctx)
	} else {
		err = v.all(ctx)
	}
	return v.out, err
}

// sealing is a store that is encrypted and has the keys.
type sealing interface {
	bide.Sealing
	OpenRecord(ctx context.Context, runID string, rec *bide.Record) error
}

type verifier struct {
	store bide.Store
	raw   bide.Store                                        // what is kept, as it is kept
	open  func(context.Context, string, *bide.Record) error // nil when nothing is encrypted, or the keys are not there
	rt    *bide.Runtime
	opts  VerifyOptions
	log   *Evidence
	out   *Report
}

func (v *verifier) readLog(ctx context.Context, docs bide.Documents) (err error) {
	var faults []Fault
	if v.log, faults, err = ReadLog(ctx, docs, v.opts.Keys); err != nil {
		return err
	}
	if v.opts.Seen != "" {
		more, err := v.log.Seen(v.opts.Seen, v.opts.Keys)
		if err != nil {
			return err
		}
		faults = append(faults, more...)
	}
	v.out.Faults, v.out.Checkpoints, v.out.Checkpoint = faults, v.log.Checkpoints, v.log.Newest
	v.out.Signed = len(v.opts.Keys) > 0 && v.log.Newest != nil && len(faults) == 0
	return nil
}

func (v *verifier) named(ctx context.Context) error {
	for _, id := range v.opts.Runs {
		if err := v.run(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) all(ctx context.Context) error {
	seen := map[string]bool{}
	for q := (bide.RunQuery{Limit: 1000}); ; {
		page, err := v.store.Runs(ctx, q)
		if err != nil {
			return err
		}
		for i := range page.Runs {
			seen[page.Runs[i].ID] = true
		}
		if err := v.page(ctx, page.Runs); err != nil {
			return err
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return v.missing(ctx, seen)
		}
	}
}

// page checks runs, some at once, as each of them takes several reads of the store. What it finds stands in their order.
func (v *verifier) page(ctx context.Context, rows []bide.RunInfo) error {
	found, errs := make([]*finding, len(rows)), make([]error, len(rows))
	var next atomic.Int64
	var failed atomic.Bool
	var all sync.WaitGroup
	for range checksAtOnce {
		all.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(rows) && !failed.Load(); i = next.Add(1) - 1 {
				found[i], errs[i] = v.check(ctx, rows[i].ID, &rows[i])
				if errors.Is(errs[i], bide.ErrNotFound) { // it was deleted meanwhile
					errs[i] = nil
				}
				failed.CompareAndSwap(false, errs[i] != nil)
			}
		})
	}
	all.Wait()
	for _, f := range found {
		v.add(f)
	}
	return errors.Join(errs...)
}

// missing finds runs that were signed and are not there.
func (v *verifier) missing(ctx context.Context, seen map[string]bool) error {
	for id, leaves := range v.log.byRun {
		last := leaves[len(leaves)-1]
		switch {
		case id == "" || seen[id]:
			continue
		case last.Deleted:
			v.out.Deleted++
			continue
		}
		// It may have been started after the listing began.
		if err := v.run(ctx, id); errors.Is(err, bide.ErrNotFound) {
			v.out.Faults = append(v.out.Faults, Fault{RunID: id, From: 1, To: last.Seq, Message: "the run is missing, and its deletion is not on record"})
		} else if err != nil {
			return err
		}
	}
	slices.SortFunc(v.out.Faults, func(a, b Fault) int { return cmp.Or(cmp.Compare(a.RunID, b.RunID), cmp.Compare(a.From, b.From)) })
	return nil
}

// finding is what there is to say of one run.
type finding struct {
	records  int64
	sealed   bool
	unsigned *Span
	faults   []Fault
}

// run checks one run.
func (v *verifier) run(ctx context.Context, id string) error {
	f, err := v.check(ctx, id, nil)
	v.add(f)
	return err
}

// add takes what was found into the report; nil is nothing.
func (v *verifier) add(f *finding) {
	if f == nil {
		return
	}
	v.out.Runs++
	v.out.Records += f.records
	if f.sealed {
		v.out.Sealed++
	}
	if f.unsigned != nil {
		v.out.Unsigned = append(v.out.Unsigned, *f.unsigned)
	}
	v.out.Faults = append(v.out.Faults, f.faults...)
}

// check looks at one run; row is what the listing said of it, or nil.
func (v *verifier) check(ctx context.Context, id string, row *bide.RunInfo) (f *finding, err error) {
	kept, at, broken, err := v.kept(ctx, id)
	if err != nil {
		return nil, err
	}
	checked := &CheckedRun{}
	if at != nil {
		var open func(*bide.Record) error
		if v.open != nil {
			open = func(rec *bide.Record) error { return v.open(ctx, id, rec) }
		}
		checked, err = CheckRun(id, v.records(ctx, id, at.Seq), at, v.log.Of(id), open)
		if errors.Is(err, bide.ErrCorrupt) {
			checked, broken, err = &CheckedRun{}, err, nil
		}
		if err != nil {
			return nil, err
		}
	}
	f = &finding{records: checked.Seq, faults: checked.Faults}
	switch {
	case len(f.faults) > 0:
	case broken != nil && !errors.Is(broken, bide.ErrSealed):
		f.faults = append(f.faults, Fault{RunID: id, Message: broken.Error()})
	default:
		if v.log.Newest != nil && checked.SignedTo < checked.Seq {
			f.unsigned = &Span{id, checked.SignedTo + 1, checked.Seq}
		}
		if f.sealed = checked.Sealed || kept == nil; f.sealed {
			return f, nil
		}
		f.faults, err = v.caches(ctx, checked.Run, row, kept)
	}
	return f, err
}

// kept returns a run as the store keeps it, by its snapshot, and where its row says that it ends; and why that cannot be read.
func (v *verifier) kept(ctx context.Context, id string) (kept *bide.Run, at *bide.Position, broken, err error) {
	kept, err = v.rt.Get(ctx, id)
	if err == nil {
		p := kept.Position()
		return kept, &p, nil, nil
	}
	if !errors.Is(err, bide.ErrCorrupt) && !errors.Is(err, bide.ErrSealed) {
		return nil, nil, nil, err
	}
	stored, lerr := v.raw.Load(ctx, id, bide.Position{})
	if errors.Is(lerr, bide.ErrCorrupt) {
		return nil, nil, err, nil
	}
	if lerr != nil {
		return nil, nil, nil, lerr
	}
	return nil, &stored.Position, err, nil
}

// records yields a run's stored records. Those that came after its row was read are left out, unless the row still says that they are not there.
func (v *verifier) records(ctx context.Context, id string, upTo int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for next := int64(1); ; {
			raws, err := v.raw.Records(ctx, id, next, 1000)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, raw := range raws {
				if next > upTo && v.grew(ctx, id, upTo) {
					return
				}
				if !yield(raw, nil) {
					return
				}
				next++
			}
			if len(raws) < 1000 {
				return
			}
		}
	}
}

// grew reports whether the run's row has moved on from a position.
func (v *verifier) grew(ctx context.Context, id string, from int64) bool {
	now, err := v.raw.Load(ctx, id, bide.Position{})
	return err == nil && now.Seq > from
}

// caches holds what a store keeps beside the records against what they give.
func (v *verifier) caches(ctx context.Context, run *bide.Run, row *bide.RunInfo, kept *bide.Run) (faults []Fault, err error) {
	bad := func(format string, args ...any) {
		faults = append(faults, Fault{RunID: run.ID, Message: fmt.Sprintf(format, args...)})
	}
	if row != nil && row.Seq == run.Seq && !SameInfo(*row, run.RunInfo) {
		bad("its row is not what the records give: %s", differs(*row, run.RunInfo))
	}
	if same, err := sameState(run, kept); err != nil {
		return nil, err
	} else if !same {
		bad("its snapshot is not what the records give")
	}
	if row == nil || strings.HasPrefix(row.SetAside, historyPrefix) || row.Seq != run.Seq {
		return faults, nil
	}
	open, err := v.waits(ctx, run.ID)
	if err != nil {
		return nil, err
	}
	want := run.Waits
	if run.Status.Final() {
		want = nil
	}
	if !sameWaits(open, want) {
		now, err := v.store.Load(ctx, run.ID, run.Position())
		if err != nil {
			return nil, err
		}
		if now.Position == run.Position() {
			bad("its open waits are not what the records give")
		}
	}
	return faults, nil
}

// sameState reports whether two states of a run are the same.
func sameState(a, b *bide.Run) (bool, error) {
	x, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	y, err := json.Marshal(b)
	return bytes.Equal(x, y), err
}

func (v *verifier) waits(ctx context.Context, id string) (out []bide.Wait, err error) {
	for q := (bide.WaitQuery{Run: id, Limit: 1000}); ; {
		page, err := v.store.Waits(ctx, q)
		if err != nil {
			return nil, err
		}
		out = append(out, page.Waits...)
		if q.Cursor = page.Next; q.Cursor == "" {
			return out, nil
		}
	}
}

func sameWaits(a, b []bide.Wait) bool {
	sorted := func(ws []bide.Wait) []byte {
		ws = slices.Clone(ws)
		slices.SortFunc(ws, func(a, b bide.Wait) int { return cmp.Compare(a.ID, b.ID) })
		text, err := json.Marshal(ws)
		if err != nil {
			return []byte(err.Error())
		}
		return text
	}
	return len(a) == len(b) && (len(a) == 0 || bytes.Equal(sorted(a), sorted(b)))
}

// differs names the fields in which two rows differ.
func differs(a, b bide.RunInfo) string {
	a.SetAside, b.SetAside = "", ""
	fields := func(r bide.RunInfo) (m map[string]json.RawMessage) {
		text, err := json.Marshal(r)
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		if err != nil {
			return nil
		}
		return m
	}
	x, y := fields(a), fields(b)
	var names []string
	for name := range x {
		if !bytes.Equal(x[name], y[name]) {
			names = append(names, name)
		}
	}
	for name := range y {
		if x[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
