package postgres

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pack"
)

// never stands for a null instant in the parameters of statements.
const never = -1 << 62

// micros is how an instant is stored; the zero time is null.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return t.UnixMicro()
}

// instant is the inverse of micros.
func instant(t *int64) time.Time {
	if t == nil {
		return time.Time{}
	}
	return time.UnixMicro(*t).UTC()
}

// entry is a commit on its way to the server: the store's own copy, with what
// has to be encoded encoded by the caller, so that the committer only sends.
type entry struct {
	run      runRow // without id when the commit only sends messages
	expect   bide.Position
	fence    int64
	took     []tookRow
	missing  string // the id of a message in Commit.Took that the run cannot take, or empty
	delete   bool
	children []runRow
	sends    []messageRow
	keys     []string // what no other commit of the group may touch
	bytes    int

	ctx    context.Context // the caller's; when it has ended, nobody waits for the outcome
	until  time.Time       // when to give up waiting for a server that is gone
	done   chan error      // receives the outcome, once
	result error           // the outcome of the attempt at work
	tries  int             // how often it was sent
	again  int             // how often it was refused for no reason that could be found
	after  int64           // the time of the commit that it follows, once it was refused
}

// runRow is what a commit writes of one run.
type runRow struct {
	id       string
	info     bide.RunInfo // Labels is not used
	labels   *string
	named    []string // the labels, as the table of them has them
	mailSeen int64
	owner    string // that the commit claims the run for
	claimed  int64
	records  []bide.Record // Seq and Raw only, which may be packed
	opened   []waitRow
	closed   []string
	command  *bide.CommandRecord
	snapshot []byte
}

// claims reports whether the commit claims the run.
func (r *runRow) claims() bool { return r.owner != "" && r.info.Status == bide.StatusRunning }

// waitRow is an open wait.
type waitRow struct {
	id, kind, key          string
	created, since, moment int64
	body                   string
}

// letter names a message in a mailbox.
type letter struct{ mailbox, id string }

func (l letter) compare(o letter) int {
	return cmp.Or(cmp.Compare(l.mailbox, o.mailbox), cmp.Compare(l.id, o.id))
}

// tookRow is a message that a commit takes.
type tookRow struct {
	letter
	sent bool // by the same commit
}

// messageRow is a message to send.
type messageRow struct {
	letter
	key       string
	payload   *string
	at, until int64
	keys      []string // of waits that it matches; nil when it is to a run
	copies    bool
	taken     bool // by the same commit
}

func newEntry(ctx context.Context, c *bide.Commit, until time.Time, packer *pack.Packer) (*entry, error) {
	e := &entry{expect: c.Expect, fence: c.Fence, delete: c.Delete, ctx: ctx, until: until, done: make(chan error, 1)}
	var err error
	if c.RunID != "" {
		if e.run, err = e.row(c, packer); err != nil {
			return nil, err
		}
	}
	for _, start := range c.Starts {
		if slices.Contains(e.keys, start.RunID) {
			continue // it starts once
		}
		child, err := e.row(start, packer)
		if err != nil {
			return nil, err
		}
		e.children = append(e.children, child)
	}
	for i := range c.Send {
		e.sends = append(e.sends, newMessage(&c.Send[i]))
		e.bytes += len(c.Send[i].Payload) + 128
	}
	return e, nil
}

// takeSent finds the messages that the commit takes among those that it sends,
// and returns the ids of the others.
func (e *entry) takeSent(ids []string) (rest []string) {
	for _, id := range ids {
		at := slices.IndexFunc(e.sends, func(m messageRow) bool {
			return m.id == id && !m.copies && (m.keys != nil || m.mailbox == e.run.id)
		})
		if at < 0 {
			rest = append(rest, id)
			continue
		}
		e.sends[at].taken = true
		e.take(tookRow{e.sends[at].letter, true})
	}
	return rest
}

// row copies what a commit writes of its run.
func (e *entry) row(c *bide.Commit, packer *pack.Packer) (r runRow, err error) {
	r = runRow{id: c.RunID, info: c.Info, mailSeen: c.MailSeen, owner: c.Owner, claimed: c.Claimed,
		records: slices.Clone(c.Records), closed: slices.Clone(c.Closed), snapshot: c.Snapshot}
	r.info.Labels = nil
	e.keys = append(e.keys, c.RunID)
	e.bytes += len(c.Snapshot) + 256
	for i := range r.records {
		if packed := packer.Pack(r.records[i].Raw); packed != nil {
			r.records[i].Raw = packed
		}
		e.bytes += len(r.records[i].Raw)
	}
	for i := range c.Opened {
		w := &c.Opened[i]
		body, err := encode(w)
		if err != nil {
			return r, fmt.Errorf("wait %s: %w", w.ID, err)
		}
		r.opened = append(r.opened, waitRow{w.ID, string(w.Kind), w.Key, w.CreatedAt.UnixMicro(), micros(w.Since), c.Info.UpdatedAt.UnixMicro(), body})
		e.bytes += len(body)
	}
	if c.Command != nil {
		command := *c.Command
		r.command = &command
	}
	if c.Info.Labels != nil && c.Expect.Seq == 0 {
		labels, err := encode(c.Info.Labels)
		if err != nil {
			return r, fmt.Errorf("labels of run %s: %w", c.RunID, err)
		}
		r.labels = &labels
		if r.named, err = labelRows(c.Info.Labels); err != nil {
			return r, fmt.Errorf("labels of run %s: %w", c.RunID, err)
		}
	}
	return r, nil
}

// labelRows are labels as they are looked up, in order: the name and the value as
// JSON, or its hash when that is longer than an index should have.
func labelRows(labels map[string]string) (out []string, err error) {
	for name, value := range labels {
		label, err := encode([]string{name, value})
		if err != nil {
			return nil, err
		}
		if len(label) > 300 {
			label = fmt.Sprintf("%x", sha256.Sum256([]byte(label)))
		}
		out = append(out, label)
	}
	slices.Sort(out)
	return out, nil
}

// route is by what a commit is given to a committer.
func (e *entry) route() string {
	if e.run.id == "" && len(e.sends) > 0 {
		return e.sends[0].mailbox
	}
	return e.run.id
}

// begins reports whether the commit is the first of its run.
func (e *entry) begins() bool { return !e.delete && e.expect == bide.Position{} }

// take notes that the commit takes a message.
func (e *entry) take(l tookRow) {
	e.took = append(e.took, l)
	e.keys = append(e.keys, l.mailbox+"\x00"+l.id)
}

// newMessage copies a message.
func newMessage(m *bide.Message) messageRow {
	out := messageRow{letter: letter{m.To, m.ID}, key: m.Key, at: m.At.UnixMicro(), until: micros(m.Until), copies: m.Copies}
	if m.Payload != nil {
		payload := string(m.Payload)
		out.payload = &payload
	}
	if m.To == "" || m.Copies {
		out.mailbox, out.keys = keyMailbox(m.Key), waitKeys(m.Key)
	}
	return out
}

// keyMailbox is the mailbox of a key.
func keyMailbox(key string) string { return "/" + key }

// waitKeys are the keys of waits that a message with this key matches: its own,
// and for every colon what is before it and ":*". So waits are found by index.
func waitKeys(key string) []string {
	keys := []string{key}
	for i := range len(key) {
		if wide := key[:i] + ":*"; key[i] == ':' && wide != key {
			keys = append(keys, wide)
		}
	}
	if key == "" {
		return []string{}
	}
	return keys
}

// mailboxes are those that a wait's key matches: from the first up to, but not
// with, end; or the first alone when end is nil. Both are nil without a key.
func mailboxes(waitKey string) (first, end *string) {
	if waitKey == "" {
		return nil, nil
	}
	if prefix, ok := strings.CutSuffix(waitKey, ":*"); ok {
		from, to := keyMailbox(prefix+":"), keyMailbox(prefix+";") // ';' follows ':'
		return &from, &to
	}
	box := keyMailbox(waitKey)
	return &box, nil
}

// encode writes JSON without changing the characters of what is JSON already.
func encode(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
