// Package file is the store for looking into: it keeps runs as JSON and JSONL
// that a person can read, diff and grep, one folder per run. It is for prototypes and for
// learning; one process at a time has a store open.
//
// A store is a directory:
//
//	store.json                 the format, and how much of mail.jsonl and feed.jsonl counts
//	lock                       held while a process has the store open; says which
//	journal/0000000000000001.jsonl   what has not yet reached the other files for sure
//	mail.jsonl                 messages that were sent and taken
//	feed.jsonl                 the order of all records: which run's are at which position
//	documents/<kind>/<id>.json one document
//	runs/<run id>/ledger.jsonl the records, one per line: exactly the bytes that were hashed
//	runs/<run id>/run.json     the row of the run, its open waits and its commands
//	runs/<run id>/snapshot.jsonl   the last snapshot: what it belongs to, then the state
//
// A commit is one group of lines in the journal, whatever it touches; commits
// of many callers share a group and one flush of the disk. Ledgers follow within moments, rows
// within Options.CheckpointEvery, and everything when the store is closed. On opening,
// what the journal has is brought to the other files again. A document is a file of its
// own, written and flushed at once.
//
// When most lines of mail.jsonl or feed.jsonl say nothing any more, what is left
// is written to mail-2.jsonl and so on. The ids of messages are kept as long as their mailbox: that of
// a run until it is deleted, that of a key for ever.
//
// In the name of a folder or a document a capital letter is written as "!" and the small one, so
// that no two share a place where capitals make no difference.
//
// The package must not know workflows, what records say beyond their place in
// the chain, or any other store: it keeps what a bide.Commit holds and gives it back unchanged.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/queue"
)

// Durability says what an acknowledged commit survives.
type Durability string

// The levels of durability.
const (
	// DurabilityFull flushes the disk before a commit is acknowledged: it
	// survives the death of the process and loss of power.
	DurabilityFull Durability = "full"
	// DurabilityNormal leaves flushing to the operating system: a commit survives
	// the death of the process, but loss of power may undo the last ones. The
	// store stays whole. Effects that were carried out may then be carried out again.
	DurabilityNormal Durability = "normal"
)

// Options refines a store. Nil means the defaults.
type Options struct {
	// Durability is what an acknowledged commit survives. Defaults to DurabilityFull.
	Durability Durability
	// CheckpointEvery is how long the row of a run may lag behind its commits.
	// Sooner costs more flushes. Defaults to 2s.
	CheckpointEvery time.Duration
	// JournalBytes is the size at which the journal is brought to the other files
	// before its time. Defaults to 64 MiB.
	JournalBytes int64
	// ReadOnly opens an existing store for reading: every commit and every change of a document fails with
	// ErrStoreReadOnly, and nothing is written, so that it may be on a medium that takes no writes. While
	// it is open nobody can open it to be written; others may read it. Defaults to false.
	ReadOnly bool
	// Logger is told what was found on opening and what could not be written.
	// Defaults to none.
	Logger *slog.Logger
}

func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Durability == "" {
		out.Durability = DurabilityFull
	}
	if out.Durability != DurabilityFull && out.Durability != DurabilityNormal {
		return out, bide.Errorf(bide.CodeInvalidInput, "durability %q is neither %q nor %q", out.Durability, DurabilityFull, DurabilityNormal)
	}
	if out.CheckpointEvery <= 0 {
		out.CheckpointEvery = 2 * time.Second
	}
	if out.JournalBytes <= 0 {
		out.JournalBytes = 64 << 20
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out, nil
}

// Store keeps runs in a directory.
type Store struct {
	dir  string
	opts Options
	disk disk
	log  *slog.Logger
	lock io.Closer

	queue     *queue.Queue[*entry]
	committed chan struct{} // closed when the committer has ended
	filer     *filer

	turn    sync.Mutex // held while a group is written and published, and while the journal is rotated
	journal *journal

	mu       sync.RWMutex // guards the rest, which the committer alone may read without it
	index    index
	dirty    map[*run]bool              // runs that changed since the last checkpoint
	unfiled  map[*run]bool              // runs with records or a snapshot for the filer
	removals map[string]string          // folders of runs that were deleted, by run
	docs     map[string]*storedDocument // by path
	backlog  int64                      // bytes of records that no ledger file has yet
	closed   bool

	writing    sync.Mutex // held while a document is written
	shrinkFrom int64      // size of a common file from which it may be written anew

	closing sync.Once
	result  error // of closing
}

var (
	_ bide.Store     = (*Store)(nil)
	_ bide.Claims    = (*Store)(nil)
	_ bide.Counter   = (*Store)(nil)
	_ bide.Documents = (*Store)(nil)
)

// Open opens the store in a directory, and creates both when there is none. It
// fails with ErrStoreLocked, which names the process, when another has it
// open; with ErrStoreForeign when the directory has other things; with ErrStoreTooNew when a
// newer version wrote it; and with ErrStoreReadOnly or ErrStoreFull when it cannot be written. A run that is damaged does not keep the others from
// being used: what is asked of it fails with ErrCorrupt.
//
// Close the store to end its goroutines and to bring everything to the files of the runs.
func Open(ctx context.Context, dir string, opts *Options) (*Store, error) {
	s, err := open(ctx, dir, opts, osDisk{})
	if err != nil {
		return nil, err
	}
	go s.filer.work()
	return s, nil
}

// open does what Open does, on a disk; the filer is not yet at work.
func open(ctx context.Context, dir string, opts *Options, d disk) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if dir == "" {
		return nil, bide.Errorf(bide.CodeInvalidInput, "the store needs a directory; package store/mem keeps runs in memory")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("path of the store: %w", err)
	}
	if o.ReadOnly {
		d = readDisk{d}
	}
	s := &Store{
		dir: dir, opts: o, disk: d, log: o.Logger, queue: queue.New[*entry](), committed: make(chan struct{}),
		index: newIndex(), dirty: map[*run]bool{}, unfiled: map[*run]bool{}, removals: map[string]string{},
		docs: map[string]*storedDocument{}, shrinkFrom: shrinkFrom,
	}
	s.journal = &journal{disk: d, dir: filepath.Join(dir, journalDir), full: o.Durability == DurabilityFull}
	s.filer = newFiler(s)
	if err := s.begin(); err != nil {
		if s.lock != nil {
			err = errors.Join(err, s.lock.Close())
		}
		return nil, err
	}
	go func() {
		defer close(s.committed)
		s.commitAll()
	}()
	return s, nil
}

// begin locks the store and reads it.
func (s *Store) begin() error {
	if s.opts.ReadOnly {
		return s.openToRead()
	}
	if err := s.acquire(); err != nil {
		return explain("open", s.dir, err)
	}
	if err := s.recover(); err != nil {
		return explain("open", s.dir, err)
	}
	if len(s.journal.old) > 0 {
		s.filer.signal()
	}
	return nil
}

// Commit implements bide.Store. It shares a flush with the commits of other
// callers; one that fails does not disturb the others.
func (s *Store) Commit(ctx context.Context, c *bide.Commit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := newRequest(c)
	if err != nil {
		return err
	}
	return s.submit(ctx, r.bytes(), func(b *batch) error { return b.commit(r) })
}

// Close implements bide.Store. It may be called more than once. An error means
// that not everything has reached the files of the runs; the journal has it.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.queue.Close()
		<-s.committed
		s.filer.end()
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		if !s.opts.ReadOnly {
			s.result = errors.Join(s.checkpoint(), s.journal.close())
		}
		s.result = errors.Join(s.result, s.lock.Close())
	})
	return s.result
}
