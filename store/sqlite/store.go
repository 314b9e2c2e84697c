// Package sqlite is the embedded default store: it keeps runs in one SQLite
// file, without cgo and without a server. Commits of many runs share one
// transaction and one flush of the disk.
//
// Several processes may have the file open at once; they take turns at writing.
// The file must be on a local disk: network file systems do not lock it reliably.
//
// The package must not know workflows, record contents or any other store: it
// keeps what a bide.Commit holds and gives it back unchanged.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pack"
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
	// the death of the process, but loss of power may undo the last ones. The file
	// stays whole. Effects that were carried out may then be carried out again, and
	// positions of the feed come a second time.
	DurabilityNormal Durability = "normal"
)

// Options refines a store. Nil means the defaults.
type Options struct {
	// Durability is what an acknowledged commit survives. Defaults to DurabilityFull.
	Durability Durability
	// BusyTimeout is how long to wait for another process that holds the file. Defaults to 5s.
	BusyTimeout time.Duration
	// CheckpointPages is the size, in pages of 4 KiB, at which the write-ahead
	// log is copied into the file. Smaller means a smaller log and slower commits. Defaults to 8,000. A log of
	// more than 1 MiB is also copied, and emptied, when nothing was committed for a second.
	CheckpointPages int
	// Readers is how many reads go on at once. Defaults to the number of processors, at most 4: more
	// would take processor time from the writer and answer nobody sooner.
	Readers int
	// ReadOnly opens an existing store for reading: every commit fails with ErrStoreReadOnly, and nothing that the
	// store holds is written or removed. It may be on a medium that takes no writes, in a directory without
	// permission or on a full disk, also with the log (-wal) that a process has left; and other processes may write
	// to it meanwhile. Only where its shared memory (-shm) can neither be made nor read, a read fails with
	// ErrStoreLocked if a process begins to write during it; the next one sees what was written.
	// Defaults to false.
	ReadOnly bool
	// VFS names the registered virtual file system to use, for tests. Defaults to the system's.
	VFS string
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
	if out.BusyTimeout <= 0 {
		out.BusyTimeout = 5 * time.Second
	}
	if out.CheckpointPages <= 0 {
		out.CheckpointPages = 8000
	}
	if out.Readers <= 0 {
		out.Readers = min(runtime.GOMAXPROCS(0), 4)
	}
	return out, nil
}

// Store keeps runs in a SQLite file.
type Store struct {
	path    string
	disk    string // the name of the virtual file system
	opts    Options
	queue   *queue.Queue[*entry]
	readers *pool
	packer  *pack.Packer
	wrote   atomic.Int64  // when the last transaction ended, in Unix nanoseconds; in the future while one is at work
	whole   sync.Mutex    // held by a transaction, and while the file is written anew
	foreign chan struct{} // holds a token when another process has committed
	done    chan struct{} // closed when the committer has ended
	closed  error         // what closing the writer gave; set before done is closed
}

var (
	_ bide.Store     = (*Store)(nil)
	_ bide.Claims    = (*Store)(nil)
	_ bide.Counter   = (*Store)(nil)
	_ bide.Documents = (*Store)(nil)
	_ bide.Hinter    = (*Store)(nil)
)

// Open opens the store in the file at path, and creates it when there is none;
// its directory must exist. It fails with ErrStoreForeign when the file is something
// else, ErrStoreTooNew when a newer version wrote it, ErrStoreLocked when another
// process keeps it locked, ErrStoreReadOnly when it cannot be written, and ErrStoreFull when the disk is too full
// to open it; in these two cases Options.ReadOnly opens it for reading. With that, it fails with ErrStoreReadOnly when an older
// version wrote the file, which has to be opened once to be written.
//
// Close the store to end its goroutine and to leave a single file behind.
func Open(ctx context.Context, path string, opts *Options) (*Store, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if path == "" || path == ":memory:" {
		return nil, bide.Errorf(bide.CodeInvalidInput, "%q is not the path of a file; package store/mem keeps runs in memory", path)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("path of the store: %w", err)
	}
	disk, err := registerDisk(o.VFS)
	if err != nil {
		return nil, bide.Errorf(bide.CodeInvalidInput, "open %s: %w", path, err)
	}
	packer, err := pack.New()
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, disk: disk, opts: o, queue: queue.New[*entry](), packer: packer, foreign: make(chan struct{}, 1), done: make(chan struct{})}
	s.readers = newPool(o.Readers, func() (*reader, error) { return s.openReader() })
	w := &writer{store: s}
	if err := w.begin(ctx); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.done)
		w.work(s.queue)
		s.closed = errors.Join(s.readers.close(), w.close())
	}()
	return s, nil
}

// Commit implements bide.Store. It shares a transaction with the commits of
// other callers; one that fails does not disturb the others.
func (s *Store) Commit(ctx context.Context, c *bide.Commit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.RunID == "" && (len(c.Records) > 0 || len(c.Starts) > 0 || len(c.Took) > 0) {
		return bide.Errorf(bide.CodeInvalidInput, "a commit without a run can only send messages")
	}
	if c.Delete {
		return s.request(ctx, deleteRun{c.RunID, c.Expect})
	}
	e, err := newEntry(c, s.packer)
	if err != nil {
		return err
	}
	return s.do(ctx, e)
}

// request lets the committer do what a worker asks, in the transaction of the
// commits that wait at the time.
func (s *Store) request(ctx context.Context, r request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e := entries.Get().(*entry)
	e.request, e.bytes = r, 256
	return s.do(ctx, e)
}

// do hands work to the committer and waits for its outcome.
func (s *Store) do(ctx context.Context, e *entry) error {
	if !s.queue.Push(e) {
		return errClosed(s.path)
	}
	select {
	case err := <-e.done:
		e.free()
		return err
	case <-ctx.Done(): // the committer still has e
		return context.Cause(ctx)
	}
}

// Close implements bide.Store. It may be called more than once.
func (s *Store) Close() error {
	s.queue.Close()
	<-s.done
	return s.closed
}

func errClosed(path string) error {
	return bide.Errorf(bide.CodeStoreClosed, "the store %s is closed", path)
}
