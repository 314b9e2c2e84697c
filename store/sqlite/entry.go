package sqlite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pack"
)

// maxCommit bounds the bytes of one commit: a connection has 256 MiB of memory
// and needs room for copies.
const maxCommit = 64 << 20

// entry is work for the committer: a commit, or a request of a worker.
type entry struct {
	commit  // when there is no request
	request request
	bytes   int

	done   chan error // receives the outcome, once
	result error      // the outcome of the attempt at work
}

// commit is a bide.Commit on its way to the file: the store's own copy, with
// what has to be encoded encoded by the caller, so that the committer only writes.
type commit struct {
	runID    string
	expect   bide.Position
	info     bide.RunInfo // Labels is not used
	labels   []byte
	ledger   []ledgerRow
	joined   []byte // the bodies of rows of several records
	opened   []entryWait
	closed   []string
	command  *bide.CommandRecord
	starts   []*entry
	send     []outgoing
	took     []string
	mailSeen int64
	fence    int64
	owner    string
	claimed  int64
	snapshot []byte
}

// String says what the entry is, for errors.
func (e *entry) String() string {
	switch {
	case e.request != nil:
		return fmt.Sprintf("%T", e.request)
	case e.runID == "":
		return "messages"
	}
	return "run " + e.runID
}

type entryWait struct {
	id, kind, key string
	created       int64
	since         time.Time
	body          []byte
	no            int64 // in the file, once it is there
}

var entries = sync.Pool{New: func() any { return &entry{done: make(chan error, 1)} }}

// free gives an entry back whose outcome was received.
func (e *entry) free() {
	for _, start := range e.starts {
		start.free()
	}
	clear(e.ledger)
	clear(e.opened)
	clear(e.closed)
	if cap(e.joined) > rowBytes {
		e.joined = nil
	}
	*e = entry{done: e.done, commit: commit{ledger: e.ledger[:0], joined: e.joined[:0], opened: e.opened[:0], closed: e.closed[:0]}}
	entries.Put(e)
}

// newEntry copies a commit.
func newEntry(c *bide.Commit, packer *pack.Packer) (*entry, error) {
	e := entries.Get().(*entry)
	e.runID, e.expect, e.info, e.snapshot = c.RunID, c.Expect, c.Info, c.Snapshot
	e.info.Labels = nil
	e.mailSeen, e.fence, e.owner, e.claimed = c.MailSeen, c.Fence, c.Owner, c.Claimed
	e.bytes = len(c.Snapshot) + 256
	e.addRecords(c.Records, packer)
	for i := range e.ledger {
		e.bytes += len(e.ledger[i].body) + len(e.ledger[i].packed)
	}
	e.closed = append(e.closed, c.Closed...)
	if c.Command != nil {
		command := *c.Command
		e.command = &command
	}
	e.took = slices.Clone(c.Took)
	for _, m := range c.Send {
		e.send = append(e.send, outgoing{Message: m})
		e.bytes += len(m.Payload) + 256
	}
	if err := e.encode(c, packer); err != nil {
		return nil, err
	}
	if e.bytes > maxCommit {
		return nil, bide.Errorf(bide.CodeInvalidInput, "a commit of run %s has %d bytes, more than the %d that a SQLite store takes; keep large values outside and pass references", c.RunID, e.bytes, maxCommit)
	}
	return e, nil
}

// encode adds the parts of a commit that have to be encoded.
func (e *entry) encode(c *bide.Commit, packer *pack.Packer) (err error) {
	for i := range c.Opened {
		w := &c.Opened[i]
		body, err := encode(w)
		if err != nil {
			return fmt.Errorf("wait %s: %w", w.ID, err)
		}
		e.opened = append(e.opened, entryWait{id: w.ID, kind: string(w.Kind), key: w.Key, created: w.CreatedAt.UnixMicro(), since: w.Since, body: body})
		e.bytes += len(body)
	}
	if c.Info.Labels != nil && c.Expect.Seq == 0 {
		if e.labels, err = encode(c.Info.Labels); err != nil {
			return fmt.Errorf("labels of run %s: %w", c.RunID, err)
		}
	}
	for _, start := range c.Starts {
		child, err := newEntry(start, packer)
		if err != nil {
			return err
		}
		e.starts = append(e.starts, child)
		e.bytes += child.bytes
	}
	return nil
}

// encode writes JSON without changing the characters of what is JSON already.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return slices.Clip(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}
