package file

import (
	"maps"
	"slices"
	"strconv"

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
	known   map[sentName]bool // messages that the batch sends
	gone    map[*message]bool // messages that were taken, or deleted with their run
	deleted map[string]bool   // runs that end in this batch
	mail    []line            // what becomes of messages, in order
	text    []byte            // of mail
	feed    []entered         // what comes to the feed
	fed     int64             // the number of records in feed, also of runs that end
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
	return &batch{index: x, feed: x.feed.spare[:0], changes: map[string]*change{}, known: map[sentName]bool{}, gone: map[*message]bool{}, deleted: map[string]bool{}}
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
	var atOnce []sentName
	if id != "" {
		var err error
		if took, atOnce, err = b.find(r, at.waits); err != nil {
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
	for _, msg := range atOnce {
		b.pass(msg)
	}
	b.opened(&r.delta)
	for i := range r.starts {
		if b.row(r.starts[i].info.ID) == nil {
			b.apply(&r.starts[i])
			b.opened(&r.starts[i])
		}
	}
	for i := range r.send {
		if !slices.ContainsFunc(atOnce, func(s sentName) bool { return s == nameOf(&r.send[i].Message) }) {
			b.send(&r.send[i])
		}
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
	if r.owner != "" && r.claimed != at.fence+1 {
		return bide.Errorf(bide.CodeConflict, "run %s was claimed %d times, so claim %d does not follow", r.info.ID, at.fence, r.claimed)
	}
	return nil
}

func (b *batch) apply(d *delta) {
	ch := b.change(d.info.ID)
	ch.next.apply(d)
	ch.add(d)
	b.enter(ch, d)
	b.body = append(b.body, d.line)
	for _, raw := range d.records {
		b.body = append(b.body, raw, lineEnd)
	}
}

// enter puts records into the feed. The first ones of a batch are preceded by a
// line with their place in it, so that they come to the same one when the journal is read again.
func (b *batch) enter(ch *change, d *delta) {
	if b.fed == 0 {
		text := strconv.AppendInt([]byte(`{"feed_after":`), b.index.feed.end, 10)
		b.body = append(b.body, append(text, "}\n"...))
	}
	n := int64(len(d.records))
	b.feed = append(b.feed, entered{feedLine{b.fed + 1, d.info.ID, d.info.Seq - n + 1, n}, ch})
	b.fed += n
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

// find looks up the messages that a commit takes: those that it sends, those of
// the run itself, or else of one of its waits' keys.
func (b *batch) find(r *request, waits []*bide.Wait) (out []*message, atOnce []sentName, err error) {
	runID := r.info.ID
	for _, id := range r.took {
		if i := r.sentToo(id); i >= 0 {
			name := nameOf(&r.send[i].Message)
			if b.knows(name) {
				return nil, nil, bide.Errorf(bide.CodeConflict, "message %s was sent to run %s before", id, runID)
			}
			atOnce = append(atOnce, name)
			continue
		}
		var best *message
		rank := 0
		look := func(m *message) {
			n := 0
			switch {
			case m.ID != id || b.gone[m] || slices.Contains(out, m):
			case m.To != "" && m.To == runID:
				n = 2
			case m.To == "" && wanted(waits, m.Key):
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
			return nil, nil, bide.Errorf(bide.CodeConflict, "message %s is in no mailbox of run %s, or was taken", id, runID)
		}
		out = append(out, best)
	}
	return out, atOnce, nil
}

// nameOf names a message among all that were sent.
func nameOf(m *bide.Message) sentName { return sentName{boxOf(m), m.ID} }

// knows reports whether a message was sent before.
func (b *batch) knows(s sentName) bool {
	return b.index.mail.known[s.box][s.id] && !(s.to != "" && b.deleted[s.to]) || b.known[s]
}

// pass notes a message that is taken by the commit that sends it.
func (b *batch) pass(s sentName) {
	b.known[s] = true
	l := line{Known: &knownLine{To: s.to, Key: s.key, IDs: []string{s.id}}}
	text, err := appendLine(nil, l)
	if err != nil {
		panic(err) // strings are always JSON
	}
	b.mailLine(l, text)
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
	b.unfeed(id)
	for _, m := range b.index.mail.boxes[box{to: id}] {
		b.gone[m] = true
	}
	for _, m := range b.sent {
		if m.To == id {
			b.gone[m] = true
		}
	}
	maps.DeleteFunc(b.known, func(s sentName, _ bool) bool { return s.to == id })
	b.mailLine(line{Deleted: &deletedLine{id}}, text)
}

// unfeed forgets what the batch has for the feed of a run.
func (b *batch) unfeed(runID string) {
	b.feed = slices.DeleteFunc(b.feed, func(e entered) bool { return e.RunID == runID })
}

// send puts a message where it belongs and tells the runs concerned.
func (b *batch) send(s *sending) {
	if s.Copies {
		b.sendCopies(s)
		return
	}
	name := nameOf(&s.Message)
	if b.knows(name) {
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

// sendCopies puts a message into the mailbox of every run that waits for it, once
// per wait, and keeps it for later waits.
func (b *batch) sendCopies(s *sending) {
	for _, id := range b.waiting(s.Key) {
		for _, w := range b.row(id).waits {
			b.copyTo(id, w, &s.Message)
		}
	}
	again := func(m bide.Message) bool { return m.Key == s.Key && m.ID == s.ID }
	if s.Until.IsZero() || slices.ContainsFunc(b.broadcasts(), again) {
		return
	}
	b.mailLine(line{Sent: &s.Message}, s.line)
}

// copyTo sends a run the copy of a broadcast for one of its waits, if that is on its key.
func (b *batch) copyTo(runID string, w *bide.Wait, m *bide.Message) {
	if !matches(w.Key, m.Key) {
		return
	}
	c, err := newSending(bide.Message{ID: m.ID + "/" + w.ID, To: runID, Key: m.Key, Payload: m.Payload, At: m.At})
	if err != nil {
		panic(err) // the original could be written
	}
	b.send(&c)
}

// broadcasts are those that are kept, in the order of their time.
func (b *batch) broadcasts() []bide.Message {
	out := b.index.mail.broadcasts
	for _, l := range b.mail {
		if l.Sent != nil && l.Sent.Copies {
			m := mailbox{broadcasts: slices.Clone(out)}
			m.keep(*l.Sent)
			out = m.broadcasts
		}
	}
	return out
}

// opened gives a run the mail that was kept for the waits which a commit opens.
func (b *batch) opened(d *delta) {
	if len(d.opened) == 0 {
		return
	}
	if b.kept(d) {
		b.tell(d.info.ID)
	}
	for _, w := range d.opened {
		if w.Since.IsZero() {
			continue
		}
		for _, m := range b.broadcasts() {
			if !w.Since.After(m.At) && d.info.UpdatedAt.Before(m.Until) {
				b.copyTo(d.info.ID, w, &m)
			}
		}
	}
}

// kept reports whether a message is kept, under a key or for the run, that one of
// the waits which a commit opens could take.
func (b *batch) kept(d *delta) bool {
	is := func(m *message) bool { return !b.gone[m] && wanted(d.opened, m.Key) }
	if slices.ContainsFunc(b.index.mail.boxes[box{to: d.info.ID}], is) {
		return true
	}
	for _, w := range d.opened {
		found := false
		b.index.mail.onWait(w.Key, func(key string) {
			found = found || slices.ContainsFunc(b.index.mail.boxes[box{key: key}], is)
		})
		if found {
			return true
		}
	}
	return slices.ContainsFunc(b.sent, func(m *message) bool { return (m.To == "" || m.To == d.info.ID) && is(m) })
}

// waiting lists the runs that have an open wait on a message's key.
func (b *batch) waiting(key string) []string {
	found := map[string]bool{}
	b.index.onKey(key, func(id string) { found[id] = !b.deleted[id] })
	for id, ch := range b.changes {
		found[id] = wanted(ch.next.waits, key)
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
