package file

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
)

// mailShown is how many messages a load gives at most.
const mailShown = 100

// message is one that nobody has taken.
type message struct {
	bide.Message
	n int64 // its place in the order of sending
}

// box is a mailbox: that of a run, or of a key.
type box struct{ to, key string }

// boxOf is the mailbox that a message goes to.
func boxOf(m *bide.Message) box { return boxNamed(m.To, m.Key) }

func boxNamed(to, key string) box {
	if to != "" {
		return box{to: to}
	}
	return box{key: key}
}

// sentName names a message among all that were sent.
type sentName struct {
	box
	id string
}

// mailbox holds the messages that nobody has taken, by the run or the key they are for.
type mailbox struct {
	boxes      map[box][]*message
	keys       map[string]bool         // of those boxes that are no run's
	open       map[string][]*message   // the same, by id
	known      map[box]map[string]bool // the ids of all messages ever sent
	broadcasts []bide.Message          // that are kept, in the order of their time
	last       int64                   // n of the last message
	common
}

func newMailbox() mailbox {
	return mailbox{
		boxes: map[box][]*message{}, keys: map[string]bool{}, open: map[string][]*message{}, known: map[box]map[string]bool{},
		common: common{base: "mail", file: "mail" + commonSuffix},
	}
}

// apply does what a line says.
func (m *mailbox) apply(l *line) {
	switch {
	case l.Sent != nil && l.Sent.Copies:
		m.keep(*l.Sent)
	case l.Sent != nil:
		m.put(&message{Message: *l.Sent})
	case l.Taken != nil:
		m.take(boxNamed(l.Taken.To, l.Taken.Key), l.Taken.ID)
	case l.Deleted != nil:
		m.forget(l.Deleted.ID)
	case l.Known != nil:
		for _, id := range l.Known.IDs {
			m.know(boxNamed(l.Known.To, l.Known.Key), id)
		}
	}
}

func (m *mailbox) know(in box, id string) {
	if m.known[in] == nil {
		m.known[in] = map[string]bool{}
	}
	m.known[in][id] = true
}

func (m *mailbox) put(msg *message) {
	m.last++
	msg.n = m.last
	in := boxOf(&msg.Message)
	m.know(in, msg.ID)
	m.boxes[in] = append(m.boxes[in], msg)
	m.open[msg.ID] = append(m.open[msg.ID], msg)
	if in.to == "" {
		m.keys[in.key] = true
	}
}

func (m *mailbox) take(from box, id string) {
	remove(m.boxes, from, func(msg *message) bool { return msg.ID == id })
	remove(m.open, id, func(msg *message) bool { return boxOf(&msg.Message) == from })
	if m.boxes[from] == nil && from.to == "" {
		delete(m.keys, from.key)
	}
}

// forget removes the mailbox of a run.
func (m *mailbox) forget(runID string) {
	of := box{to: runID}
	for _, msg := range slices.Clone(m.boxes[of]) {
		m.take(of, msg.ID)
	}
	delete(m.known, of)
}

// keep keeps a broadcast, and forgets those whose time was over when it was sent.
func (m *mailbox) keep(msg bide.Message) {
	m.broadcasts = slices.DeleteFunc(m.broadcasts, func(old bide.Message) bool { return !msg.At.Before(old.Until) })
	at, _ := slices.BinarySearchFunc(m.broadcasts, msg.At, func(old bide.Message, at time.Time) int {
		return cmp.Or(old.At.Compare(at), -1) // after those of the same time
	})
	m.broadcasts = slices.Insert(m.broadcasts, at, msg)
}

func remove[K comparable](boxes map[K][]*message, key K, which func(*message) bool) {
	if left := slices.DeleteFunc(boxes[key], which); len(left) > 0 {
		boxes[key] = left
	} else {
		delete(boxes, key)
	}
}

// of returns the first messages that a run with these open waits can take, and
// whether there are more.
func (m *mailbox) of(runID string, waits []*bide.Wait) (out []bide.Message, more bool) {
	var found []*message
	for _, msg := range m.boxes[box{to: runID}] {
		if len(found) > mailShown {
			break
		}
		if wanted(waits, msg.Key) || msg.Key == "cancel:"+runID {
			found = append(found, msg)
		}
	}
	seen := map[string]bool{}
	for _, w := range waits {
		m.onWait(w.Key, func(key string) {
			if msgs := m.boxes[box{key: key}]; !seen[key] {
				found = append(found, msgs[:min(len(msgs), mailShown+1)]...)
			}
			seen[key] = true
		})
	}
	slices.SortFunc(found, func(a, b *message) int { return cmp.Compare(a.n, b.n) })
	for _, msg := range found[:min(len(found), mailShown)] {
		out = append(out, msg.Message)
	}
	return out, len(found) > mailShown
}

// onWait calls f with the keys of mailboxes that match a wait's key.
func (m *mailbox) onWait(waitKey string, f func(key string)) {
	if !strings.HasSuffix(waitKey, ":*") {
		if m.keys[waitKey] {
			f(waitKey)
		}
		return
	}
	for key := range m.keys {
		if matches(waitKey, key) {
			f(key)
		}
	}
}

// idsPerLine bounds the ids in a line of the file.
const idsPerLine = 100

// whole is the text that says all that there is of messages.
func (m *mailbox) whole() (text []byte, err error) {
	add := func(l line) {
		if err == nil {
			text, err = appendLine(text, l)
		}
	}
	for _, in := range slices.SortedFunc(maps.Keys(m.known), func(a, b box) int { return cmp.Or(cmp.Compare(a.to, b.to), cmp.Compare(a.key, b.key)) }) {
		open := map[string]bool{}
		for _, msg := range m.boxes[in] {
			open[msg.ID] = true
		}
		taken := slices.DeleteFunc(slices.Sorted(maps.Keys(m.known[in])), func(id string) bool { return open[id] })
		for ids := range slices.Chunk(taken, idsPerLine) {
			add(line{Known: &knownLine{To: in.to, Key: in.key, IDs: ids}})
		}
	}
	var kept []*message
	for _, messages := range m.boxes {
		kept = append(kept, messages...)
	}
	slices.SortFunc(kept, func(a, b *message) int { return cmp.Compare(a.n, b.n) })
	for _, msg := range kept {
		add(line{Sent: &msg.Message})
	}
	for i := range m.broadcasts {
		add(line{Sent: &m.broadcasts[i]})
	}
	return text, err
}

// Mail implements bide.Mailer.
func (s *Store) Mail(ctx context.Context, runID string) (out []bide.Message, err error) {
	err = s.look(ctx, runID, func(*run) error {
		for _, m := range s.index.mail.boxes[box{to: runID}] {
			out = append(out, m.Message)
		}
		return nil
	})
	return out, err
}
