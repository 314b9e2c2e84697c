package file

import (
	"cmp"
	"context"
	"path/filepath"
	"runtime"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/queue"
)

// maxBacklog bounds the records in memory that no ledger file has yet.
const maxBacklog = 64 << 20

// entry is a change on its way to the committer.
type entry struct {
	// do puts the change into a batch, or fails and leaves the batch as it is.
	do     func(*batch) error
	bytes  int
	result error      // of do
	done   chan error // receives the outcome, once
}

// next picks a group of 512 changes and 4 MiB at most. A single change may be larger.
var next = queue.Oldest(512, 4<<20, func(e *entry) int { return e.bytes })

// submit gives a change to the committer and waits for its outcome.
func (s *Store) submit(ctx context.Context, bytes int, do func(*batch) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.opts.ReadOnly {
		return cmp.Or(s.usable(ctx), s.errReadOnly())
	}
	e := &entry{do: do, bytes: bytes, done: make(chan error, 1)}
	if !s.queue.Push(e) {
		return errClosed(s.dir)
	}
	select {
	case err := <-e.done:
		return err
	case <-ctx.Done(): // the committer still has e
		return context.Cause(ctx)
	}
}

// commitAll is the committer: the one goroutine that writes the journal. It
// ends when the queue is closed and empty.
func (s *Store) commitAll() {
	var group []*entry
	for {
		var more bool
		if group, more = s.queue.Take(group, next); !more {
			return
		}
		err := s.commitGroup(group)
		for _, e := range group {
			if err != nil {
				e.done <- err
			} else {
				e.done <- e.result
			}
		}
		if len(group) > 1 {
			runtime.Gosched() // those that were answered may have more, and share a flush
		}
	}
}

// commitGroup makes a group durable and then visible. An error means that nothing of it was.
func (s *Store) commitGroup(group []*entry) error {
	if err := s.filer.makeRoom(); err != nil {
		return err
	}
	b := newBatch(&s.index)
	for _, e := range group {
		e.result = e.do(b)
	}
	if err := b.finish(); err != nil {
		return err
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	if len(b.body) > 0 {
		n, err := s.journal.append(b.body)
		if err != nil {
			return explain("commit", s.journal.dir, err)
		}
		for _, ch := range b.order {
			ch.next.group = n
		}
		s.filer.signal()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ch := range b.order {
		s.publish(ch)
	}
	s.publishMail(b, s.journal.group)
	s.publishFeed(b, s.index.feed.end, s.journal.group)
	return nil
}

// publish makes a change visible that the journal has. s.mu must be held.
func (s *Store) publish(ch *change) {
	if ch.deletes {
		s.unpublish(ch)
		return
	}
	r := ch.run
	if r == nil {
		r = s.newRun(ch.next.info.ID)
		s.index.runs[r.id] = r
		ch.run = r
	}
	seq := ch.next.info.Seq - int64(len(ch.records))
	for i, raw := range ch.records {
		r.ledger.add(seq+int64(i)+1, raw)
		s.backlog += int64(len(raw)) + 1
	}
	for _, c := range ch.commands {
		r.commands[c.ID] = c
	}
	if ch.snapshot != nil {
		r.snapshot = ch.snapshot
	}
	if len(ch.records) > 0 || ch.snapshot != nil {
		s.unfiled[r] = true
	}
	s.dirty[r] = true
	s.index.update(r, &ch.next)
}

func (s *Store) publishMail(b *batch, group int64) {
	m := &s.index.mail
	for i := range b.mail {
		m.apply(&b.mail[i])
	}
	if len(b.mail) > 0 {
		m.pending = append(m.pending, b.text...)
		m.group = group
	}
}

// publishFeed adds to the feed what a batch has for it, after a position.
func (s *Store) publishFeed(b *batch, after, group int64) {
	f := &s.index.feed
	for _, e := range b.feed {
		var r *run
		if e.change != nil {
			r = e.change.run
		} else {
			r = s.index.runs[e.RunID]
		}
		f.add(r, after+e.Pos-1, e.Seq, e.Records)
	}
	clear(b.feed)
	f.spare = b.feed[:0]
	f.end = max(f.end, after+b.fed)
	if b.fed > 0 {
		f.group = group
	}
}

// unpublish forgets a run that was deleted; the next checkpoint removes its files.
func (s *Store) unpublish(ch *change) {
	if r := ch.run; r != nil { // else it was begun in the same group
		s.index.drop(r)
		s.index.feed.drop(r)
		s.backlog -= r.ledger.size - r.ledger.filed
		delete(s.dirty, r)
		delete(s.unfiled, r)
		s.removals[r.id] = r.path
	}
}

func (s *Store) newRun(id string) *run {
	name, err := folder(id)
	if err != nil {
		panic(err) // refused before
	}
	return &run{id: id, path: filepath.Join(s.dir, runsDir, name), commands: map[string]bide.CommandRecord{}}
}
