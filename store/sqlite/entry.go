package sqlite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/bide-dev/bide"
)

// maxCommit bounds the bytes of one commit: a connection has 256 MiB of memory
// and needs room for copies.
const maxCommit = 64 << 20

// entry is a commit on its way to the file: the store's own copy, with what has
// to be encoded encoded by the caller, so that the committer only writes.
type entry struct {
	runID    string
	expect   bide.Position
	info     bide.RunInfo // Labels is not used
	labels   []byte
	records  []entryRecord
	opened   []entryWait
	closed   []string
	command  *bide.CommandRecord
	snapshot []byte
	bytes    int

	done   chan error // receives the outcome, once
	result error      // the outcome of the attempt at work
}

type entryRecord struct {
	seq int64
	raw []byte
}

type entryWait struct {
	id, kind, key string
	created       int64
	body          []byte
}

var entries = sync.Pool{New: func() any { return &entry{done: make(chan error, 1)} }}

// free gives an entry back whose outcome was received.
func (e *entry) free() {
	clear(e.records)
	clear(e.opened)
	clear(e.closed)
	*e = entry{done: e.done, records: e.records[:0], opened: e.opened[:0], closed: e.closed[:0]}
	entries.Put(e)
}

// keeps refuses a commit with parts that this layout has no place for: to
// acknowledge it would lose them.
func keeps(c *bide.Commit) error {
	if c.RunID == "" || len(c.Starts) > 0 || len(c.Send) > 0 || len(c.Took) > 0 || c.Fence != 0 {
		return bide.Errorf(bide.CodeInvalidInput, "the commit of run %q has messages, child runs or a claim, which the SQLite store does not keep yet", c.RunID)
	}
	return nil
}

func newEntry(c *bide.Commit) (*entry, error) {
	if err := keeps(c); err != nil {
		return nil, err
	}
	e := entries.Get().(*entry)
	e.runID, e.expect, e.info, e.snapshot = c.RunID, c.Expect, c.Info, c.Snapshot
	e.info.Labels = nil
	e.bytes = len(c.Snapshot) + 256
	for i := range c.Records {
		e.records = append(e.records, entryRecord{c.Records[i].Seq, c.Records[i].Raw})
		e.bytes += len(c.Records[i].Raw)
	}
	for i := range c.Opened {
		w := &c.Opened[i]
		body, err := encode(w)
		if err != nil {
			return nil, fmt.Errorf("wait %s: %w", w.ID, err)
		}
		e.opened = append(e.opened, entryWait{w.ID, string(w.Kind), w.Key, w.CreatedAt.UnixMicro(), body})
		e.bytes += len(body)
	}
	e.closed = append(e.closed, c.Closed...)
	if c.Command != nil {
		command := *c.Command
		e.command = &command
	}
	if c.Info.Labels != nil && c.Expect.Seq == 0 {
		var err error
		if e.labels, err = encode(c.Info.Labels); err != nil {
			return nil, fmt.Errorf("labels of run %s: %w", c.RunID, err)
		}
	}
	if e.bytes > maxCommit {
		return nil, bide.Errorf(bide.CodeInvalidInput, "a commit of run %s has %d bytes, more than the %d that a SQLite store takes; keep large values outside and pass references", c.RunID, e.bytes, maxCommit)
	}
	return e, nil
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
