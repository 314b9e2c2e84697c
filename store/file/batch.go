package file

import (
	"maps"
	"slices"

	"github.com/bide-dev/bide"
)

// batch gathers what one group of the journal will change. Nobody sees it
// before the group is durable; then Store.publish makes it so. Only the committer changes the
// index otherwise, so that a batch may read it without the lock.
type batch struct {
	index   *index
	body    [][]byte           // lines of the group
	changes map[string]*change // by run
	order   []*change
	sent    []*message
	known   map[string]bool   // by mailbox and id: messages in sent
	gone    map[*message]bool // messages that were taken, or deleted with their run
	deleted map[string]bool   // runs that end in this batch
	mail    []line            // what becomes of messages, in order
	text    []byte            // of mail
}

var lineEnd = []byte("\n")

// change is what a batch does to one run.
type change struct {
	run      *run // nil when it is new
	next     row
	records  [][]byte
	commands []bide.CommandRecord
	snapshot *snapshot
	size     int64 // of the ledger
	marked   bool  // next has something that its commits do not say
	deletes  bool  // the run ends
}

func newBatch(x *index) *batch {
	return &batch{index: x, changes: map[string]*change{}, known: map[string]bool{}, gone: map[*message]bool{}, deleted: map[string]bool{}}
}

// row is a run as the batch so far leaves it, or nil.
func (b *batch) row(id string) *row {
	if ch := b.changes[id]; ch != nil {
		return &ch.next
	}
	if r := b.index.runs[id]; r != nil && !b.deleted[id] {
		return &r.row
	}
	return nil
}

// damage is why a run cannot be continued.
func (b *batch) damage(id string) error {
	if r := b.index.runs[id]; r != nil && !b.deleted[id] {
		return r.damage
	}
	return nil
}

// change begins to change a run.
func (b *batch) change(id string) *change {
	ch := b.changes[id]
	if ch == nil {
		ch = &change{}
		if !b.deleted[id] {
			ch.run = b.index.runs[id]
		}
		if ch.run != nil {
			ch.next, ch.size = ch.run.row, ch.run.ledger.size
		}
		b.changes[id] = ch
		b.order = append(b.order, ch)
	}
	return ch
}

// commit is the change that Store.Commit asks for.
func (b *batch) commit(r *request) error {
	id := r.info.ID
	var at row
	if r.deletes && b.row(id) == nil {
		return nil
	}
	if id != "" {
		if err := b.damage(id); err != nil {
			return err
		}
		if known := b.row(id); known != nil {
			at = *known
		}
		if at.info.Position() == r.info.Position() && !r.deletes {
			return nil // sent again
		}
		if err := refuse(&at, r); err != nil {
			return err
		}
	}
	var took []*message
	if id != "" {
		var err error
		if took, err = b.find(id, at.waits, r.took); err != nil {
			return err
		}
	}
	if r.deletes {
		b.delete(id, r.line)
		return nil
	}
	if id != "" {
		b.apply(&r.delta)
	}
	for _, msg := range took {
		b.take(msg, id)
	}
	if b.kept(r.opened) {
		b.tell(id)
	}
	for i := range r.starts {
		if b.row(r.starts[i].info.ID) == nil {
			b.apply(&r.starts[i])
		}
	}
	for i := range r.send {
		b.send(&r.send[i])
	}
	return nil
}

// refuse says why a commit cannot be applied to a run.
func refuse(at *row, r *request) error {
	if at.info.Position() != r.expect {
		return bide.Errorf(bide.CodeConflict, "run %s is at record %d, not %d", r.info.ID, at.info.Seq, r.expect.Seq)
	}
	if r.fence != 0 && r.fence != at.fence {
		return bide.Errorf(bide.CodeFenced, "run %s was claimed by %s since", r.info.ID, at.owner)
	}
	return nil
}

func (b *batch) apply(d *delta) {
	ch := b.change(d.info.ID)
	ch.next.apply(d)
	ch.add(d)
	b.body = append(b.body, d.line)
	for _, raw := range d.records {
		b.body = append(b.body, raw, lineEnd)
	}
}

// add takes over what a commit has besides its row.
func (ch *change) add(d *delta) {
	for _, raw := range d.records {
		ch.records = append(ch.records, raw)
		ch.size += int64(len(raw)) + 1
	}
	if d.command != nil {
		ch.commands = append(ch.commands, *d.command)
	}
	if d.snapshot != nil {
		ch.snapshot = &snapshot{snapshotHeader{Seq: d.info.Seq, Head: d.info.Head, LedgerBytes: ch.size}, d.snapshot}
	}
}

// find looks up the messages that a commit takes: those of the run itself, or
// else of one of its waits' keys.
func (b *batch) find(runID string, waits []*bide.Wait, ids []string) (out []*message, err error) {
	for _, id := range ids {
		var best *message
		rank := 0
		look := func(m *message) {
			onWait := func(w *bide.Wait) bool { return matches(w.Key, m.Key) }
			n := 0
			switch {
			case m.ID != id || b.gone[m] || slices.Contains(out, m):
			case m.To != "" && m.To == runID:
				n = 2
			case m.To == "" && slices.ContainsFunc(waits, onWait):
				n = 1
			}
			if n > rank {
				best, rank = m, n
			}
		}
		for _, m := range b.index.mail.open[id] {
			look(m)
		}
		for _, m := range b.sent {
			look(m)
		}
		if best == nil {
			return nil, bide.Errorf(bide.CodeConflict, "message %s was taken by another run", id)
		}
		out = append(out, best)
	}
	return out, nil
}

func (b *batch) take(m *message, by string) {
	t := &takenLine{ID: m.ID, To: m.To, By: by}
	if m.To == "" {
		t.Key = m.Key
	}
	b.gone[m] = true
	l := line{Taken: t}
	text, err := appendLine(nil, l)
	if err != nil {
		panic(err) // four strings are always JSON
	}
	b.mailLine(l, text)
}

func (b *batch) mailLine(l line, text []byte) {
	b.body = append(b.body, text)
	b.mail = append(b.mail, l)
	b.text = append(b.text, text...)
}

// delete ends a run, and forgets what was sent to it.
func (b *batch) delete(id string, text []byte) {
	b.change(id).deletes = true
	delete(b.changes, id) // what comes later in the batch is of another run
	b.deleted[id] = true
	for _, m := range b.index.mail.toRun[id] {
		b.gone[m] = true
	}
	for _, m := range b.sent {
		if m.To == id {
			b.gone[m] = true
			delete(b.known, knownAs(&m.Message))
		}
	}
	b.mailLine(line{Deleted: &deletedLine{id}}, text)
}

// send puts a message where it belongs and tells the runs concerned.
func (b *batch) send(s *sending) {
	if s.Copies {
		b.sendCopies(s)
		return
	}
	name := knownAs(&s.Message)
	if b.index.mail.known[name] && !(s.To != "" && b.deleted[s.To]) || b.known[name] {
		return
	}
	b.known[name] = true
	b.sent = append(b.sent, &message{Message: s.Message})
	b.mailLine(line{Sent: &s.Message}, s.line)
	if s.To != "" {
		b.tell(s.To)
		return
	}
	for _, id := range b.waiting(s.Key) {
		b.tell(id)
	}
}

// sendCopies puts a message into the mailbox of every run that waits for it, once per wait.
func (b *batch) sendCopies(s *sending) {
	for _, id := range b.waiting(s.Key) {
		for _, w := range b.row(id).waits {
			if !matches(w.Key, s.Key) {
				continue
			}
			c, err := newSending(bide.Message{ID: s.ID + "/" + w.ID, To: id, Key: s.Key, Payload: s.Payload, At: s.At})
			if err != nil {
				panic(err) // the original could be written
			}
			b.send(&c)
		}
	}
}

// kept reports whether one of the waits could take a message that is kept under a key.
func (b *batch) kept(waits []*bide.Wait) (found bool) {
	for _, w := range waits {
		b.index.mail.onWait(w.Key, func(key string) {
			found = found || slices.ContainsFunc(b.index.mail.toKey[key], func(m *message) bool { return !b.gone[m] })
		})
		found = found || slices.ContainsFunc(b.sent, func(m *message) bool {
			return m.To == "" && !b.gone[m] && matches(w.Key, m.Key)
		})
	}
	return found
}

// waiting lists the runs that have an open wait on a message's key.
func (b *batch) waiting(key string) []string {
	found := map[string]bool{}
	b.index.onKey(key, func(id string) { found[id] = !b.deleted[id] })
	for id, ch := range b.changes {
		onWait := func(w *bide.Wait) bool { return matches(w.Key, key) }
		found[id] = slices.ContainsFunc(ch.next.waits, onWait)
	}
	maps.DeleteFunc(found, func(_ string, waits bool) bool { return !waits })
	return slices.Sorted(maps.Keys(found))
}

// tell raises a run's count of mail.
func (b *batch) tell(id string) {
	if r := b.row(id); r != nil && r.info.ID != "" {
		ch := b.change(id)
		ch.next.mailSeq++
		ch.marked = true
	}
}

// finish writes what the lines so far do not say.
func (b *batch) finish() error {
	for _, ch := range b.order {
		if ch.marked && !ch.deletes {
			text, err := appendLine(nil, line{Run: ch.next.markLine()})
			if err != nil {
				return err
			}
			b.body = append(b.body, text)
		}
	}
	return nil
}
