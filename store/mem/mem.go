// Package mem is the reference store: it keeps runs in memory, for tests and
// for programs that need no durability. It must not know files, SQL or any other store.
package mem

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/bide-dev/bide"
)

// Store keeps runs in memory. What it holds ends with the process.
type Store struct {
	mu     sync.RWMutex
	runs   map[string]*run
	mail   mailbox
	feed   feed
	docs   map[docKey]bide.Document
	owners map[string]bide.Owner // who said to be alive; Runs is not kept
	closed bool
}

var (
	_ bide.Store     = (*Store)(nil)
	_ bide.Claims    = (*Store)(nil)
	_ bide.Counter   = (*Store)(nil)
	_ bide.Documents = (*Store)(nil)
)

type run struct {
	info     bide.RunInfo
	records  [][]byte
	snapshot []byte
	snapSeq  int64
	waits    []bide.Wait
	commands map[string]bide.CommandRecord
	claim
}

// New returns an empty store.
func New() *Store {
	return &Store{
		runs: map[string]*run{}, mail: mailbox{known: map[string]bool{}},
		docs: map[docKey]bide.Document{}, owners: map[string]bide.Owner{},
	}
}

// Commit implements bide.Store.
func (s *Store) Commit(ctx context.Context, c *bide.Commit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return bide.ErrStoreClosed
	}
	if c.RunID != "" {
		r := s.runs[c.RunID]
		switch {
		case r == nil && c.Delete:
			return nil // sent again
		case r == nil:
			r = newRun()
		}
		if r.info.Position() == c.Info.Position() && !c.Delete {
			return nil // sent again
		}
		if err := s.refuse(r, c); err != nil {
			return err
		}
		if c.Delete {
			s.delete(c.RunID)
			return nil
		}
		for _, id := range c.Took {
			if at := sentToo(c, id); at >= 0 {
				s.mail.knows(&c.Send[at])
			} else {
				s.mail.take(id, c.RunID, r.waits)
			}
		}
		s.apply(r, c)
	}
	for _, start := range c.Starts {
		if s.runs[start.RunID] == nil {
			s.apply(newRun(), start)
		}
	}
	for i, m := range c.Send {
		if !slices.ContainsFunc(c.Took, func(id string) bool { return sentToo(c, id) == i }) {
			s.send(m)
		}
	}
	return nil
}

func (s *Store) delete(runID string) {
	delete(s.runs, runID)
	s.feed.drop(runID)
	s.mail.open = slices.DeleteFunc(s.mail.open, func(m bide.Message) bool { return m.To == runID })
	for key := range s.mail.known {
		if strings.HasPrefix(key, runID+"\x00") {
			delete(s.mail.known, key)
		}
	}
}

// refuse says why a commit cannot be applied to a run.
func (s *Store) refuse(r *run, c *bide.Commit) error {
	if r.info.Position() != c.Expect {
		return bide.Errorf(bide.CodeConflict, "run %s is at record %d, not %d", c.RunID, r.info.Seq, c.Expect.Seq)
	}
	if c.Fence != 0 && c.Fence != r.fence {
		return bide.Errorf(bide.CodeFenced, "run %s was claimed by %s since", c.RunID, r.owner)
	}
	if c.Owner != "" && c.Info.Status == bide.StatusRunning && c.Claimed != r.fence+1 {
		return bide.Errorf(bide.CodeConflict, "run %s was claimed %d times, so claim %d does not follow", c.RunID, r.fence, c.Claimed)
	}
	for _, id := range c.Took {
		if at := sentToo(c, id); at >= 0 {
			if s.mail.known[boxKey(&c.Send[at])] {
				return bide.Errorf(bide.CodeConflict, "message %s was sent to run %s before", id, c.RunID)
			}
		} else if s.mail.find(id, c.RunID, r.waits) < 0 {
			return bide.Errorf(bide.CodeConflict, "message %s is in no mailbox of run %s, or was taken", id, c.RunID)
		}
	}
	return nil
}

func newRun() *run { return &run{commands: map[string]bide.CommandRecord{}} }

// apply makes a commit of a run that nothing speaks against.
func (s *Store) apply(r *run, c *bide.Commit) {
	s.runs[c.RunID] = r
	r.apply(c)
	s.feed.add(c)
	s.opened(r, c)
}

func (r *run) apply(c *bide.Commit) {
	switch running := c.Info.Status == bide.StatusRunning; {
	case c.Owner != "" && running:
		// A worker need not load what it claims like this, so it has seen no more than before.
		r.owner, r.owned, r.fence, r.claimMail = c.Owner, true, c.Claimed, c.MailSeen
	case c.Fence != 0:
		r.owned = running
	case running && r.info.Status != bide.StatusRunning:
		r.owned = false
	}
	setAside := r.info.SetAside
	r.info = copyInfo(c.Info)
	r.info.SetAside = setAside
	for _, rec := range c.Records {
		r.records = append(r.records, rec.Raw)
	}
	if c.Snapshot != nil {
		r.snapshot, r.snapSeq = c.Snapshot, c.Info.Seq
	}
	r.waits = slices.DeleteFunc(r.waits, func(w bide.Wait) bool { return slices.Contains(c.Closed, w.ID) })
	r.waits = append(r.waits, c.Opened...)
	if c.Command != nil {
		r.commands[c.Command.ID] = *c.Command
	}
	r.mailSeen = max(r.mailSeen, c.MailSeen)
}

// view gives f a run under the lock.
func (s *Store) view(ctx context.Context, runID string, f func(*run) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.runs[runID]
	switch {
	case s.closed:
		return bide.ErrStoreClosed
	case r == nil:
		return &bide.Error{Code: bide.CodeNotFound, Message: "there is no run " + runID, Run: runID}
	}
	return f(r)
}

// Load implements bide.Store.
func (s *Store) Load(ctx context.Context, runID string, have bide.Position) (out *bide.Stored, err error) {
	err = s.view(ctx, runID, func(r *run) error {
		out = &bide.Stored{Position: r.info.Position()}
		after := have.Seq
		if have.Seq == 0 {
			out.Snapshot, out.SnapshotSeq = r.snapshot, r.snapSeq
			after = r.snapSeq
		}
		if after < int64(len(r.records)) {
			out.Records = slices.Clone(r.records[after:])
		}
		out.Mail, out.MailMore = s.mail.of(runID, r.waits)
		out.MailSeq, out.Fence = r.mailSeq, r.fence
		return nil
	})
	return out, err
}

// Records implements bide.Store.
func (s *Store) Records(ctx context.Context, runID string, from int64, limit int) (out [][]byte, err error) {
	err = s.view(ctx, runID, func(r *run) error {
		if i := max(from, 1) - 1; i < int64(len(r.records)) {
			out = slices.Clone(r.records[i:min(i+int64(limit), int64(len(r.records)))])
		}
		return nil
	})
	return out, err
}

// Command implements bide.Store.
func (s *Store) Command(ctx context.Context, runID, commandID string) (out *bide.CommandRecord, err error) {
	err = s.view(ctx, runID, func(r *run) error {
		c, ok := r.commands[commandID]
		if !ok {
			return &bide.Error{Code: bide.CodeNotFound, Message: "there is no command " + commandID, Run: runID}
		}
		out = &c
		return nil
	})
	return out, err
}

// copyInfo makes a copy that shares nothing that anybody may change.
func copyInfo(i bide.RunInfo) bide.RunInfo {
	i.Labels = maps.Clone(i.Labels)
	return i
}

func (s *Store) each(ctx context.Context, f func(*run)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return bide.ErrStoreClosed
	}
	for _, r := range s.runs {
		f(r)
	}
	return nil
}

// Close implements bide.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}
