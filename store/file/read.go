package file

import (
	"context"
	"math"
	"path/filepath"

	"github.com/bide-dev/bide"
)

// look gives f a run under the lock.
func (s *Store) look(ctx context.Context, runID string, f func(*run) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.index.runs[runID]
	switch {
	case s.closed:
		return errClosed(s.dir)
	case r == nil:
		return errNoRun(runID)
	case r.damage != nil:
		return r.damage
	}
	return f(r)
}

// view is a run's ledger as it is now, to be read from a record on. s.mu must be held.
func (r *run) view(seq int64) view {
	return view{id: r.id, path: filepath.Join(r.path, ledgerName), info: r.info, filed: r.ledger.filed, pending: r.ledger.pending, from: r.ledger.before(seq)}
}

// remember keeps places in a ledger that a read has passed.
func (s *Store) remember(runID string, places []place) {
	if len(places) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.index.runs[runID]; r != nil {
		for _, p := range places {
			r.ledger.mark(p.seq, p.offset)
		}
	}
}

// Load implements bide.Store.
func (s *Store) Load(ctx context.Context, runID string, have bide.Position) (*bide.Stored, error) {
	if have.Seq == 0 {
		if out, err := s.loadSnapshot(ctx, runID); out != nil || err != nil {
			return out, err
		}
	}
	out, v, err := s.moment(ctx, runID, have.Seq+1, nil)
	if err != nil {
		return nil, err
	}
	return out, s.fill(out, v, have.Seq+1)
}

// loadSnapshot loads a run from its snapshot; nil when there is none that holds true.
func (s *Store) loadSnapshot(ctx context.Context, runID string) (*bide.Stored, error) {
	for range 3 { // the run may go on and its file be replaced meanwhile
		var snap *snapshot
		out, v, err := s.moment(ctx, runID, 1, &snap)
		if err != nil {
			return nil, err
		}
		if snap == nil {
			if snap, err = readSnapshot(s.disk, filepath.Dir(v.path)); snap == nil || err != nil {
				return nil, err
			}
		}
		if snap.Seq > out.Seq || snap.Seq == out.Seq && snap.Head != out.Head {
			continue
		}
		out.Snapshot, out.SnapshotSeq = snap.body, snap.Seq
		v.from, v.head = place{snap.Seq + 1, snap.LedgerBytes}, snap.Head
		if s.fill(out, v, snap.Seq+1) != nil {
			return nil, nil // whatever is wrong, the whole ledger will tell
		}
		return out, nil
	}
	return nil, nil
}

// moment is a run as it is now, without its records, and its ledger, to be read from a record on.
func (s *Store) moment(ctx context.Context, runID string, seq int64, snap **snapshot) (out *bide.Stored, v view, err error) {
	err = s.look(ctx, runID, func(r *run) error {
		out = &bide.Stored{Position: r.info.Position(), MailSeq: r.mailSeq, Fence: r.fence}
		out.Mail, out.MailMore = s.index.mail.of(runID, r.waits)
		v = r.view(seq)
		if snap != nil {
			*snap = r.snapshot
		}
		return nil
	})
	return out, v, err
}

// fill reads the records from seq on.
func (s *Store) fill(out *bide.Stored, v view, seq int64) (err error) {
	var places []place
	out.Records, places, err = v.read(s.disk, seq, math.MaxInt)
	s.remember(v.id, places)
	return err
}

// Records implements bide.Store.
func (s *Store) Records(ctx context.Context, runID string, from int64, limit int) ([][]byte, error) {
	from = max(from, 1)
	var v view
	err := s.look(ctx, runID, func(r *run) error {
		v = r.view(from)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out, places, err := v.read(s.disk, from, limit)
	if err != nil {
		return nil, err
	}
	s.remember(runID, places)
	return out, nil
}

// Command implements bide.Store.
func (s *Store) Command(ctx context.Context, runID, commandID string) (out *bide.CommandRecord, err error) {
	err = s.look(ctx, runID, func(r *run) error {
		c, ok := r.commands[commandID]
		if !ok {
			return &bide.Error{Code: bide.CodeNotFound, Message: "there is no command " + commandID, Run: runID}
		}
		out = &c
		return nil
	})
	return out, err
}
