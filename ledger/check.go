package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/bide-dev/bide"
)

// Fault is one thing that is not as it was recorded: in the records From to To of a run, in a run's row
// (From is 0), or in a checkpoint.
type Fault struct {
	RunID      string `json:"run_id,omitempty"`
	From       int64  `json:"from,omitempty"`
	To         int64  `json:"to,omitempty"`
	Checkpoint string `json:"checkpoint,omitempty"` // id of its document
	Message    string `json:"message"`
}

// String tells where and what.
func (f Fault) String() string {
	switch {
	case f.Checkpoint != "":
		return fmt.Sprintf("checkpoint %s: %s", f.Checkpoint, f.Message)
	case f.From == 0:
		return fmt.Sprintf("run %s: %s", f.RunID, f.Message)
	case f.From == f.To:
		return fmt.Sprintf("run %s, record %d: %s", f.RunID, f.From, f.Message)
	}
	return fmt.Sprintf("run %s, records %d to %d: %s", f.RunID, f.From, f.To, f.Message)
}

// CheckedRun is a run whose records were read and held against what is known of them.
type CheckedRun struct {
	// Run is what the records give; nil when there are faults.
	Run *bide.Run
	// Position is that of the last record there is.
	bide.Position
	// SignedTo is the last record that a leaf speaks for; those after it have no checkpoint yet.
	SignedTo int64
	// Sealed says that records are encrypted and were not opened: what they hold was not
	// looked at, and Run is nil.
	Sealed bool
	Faults []Fault
}

// CheckRun reads a run's stored records from the first on and checks that each carries the hash of the
// one before, that they agree with the leaves of the log, that nothing goes on after an end, and that
// they fold to a state. want, when not nil, is where the records must end. An error is that of the records' source.
//
// A record that was changed alone is named. When all after it were changed to fit, only the leaves
// can tell, and the fault spans the records between two of them.
//
// open opens a record that is encrypted; with nil, or where it fails for want of a key, only the chain is checked.
func CheckRun(runID string, records iter.Seq2[[]byte, error], want *bide.Position, leaves []Signed, open func(*bide.Record) error) (*CheckedRun, error) {
	c := &checker{runID: runID, leaves: leaves, open: open}
	run, err := bide.Fold(c.follow(records))
	sealed := errors.Is(err, bide.ErrSealed)
	if sealed {
		run, err = nil, nil
	}
	if c.failed != nil {
		return nil, c.failed
	}
	if err != nil && len(c.faults) == 0 {
		c.fault(c.refused, c.refused, "%s", err)
	}
	c.end(want)
	out := &CheckedRun{Position: c.last, SignedTo: c.signed, Faults: c.faults, Sealed: sealed}
	if len(c.faults) == 0 {
		out.Run = run
	}
	return out, nil
}

// checker follows a run's records.
type checker struct {
	runID  string
	leaves []Signed
	open   func(*bide.Record) error // nil without keys
	last   bide.Position
	signed int64
	broken int64 // the record whose link to the one before does not fit; 0 when the last one did
	ended  bide.Kind
	faults []Fault
	failed error

	refused int64 // the record that does not fold onto those before
}

func (c *checker) fault(from, to int64, format string, args ...any) {
	c.faults = append(c.faults, Fault{RunID: c.runID, From: from, To: to, Message: fmt.Sprintf(format, args...)})
}

// follow passes on the records to be folded as long as nothing is wrong, and checks all.
func (c *checker) follow(records iter.Seq2[[]byte, error]) iter.Seq2[bide.Record, error] {
	return func(yield func(bide.Record, error) bool) {
		folding := true
		for rec, err := range bide.ParseRecords(records) {
			if err != nil && rec.Raw == nil {
				c.failed = err
				return
			}
			ok := c.record(&rec, err)
			if folding = folding && ok && len(c.faults) == 0; folding {
				if folding = yield(rec, nil); !folding {
					c.refused = c.last.Seq
				}
			}
		}
	}
}

// record checks the next record; err is why it is none.
func (c *checker) record(rec *bide.Record, err error) (ok bool) {
	place := c.last.Seq + 1
	if err != nil {
		c.fault(place, place, "it cannot be read: %s", err)
	} else {
		c.numbered(rec, place)
		c.linked(rec, place)
		c.after(rec, place)
		c.opened(rec, place)
	}
	c.last = bide.Position{Seq: place, Head: rec.Hash}
	c.covered()
	return err == nil
}

func (c *checker) numbered(rec *bide.Record, place int64) {
	switch {
	case rec.Seq > place:
		c.fault(place, place, "record %d is in its place: records are missing or in another order", rec.Seq)
	case rec.Seq < place:
		c.fault(place, place, "record %d is in its place: records were added or are in another order", rec.Seq)
	}
}

// linked checks that a record carries the hash of the one before. When only one
// link is broken, it is the record before that was changed; when the next is broken too, it is this one.
func (c *checker) linked(rec *bide.Record, place int64) {
	fits := rec.Prev == c.last.Head
	switch {
	case fits && c.broken > 0:
		c.changed(c.broken - 1)
		c.broken = 0
	case !fits && c.broken > 0:
		c.changed(place - 1)
		c.broken = 0
	case !fits && place == 1:
		c.fault(1, 1, "it was changed: it names a record before it")
	case !fits:
		c.broken = place
	}
}

func (c *checker) changed(seq int64) {
	if n := len(c.faults); n > 0 && c.faults[n-1].From <= seq && seq <= c.faults[n-1].To {
		return // known to be wrong
	}
	c.fault(seq, seq, "it is not the one that was recorded: the records beside it carry other hashes")
}

// opened opens a record that is encrypted, if it can be.
func (c *checker) opened(rec *bide.Record, place int64) {
	if len(rec.Sealed) > 0 && rec.Data != nil {
		c.fault(place, place, "it was changed: it has data beside what is encrypted")
	}
	if !rec.IsSealed() || c.open == nil {
		return
	}
	err := c.open(rec)
	if err != nil && !errors.Is(err, bide.ErrSealed) && !errors.Is(err, bide.ErrShredded) {
		c.fault(place, place, "it cannot be opened: %s", err)
	}
}

// after checks that nothing follows an end but what can.
func (c *checker) after(rec *bide.Record, place int64) {
	switch rec.Kind {
	case bide.KindRunCompleted, bide.KindRunFailed, bide.KindRunCancelled:
		if c.ended == "" {
			c.ended = rec.Kind
			return
		}
	case bide.KindEffectLate, bide.KindGrantRevoked, bide.KindRunShredded:
		return
	case bide.KindRunRetried:
		if c.ended == bide.KindRunFailed {
			c.ended = ""
			return
		}
	}
	if c.ended != "" {
		c.fault(place, place, "%s after the run has ended", rec.Kind)
	}
}

// covered holds the record against the leaves that speak of it.
func (c *checker) covered() {
	for len(c.leaves) > 0 && c.leaves[0].Seq <= c.last.Seq {
		leaf := c.leaves[0]
		c.leaves = c.leaves[1:]
		switch {
		case leaf.Seq < c.last.Seq: // the log names an older record again, or the run was put back
			continue
		case leaf.Head != c.last.Head:
			c.fault(c.signed+1, leaf.Seq, "they are not those that were signed as leaf %d of the log", leaf.Index)
		}
		c.signed = leaf.Seq
	}
}

// end checks where the records end.
func (c *checker) end(want *bide.Position) {
	last := c.last.Seq
	if want != nil {
		switch {
		case want.Seq > last:
			c.fault(last+1, want.Seq, "they are missing: the run's row names %d records", want.Seq)
		case want.Seq < last:
			c.fault(want.Seq+1, last, "they were added: the run's row names %d records", want.Seq)
		case want.Head != c.last.Head && c.broken == last && last > 0:
			c.broken = 0
			c.changed(last)
		case want.Head != c.last.Head:
			c.fault(last, last, "it is not the one that the run's row names")
		}
	}
	if c.broken > 0 {
		c.changed(c.broken - 1)
	}
	if last == 0 && want == nil {
		c.fault(0, 0, "it has no records")
	}
	for _, leaf := range c.leaves {
		if leaf.Seq > last {
			c.fault(last+1, leaf.Seq, "they are missing: they were signed as leaf %d of the log", leaf.Index)
			return
		}
	}
}

// SameInfo reports whether two rows of a run are the same, but for what a store adds to them.
func SameInfo(a, b bide.RunInfo) bool {
	a.SetAside, b.SetAside = "", ""
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
