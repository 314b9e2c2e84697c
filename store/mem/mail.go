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

// find returns the place of a message that a run with these open waits can take, or -1.
func (m *mailbox) find(id, runID string, waits []bide.Wait) int {
	return slices.IndexFunc(m.open, func(msg bide.Message) bool { return msg.ID == id && isFor(&msg, runID, waits) })
}

func (m *mailbox) take(id, runID string, waits []bide.Wait) {
	if i := m.find(id, runID, waits); i >= 0 {
		m.open = slices.Delete(m.open, i, i+1)
	}
}

// kept reports whether a message was kept that matches one of the waits.
func (m *mailbox) kept(waits []bide.Wait) bool {
	return slices.ContainsFunc(m.open, func(msg bide.Message) bool { return msg.To == "" && isFor(&msg, "", waits) })
}

// isFor reports whether a message is in a mailbox of a run with these open waits.
func isFor(msg *bide.Message, runID string, waits []bide.Wait) bool {
	if msg.To != "" {
		return msg.To == runID
	}
	return slices.ContainsFunc(waits, func(w bide.Wait) bool { return matches(w.Key, msg.Key) })
}

// of returns the messages for a run with these open waits.
func (m *mailbox) of(runID string, waits []bide.Wait) (out []bide.Message) {
	for _, msg := range m.open {
		if isFor(&msg, runID, waits) {
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
		if isFor(&m, id, r.waits) {
			r.mailSeq++
		}
	}
}
