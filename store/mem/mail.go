package mem

import (
	"slices"
	"strings"

	"github.com/bide-dev/bide"
)

// mailbox holds the messages that nobody has taken, in the order of sending.
type mailbox struct {
	open  []bide.Message
	known map[string]bool // by mailbox and id: every message ever sent
}

func (m *mailbox) has(id string) bool {
	return slices.ContainsFunc(m.open, func(msg bide.Message) bool { return msg.ID == id })
}

func (m *mailbox) take(id string) {
	m.open = slices.DeleteFunc(m.open, func(msg bide.Message) bool { return msg.ID == id })
}

// of returns the messages for a run with these open waits.
func (m *mailbox) of(runID string, waits []bide.Wait) (out []bide.Message) {
	for _, msg := range m.open {
		onWait := func(w bide.Wait) bool { return matches(w.Key, msg.Key) }
		if msg.To == runID || msg.To == "" && slices.ContainsFunc(waits, onWait) {
			out = append(out, msg)
		}
	}
	return out
}

// matches reports whether a wait's key matches a message's.
func matches(waitKey, key string) bool {
	if prefix, ok := strings.CutSuffix(waitKey, ":*"); ok {
		return strings.HasPrefix(key, prefix+":")
	}
	return waitKey != "" && waitKey == key
}

// send puts a message where it belongs and tells the runs concerned.
func (s *Store) send(m bide.Message) {
	if m.Copies {
		for id, r := range s.runs {
			for _, w := range r.waits {
				if matches(w.Key, m.Key) {
					s.send(bide.Message{ID: m.ID + "/" + w.ID, To: id, Key: m.Key, Payload: m.Payload, At: m.At})
				}
			}
		}
		return
	}
	box := m.To
	if box == "" {
		box = m.Key
	}
	if s.mail.known[box+"\x00"+m.ID] {
		return
	}
	s.mail.known[box+"\x00"+m.ID] = true
	s.mail.open = append(s.mail.open, m)
	for id, r := range s.runs {
		onWait := func(w bide.Wait) bool { return matches(w.Key, m.Key) }
		if m.To == id || m.To == "" && slices.ContainsFunc(r.waits, onWait) {
			r.mailSeq++
		}
	}
}
