// Package mem is the reference store: it keeps runs in memory, for tests and
// for programs that need no durability. It must not know files, SQL or any other store.
package mem

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bide-dev/bide"
)

// Store keeps runs in memory. What it holds ends with the process.
type Store struct {
	mu     sync.RWMutex
	runs   map[string]*run
	mail   mailbox
	alive  map[string]time.Time // by owner: until when
	closed bool
}

var (
	_ bide.Store  = (*Store)(nil)
	_ bide.Claims = (*Store)(nil)
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
	return &Store{runs: map[string]*run{}, mail: mailbox{known: map[string]bool{}}, alive: map[string]time.Time{}}
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
			s.mail.take(id, c.RunID, r.waits)
		}
		s.runs[c.RunID] = r
		r.apply(c)
		if s.mail.kept(c.Opened) {
			r.mailSeq++
		}
	}
	for _, start := range c.Starts {
		if s.runs[start.RunID] == nil {
			r := newRun()
			s.runs[start.RunID] = r
			r.apply(start)
		}
	}
	for _, m := range c.Send {
		s.send(m)
	}
	return nil
}

func (s *Store) delete(runID string) {
	delete(s.runs, runID)
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
	for _, id := range c.Took {
		if s.mail.find(id, c.RunID, r.waits) < 0 {
			return bide.Errorf(bide.CodeConflict, "message %s is in no mailbox of run %s, or was taken", id, c.RunID)
		}
	}
	return nil
}

func newRun() *run { return &run{commands: map[string]bide.CommandRecord{}} }

func (r *run) apply(c *bide.Commit) {
	switch running := c.Info.Status == bide.StatusRunning; {
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
		out.Mail, out.MailSeq, out.Fence = s.mail.of(runID, r.waits), r.mailSeq, r.fence
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

// Runs implements bide.Store.
func (s *Store) Runs(ctx context.Context, q bide.RunQuery) (*bide.RunPage, error) {
	due := !q.WakeBefore.IsZero()
	key := func(r bide.RunInfo) bide.Cursor {
		if due {
			return bide.Cursor{At: r.WakeAt, ID: r.ID}
		}
		return bide.Cursor{At: r.CreatedAt, ID: r.ID}
	}
	direction := -1
	if due {
		direction = 1
	}
	var all []bide.RunInfo
	err := s.each(ctx, func(r *run) {
		i := r.info
		if (q.Status == "" || i.Status == q.Status) && (q.Workflow == "" || i.Workflow == q.Workflow) &&
			(q.Session == "" || i.Session == q.Session) && (q.Parent == "" || i.Parent == q.Parent) && (!q.SetAside || i.SetAside != "") &&
			(!due || !i.WakeAt.IsZero() && !i.WakeAt.After(q.WakeBefore)) {
			all = append(all, copyInfo(i))
		}
	})
	if err != nil {
		return nil, err
	}
	rows, next, err := page(all, key, direction, q.Cursor, q.Limit)
	return &bide.RunPage{Runs: rows, Next: next}, err
}

// Waits implements bide.Store.
func (s *Store) Waits(ctx context.Context, q bide.WaitQuery) (*bide.WaitPage, error) {
	var all []bide.Wait
	err := s.each(ctx, func(r *run) {
		for _, w := range r.waits {
			if (q.Kind == "" || w.Kind == q.Kind) && (q.Key == "" || w.Key == q.Key) {
				all = append(all, w)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	key := func(w bide.Wait) bide.Cursor { return bide.Cursor{At: w.CreatedAt, ID: w.ID} }
	rows, next, err := page(all, key, 1, q.Cursor, q.Limit)
	return &bide.WaitPage{Waits: rows, Next: next}, err
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

// page sorts rows by their key, upwards or (-1) downwards, and cuts out the page after cursor.
func page[T any](rows []T, key func(T) bide.Cursor, direction int, cursor string, limit int) ([]T, string, error) {
	after, err := bide.ParseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	compare := func(a, b bide.Cursor) int {
		return direction * cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID))
	}
	slices.SortFunc(rows, func(a, b T) int { return compare(key(a), key(b)) })
	if cursor != "" {
		rows = slices.DeleteFunc(rows, func(r T) bool { return compare(key(r), after) <= 0 })
	}
	if n := bide.PageLimit(limit); len(rows) > n {
		return rows[:n], key(rows[n-1]).String(), nil
	}
	return rows, "", nil
}

// Close implements bide.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}
