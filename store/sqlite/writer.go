package sqlite

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/bide-dev/bide/internal/queue"
	"github.com/ncruces/go-sqlite3"
)

// The frame of a transaction.
const (
	sqlBegin    = `BEGIN IMMEDIATE`
	sqlCommit   = `COMMIT`
	sqlRollback = `ROLLBACK`
)

// writer is the committer: the one goroutine that writes, and its connection.
type writer struct {
	store       *Store
	*statements               // nil after the connection was given up
	flushes     bool          // COMMIT waits for the disk
	flush       time.Duration // how long the last COMMIT that did took
	wrote       bool          // since the log was last seen to be small
}

// slowFlush is from where on it pays to let others come before a transaction begins: with 64 in flight,
// it makes 1.2 times the commits per second at 1 ms a flush, and 1.3 times at 4 ms. With fast flushes it
// would leave a processor idle.
const slowFlush = 500 * time.Microsecond

func (w *writer) use(conn *sqlite3.Conn) {
	s := newStatements(conn)
	w.statements, w.flushes = &s, w.store.opts.Durability == DurabilityFull
}

// begin checks the file and, unless it is only read, opens the connection that writes.
func (w *writer) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.store.opts.ReadOnly {
		return w.store.lookIn()
	}
	conn, err := w.store.openFirst(ctx)
	if err == nil {
		w.use(conn)
	}
	return err
}

// next picks a batch of 256 commits and 1 MiB at most. A single commit may be larger.
var next = queue.Oldest(256, 1<<20, func(e *entry) int { return e.bytes })

// work commits what callers push until the queue is closed and empty.
func (w *writer) work(q *queue.Queue[*entry]) {
	var batch []*entry
	for {
		var more bool
		w.rest(q)
		if w.flush > slowFlush {
			q.Gather(len(batch))
		}
		if batch, more = q.Take(batch, next); !more {
			return
		}
		err := w.transaction(batch)
		if err != nil && !concernsAll(err) && len(batch) > 1 {
			w.oneByOne(batch)
			continue
		}
		for _, e := range batch {
			w.answer(e, err)
		}
	}
}

// oneByOne gives each entry a transaction of its own, after one of them has
// failed for a reason that the others need not share.
func (w *writer) oneByOne(batch []*entry) {
	for i := range batch {
		w.answer(batch[i], w.transaction(batch[i:i+1]))
	}
}

// answer tells the caller the outcome: that of its transaction, or its own. It must not touch e after that.
func (w *writer) answer(e *entry, err error) {
	if err != nil {
		e.done <- w.store.explain("commit", err)
		return
	}
	e.done <- e.result
}

// transaction applies a batch and makes it durable. An error means that nothing
// of it was applied, or that the outcome is unknown.
func (w *writer) transaction(batch []*entry) (err error) {
	w.store.whole.Lock()
	defer w.store.whole.Unlock()
	defer func() {
		if v := recover(); v != nil { // the driver panics when its memory is used up
			err = fmt.Errorf("%w: %v", errOutOfMemory, v)
			w.drop()
		}
	}()
	if err := w.connect(); err != nil {
		return err
	}
	lasts := w.store.opts.Durability == DurabilityFull && slices.ContainsFunc(batch, (*entry).lasts)
	if err := w.flushing(lasts); err != nil {
		return w.failed(err)
	}
	if err := w.query(sqlBegin).exec(); err != nil {
		return w.failed(err)
	}
	w.store.wrote.Store(math.MaxInt64)
	defer func() { w.store.wrote.Store(time.Now().UnixNano()) }()
	others, err := w.refresh()
	if err != nil {
		return w.failed(err)
	}
	if others && !slices.ContainsFunc(batch, (*entry).looks) {
		select {
		case w.store.foreign <- struct{}{}:
		default:
		}
	}
	for _, e := range batch {
		if e.result, err = w.apply(e); err != nil {
			return w.failed(fmt.Errorf("%s: %w", e, err))
		}
	}
	start := time.Now()
	if err := w.query(sqlCommit).exec(); err != nil {
		return w.failed(err)
	}
	if w.wrote = true; lasts {
		w.flush = time.Since(start)
	}
	return nil
}

// flushing says whether the transactions to come wait for the disk.
func (w *writer) flushing(yes bool) error {
	if yes == w.flushes {
		return nil
	}
	level := DurabilityNormal
	if yes {
		level = DurabilityFull
	}
	err := w.conn.Exec("PRAGMA synchronous = " + string(level))
	if err == nil {
		w.flushes = yes
	}
	return err
}

// failed undoes the transaction. The connection stays: to it, what a failed
// flush left in the log is not there, while a new one might find it.
func (w *writer) failed(err error) error {
	w.forget()
	if !w.conn.GetAutocommit() {
		_ = w.query(sqlRollback).exec()
	}
	if !w.conn.GetAutocommit() {
		w.drop()
	}
	return err
}

// connect opens a new connection when the last one was given up.
func (w *writer) connect() error {
	if w.store.opts.ReadOnly {
		return sqlite3.READONLY
	}
	if w.statements != nil {
		return nil
	}
	conn, err := w.store.dial(sqlite3.OPEN_READWRITE)
	if err != nil {
		return err
	}
	w.use(conn)
	if err := w.store.tune(conn); err != nil {
		w.drop()
		return err
	}
	return nil
}

// drop gives up the connection; what went wrong is known already.
func (w *writer) drop() {
	defer func() {
		_ = recover() // closing what has panicked before
		w.statements = nil
	}()
	_ = w.close()
}

// close ends the writer.
func (w *writer) close() error {
	if w.statements == nil {
		return nil
	}
	err := w.statements.close()
	w.statements = nil
	if err != nil {
		return fmt.Errorf("close %s: %w", w.store.path, err)
	}
	return nil
}
