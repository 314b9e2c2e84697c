package bide

import (
	"container/list"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"
)

// session is the in-memory side of one run: its state as of the last commit
// seen, a cache of what the store has.
type session struct {
	rt    *Runtime
	id    string
	users int           // guarded by rt.mu
	idle  *list.Element // guarded by rt.mu

	ticking chan struct{} // holds one token while a Tick is at work
	changed chan struct{} // told after a commit, for the Tick at work

	mu      sync.Mutex // guards the rest; held while a transition is committed
	run     *Run       // nil: to be loaded
	mail    []Message  // that the run could take as of the last load
	mailSeq int64      // Stored.MailSeq of that load; 0 when there was more mail than it gave
	fence   int64      // the run's last claim as of the last load or commit
	bytes   int        // of the records since the last snapshot
	sealer  Sealer     // for the run's next records; nil when it is not encrypted
	snapAt  int        // value of bytes from which a snapshot is considered
}

func newSession(rt *Runtime, id string) *session {
	return &session{rt: rt, id: id, ticking: make(chan struct{}, 1), changed: make(chan struct{}, 1), snapAt: rt.opts.SnapshotBytes}
}

// refresh brings the state to what the store has.
func (s *session) refresh(ctx context.Context) error {
	if s.run != nil {
		stored, err := s.rt.store.Load(ctx, s.id, s.run.Position())
		if err != nil {
			return err
		}
		s.post(stored)
		if stored.Position == s.run.Position() || s.extend(stored) == nil {
			return nil
		}
	}
	stored, err := s.rt.store.Load(ctx, s.id, Position{})
	if err != nil {
		return err
	}
	return s.rebuild(stored)
}

// adopt brings the state to what came with a claim, and reports false when it
// must be loaded: when more is known already, or what came is of no use.
func (s *session) adopt(stored *Stored) bool {
	switch {
	case s.run == nil || s.run.Seq < stored.Seq:
		return s.rebuild(stored) == nil
	case s.run.Position() == stored.Position:
		s.post(stored)
		return true
	}
	return false
}

// rebuild makes the state anew.
func (s *session) rebuild(stored *Stored) error {
	s.post(stored)
	s.run, s.bytes, s.snapAt, s.sealer = &Run{}, 0, s.rt.opts.SnapshotBytes, stored.Sealer
	if stored.Snapshot != nil {
		if err := decodeOwn(stored.Snapshot, s.run); err != nil {
			s.run = nil
			return Errorf(CodeCorrupt, "snapshot at record %d: %w", stored.SnapshotSeq, err).onRun(s.id)
		}
	}
	if err := s.extend(stored); err != nil {
		s.run = nil
		return err
	}
	return nil
}

// post keeps the mail of a load. What was not given is mail not seen.
func (s *session) post(stored *Stored) {
	s.mail, s.mailSeq, s.fence = stored.Mail, stored.MailSeq, stored.Fence
	if stored.MailMore {
		s.mailSeq = 0
	}
}

// extend folds stored records onto the state; after an error the state is of no use.
func (s *session) extend(stored *Stored) error {
	for _, raw := range stored.Records {
		rec, err := s.rt.parse(raw)
		if err != nil {
			return err
		}
		if err := s.run.fold(&rec); err != nil {
			return err
		}
		s.bytes += len(raw)
	}
	s.run.opened, s.run.closed = nil, nil
	if err := s.run.readable(s.id, stored.Locked); err != nil {
		return err
	}
	if s.run.Position() != stored.Position {
		return Errorf(CodeCorrupt, "the records end at %d, the run's row says %d: the ledger was cut or rewritten", s.run.Seq, stored.Seq).onRun(s.id)
	}
	return nil
}

// at returns the run if the state in memory is the one at a position.
func (s *session) at(p Position) *Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil || s.run.Position() != p {
		return nil
	}
	return s.run.view()
}

// maxConflicts bounds how often a transition is made again because the run
// changed meanwhile.
const maxConflicts = 1000

// transition makes one transition: do puts records into the machine, which are
// then committed. With fresh, the state is first brought to what the store has.
// When the run changed meanwhile, the state is loaded anew and do is called
// again. s.mu must be held.
func (s *session) transition(ctx context.Context, fresh bool, cause Cause, do func(m *machine) error) error {
	for range maxConflicts {
		fresh := fresh || s.run == nil
		if fresh {
			if err := s.refresh(ctx); err != nil {
				return err
			}
		}
		m := newMachine(s.run, nil, &s.rt.opts.Limits, s.rt.now(), s.rt.opts.Random(), cause)
		m.find, m.has, m.mail, m.fresh, m.sealer, m.redactor = s.rt.find, s.rt.handles, s.mail, fresh, s.sealer, s.rt.opts.Redact
		if sealing := s.rt.sealing(); sealing != nil {
			m.newSealer = func(runID string) (Sealer, error) { return sealing.NewSealer(ctx, runID) }
		}
		if err := do(m); err != nil {
			if len(m.out) > 0 || m.run.Seq == 0 {
				s.run = nil
			}
			return err
		}
		err := s.persist(ctx, m)
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return Errorf(CodeConflict, "the run changed %d times while a transition was tried", maxConflicts).onRun(s.id)
}

// decide is transition for a change from outside. It goes by the state that is known, since the commit
// checks that it is still the stored one; before it refuses, or leaves all as it is, it loads that.
func (s *session) decide(ctx context.Context, cause Cause, do func(m *machine) error) error {
	if s.run == nil {
		return s.transition(ctx, true, cause, do)
	}
	err := s.transition(ctx, false, cause, func(m *machine) error {
		if do(m) != nil || len(m.out) == 0 {
			return errNotByThis
		}
		return nil
	})
	if errors.Is(err, errNotByThis) {
		return s.transition(ctx, true, cause, do)
	}
	return err
}

// errNotByThis says that the state that is known is not enough to go by.
var errNotByThis = errors.New("the state may be out of date")

// persist commits what the machine holds. After an error the state is loaded anew.
func (s *session) persist(ctx context.Context, m *machine) error {
	if len(m.out) == 0 {
		return nil
	}
	s.bytes += m.outBytes
	c := m.commit()
	if m.looked {
		c.MailSeen = s.mailSeq
	}
	s.snapshot(c)
	if err := s.rt.commitNotice(ctx, Notice{Commit: c, Fired: m.fired, Lag: m.lag}); err != nil {
		s.run = nil
		return err
	}
	s.fence, s.sealer = max(s.fence, c.Claimed), m.sealer
	s.mail = slices.DeleteFunc(s.mail, func(msg Message) bool { return m.taken[msg.ID] })
	for _, msg := range c.Send { // a child may have continued as another run meanwhile
		if strings.HasPrefix(msg.Key, "cancel:") && msg.To != s.id {
			if err := s.rt.sendOn(ctx, msg); err != nil {
				s.rt.opts.Logger.Error("cancel", "run", msg.To, "parent", s.id, "err", err)
			}
		}
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return nil
}

// snapshot adds a snapshot to a commit when the records since the last one are
// twice its size: so loading a run reads at most three times its state, and
// all snapshots together cost at most half of what the records cost (K4).
func (s *session) snapshot(c *Commit) {
	if s.bytes < s.snapAt {
		return
	}
	body, err := encodeOwn(s.run)
	if err != nil {
		s.rt.opts.Logger.Error("encode snapshot", "run", s.id, "err", err)
		return
	}
	s.snapAt = max(s.rt.opts.SnapshotBytes, 2*len(body))
	if s.bytes >= 2*len(body) {
		c.Snapshot, s.bytes = body, 0
	}
}

// fingerprint tells one command's content from another's.
func fingerprint(verb string, args ...[]byte) Hash {
	h := sha256.New()
	h.Write([]byte(verb))
	for _, a := range args {
		h.Write([]byte{0})
		h.Write(a)
	}
	return Hash(h.Sum(nil))
}
