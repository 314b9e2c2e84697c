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
	// Progress is called after each run. Defaults to nothing.
	Progress func(runs, records int64)
}

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
		if err := v.run(ctx, id, nil); err != nil {
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
			if err := v.run(ctx, page.Runs[i].ID, &page.Runs[i]); err != nil && !errors.Is(err, bide.ErrNotFound) {
				return err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return v.missing(ctx, seen)
		}
	}
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
		if err := v.run(ctx, id, nil); errors.Is(err, bide.ErrNotFound) {
			v.out.Faults = append(v.out.Faults, Fault{RunID: id, From: 1, To: last.Seq, Message: "the run is missing, and its deletion is not on record"})
		} else if err != nil {
			return err
		}
	}
	slices.SortFunc(v.out.Faults, func(a, b Fault) int { return cmp.Or(cmp.Compare(a.RunID, b.RunID), cmp.Compare(a.From, b.From)) })
	return nil
}

// run checks one run; row is what the listing said of it, or nil.
func (v *verifier) run(ctx context.Context, id string, row *bide.RunInfo) error {
	kept, at, broken, err := v.kept(ctx, id)
	if err != nil {
		return err
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
			return err
		}
	}
	faults := checked.Faults
	switch {
	case len(faults) > 0:
	case broken != nil && !errors.Is(broken, bide.ErrSealed):
		faults = append(faults, Fault{RunID: id, Message: broken.Error()})
	default:
		if v.log.Newest != nil && checked.SignedTo < checked.Seq {
			v.out.Unsigned = append(v.out.Unsigned, Span{id, checked.SignedTo + 1, checked.Seq})
		}
		if checked.Sealed || kept == nil {
			v.out.Sealed++
		} else if faults, err = v.caches(ctx, checked.Run, row, kept); err != nil {
			return err
		}
	}
	v.out.Runs++
	v.out.Records += checked.Seq
	v.out.Faults = append(v.out.Faults, faults...)
	if v.opts.Progress != nil {
		v.opts.Progress(v.out.Runs, v.out.Records)
	}
	return nil
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
