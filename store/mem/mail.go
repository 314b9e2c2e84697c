package mem

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
)

// mailbox holds the messages that nobody has taken, in the order of sending.
type mailbox struct {
	open       []bide.Message
	broadcasts []bide.Message  // that are kept, in the order of Message.At
	known      map[string]bool // by boxKey: every message ever sent
}

// boxKey tells a message of one mailbox from those of all.
func boxKey(m *bide.Message) string {
	switch {
	case m.Copies:
		return "\x00" + m.Key + "\x00" + m.ID
	case m.To == "":
		return m.Key + "\x00" + m.ID
	}
	return m.To + "\x00" + m.ID
}

// knows reports whether a message was sent before, and remembers it.
func (m *mailbox) knows(msg *bide.Message) bool {
	key := boxKey(msg)
	was := m.known[key]
	m.known[key] = true
	return was
}

// find returns the place of a message that is in reach of a run with these open waits, or -1.
func (m *mailbox) find(id, runID string, waits []bide.Wait) int {
	return slices.IndexFunc(m.open, func(msg bide.Message) bool { return msg.ID == id && inReach(&msg, runID, waits) })
}

func (m *mailbox) take(id, runID string, waits []bide.Wait) {
	if i := m.find(id, runID, waits); i >= 0 {
		m.open = slices.Delete(m.open, i, i+1)
	}
}

// sentToo returns the place in c.Send of a message that c takes at once, or -1.
func sentToo(c *bide.Commit, id string) int {
	return slices.IndexFunc(c.Send, func(m bide.Message) bool {
		return m.ID == id && !m.Copies && (m.To == "" || m.To == c.RunID)
	})
}

// inReach reports whether a message is in a mailbox of a run with these open waits.
func inReach(msg *bide.Message, runID string, waits []bide.Wait) bool {
	if msg.To != "" {
		return msg.To == runID
	}
	return wanted(msg, waits)
}

// wanted reports whether one of the waits is on a message's key.
func wanted(msg *bide.Message, waits []bide.Wait) bool {
	return slices.ContainsFunc(waits, func(w bide.Wait) bool { return matches(w.Key, msg.Key) })
}

// maxMail is the number of messages that a load gives at most.
const maxMail = 100

// of returns the first messages that a run with these open waits can take, and
// whether there are more.
func (m *mailbox) of(runID string, waits []bide.Wait) (out []bide.Message, more bool) {
	for i := range m.open {
		msg := &m.open[i]
		if !inReach(msg, runID, waits) || !wanted(msg, waits) && msg.Key != "cancel:"+runID {
			continue
		}
		if len(out) == maxMail {
			return out, true
		}
		out = append(out, *msg)
	}
	return out, false
}

// opened gives a run the mail that was kept for the waits that a commit opens.
func (s *Store) opened(r *run, c *bide.Commit) {
	if slices.ContainsFunc(s.mail.open, func(m bide.Message) bool { return (m.To == "" || m.To == c.RunID) && wanted(&m, c.Opened) }) {
		r.mailSeq++
	}
	for _, w := range c.Opened {
		for _, m := range s.mail.broadcasts {
			if matches(w.Key, m.Key) && !w.Since.IsZero() && !w.Since.After(m.At) && c.Info.UpdatedAt.Before(m.Until) {
				s.send(copyFor(&m, c.RunID, w.ID))
			}
		}
	}
}

// matches reports whether a wait's key matches a message's.
func matches(waitKey, key string) bool {
	if prefix, ok := strings.CutSuffix(waitKey, ":*"); ok {
		return strings.HasPrefix(key, prefix+":")
	}
	return waitKey != "" && waitKey == key
}

// copyFor is a broadcast's copy for a run's wait.
func copyFor(m *bide.Message, runID, waitID string) bide.Message {
	return bide.Message{ID: m.ID + "/" + waitID, To: runID, Key: m.Key, Payload: m.Payload, At: m.At}
}

// send puts a message where it belongs and tells the runs concerned.
func (s *Store) send(m bide.Message) {
	if m.Copies {
		s.broadcast(m)
		return
	}
	if s.mail.knows(&m) {
		return
	}
	s.mail.open = append(s.mail.open, m)
	for id, r := range s.runs {
		if inReach(&m, id, r.waits) {
			r.mailSeq++
		}
	}
}

// broadcast puts copies of a message into the mailboxes of the runs that wait
// for it, and keeps it for later ones. Those whose time was over when it was sent are forgotten.
func (s *Store) broadcast(m bide.Message) {
	for id, r := range s.runs {
		for _, w := range r.waits {
			if matches(w.Key, m.Key) {
				s.send(copyFor(&m, id, w.ID))
			}
		}
	}
	if m.Until.IsZero() {
		return
	}
	s.mail.broadcasts = slices.DeleteFunc(s.mail.broadcasts, func(old bide.Message) bool {
		over := !m.At.Before(old.Until)
		if over {
			delete(s.mail.known, boxKey(&old))
		}
		return over
	})
	if !s.mail.knows(&m) {
		at, _ := slices.BinarySearchFunc(s.mail.broadcasts, m.At, func(old bide.Message, at time.Time) int {
			return cmp.Or(old.At.Compare(at), -1) // after those of the same time
		})
		s.mail.broadcasts = slices.Insert(s.mail.broadcasts, at, m)
	}
}

// Mail implements bide.Mailer.
func (s *Store) Mail(ctx context.Context, runID string) (out []bide.Message, err error) {
	err = s.view(ctx, runID, func(*run) error {
		for _, m := range s.mail.open {
			if m.To == runID {
				out = append(out, m)
			}
		}
		return nil
	})
	return out, err
}
