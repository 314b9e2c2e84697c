package file

import (
	"slices"
	"strings"

	"github.com/bide-dev/bide"
)

// mailShown is how many messages of each mailbox a load gives.
const mailShown = 100

// message is one that nobody has taken.
type message struct {
	bide.Message
	n int64 // its place in the order of sending
}

// mailbox holds the messages that nobody has taken, by the run or the key they are for.
type mailbox struct {
	toRun  map[string][]*message
	toKey  map[string][]*message
	open   map[string][]*message      // the same, by id
	known  map[string]bool            // by mailbox and id: every message ever sent
	sentTo map[string]map[string]bool // by run: the ids of all messages ever sent to it
	last   int64                      // n of the last message

	group   int64  // the last group that is in it
	pending []byte // lines that the file does not have yet
	filed   int64  // bytes that it has
}

func newMailbox() mailbox {
	return mailbox{toRun: map[string][]*message{}, toKey: map[string][]*message{}, open: map[string][]*message{}, known: map[string]bool{}, sentTo: map[string]map[string]bool{}}
}

// box is the map that a message belongs into, and its key there.
func (m *mailbox) box(to, key string) (map[string][]*message, string) {
	if to != "" {
		return m.toRun, to
	}
	return m.toKey, key
}

// knownAs is the entry of a message in known.
func knownAs(m *bide.Message) string {
	if m.To != "" {
		return m.To + "\x00" + m.ID
	}
	return m.Key + "\x00" + m.ID
}

func (m *mailbox) put(msg *message) {
	m.last++
	msg.n = m.last
	m.known[knownAs(&msg.Message)] = true
	if msg.To != "" {
		if m.sentTo[msg.To] == nil {
			m.sentTo[msg.To] = map[string]bool{}
		}
		m.sentTo[msg.To][msg.ID] = true
	}
	boxes, key := m.box(msg.To, msg.Key)
	boxes[key] = append(boxes[key], msg)
	m.open[msg.ID] = append(m.open[msg.ID], msg)
}

func (m *mailbox) take(t *takenLine) {
	boxes, key := m.box(t.To, t.Key)
	remove(boxes, key, func(msg *message) bool { return msg.ID == t.ID })
	remove(m.open, t.ID, func(msg *message) bool { return msg.To == t.To && (t.To != "" || msg.Key == t.Key) })
}

// apply does what a line says.
func (m *mailbox) apply(l *line) {
	if l.Sent != nil {
		m.put(&message{Message: *l.Sent})
	}
	if l.Taken != nil {
		m.take(l.Taken)
	}
	if l.Deleted != nil {
		m.forget(l.Deleted.ID)
	}
}

// forget removes the mailbox of a run.
func (m *mailbox) forget(runID string) {
	for _, msg := range slices.Clone(m.toRun[runID]) {
		m.take(&takenLine{ID: msg.ID, To: runID})
	}
	for id := range m.sentTo[runID] {
		delete(m.known, runID+"\x00"+id)
	}
	delete(m.sentTo, runID)
}

func remove(boxes map[string][]*message, key string, which func(*message) bool) {
	if left := slices.DeleteFunc(boxes[key], which); len(left) > 0 {
		boxes[key] = left
	} else {
		delete(boxes, key)
	}
}

// of returns the first messages of each mailbox for a run with these open waits.
func (m *mailbox) of(runID string, waits []*bide.Wait) (out []bide.Message) {
	found := first(m.toRun[runID])
	if len(m.toKey) > 0 {
		seen := map[string]bool{}
		for _, w := range waits {
			m.onWait(w.Key, func(key string) {
				if !seen[key] {
					found = append(found, first(m.toKey[key])...)
				}
				seen[key] = true
			})
		}
	}
	slices.SortFunc(found, func(a, b *message) int { return int(a.n - b.n) })
	for _, msg := range found {
		out = append(out, msg.Message)
	}
	return out
}

// onWait calls f with the keys of mailboxes that match a wait's key.
func (m *mailbox) onWait(waitKey string, f func(key string)) {
	if !strings.HasSuffix(waitKey, ":*") {
		if waitKey != "" && m.toKey[waitKey] != nil {
			f(waitKey)
		}
		return
	}
	for key := range m.toKey {
		if matches(waitKey, key) {
			f(key)
		}
	}
}

func first(box []*message) []*message { return slices.Clone(box[:min(len(box), mailShown)]) }
