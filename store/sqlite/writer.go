package sqlite

import (
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// writer is the committer: the one goroutine that writes, and its connection.
type writer struct {
	store *Store
	conn  *sqlite3.Conn // nil after it was given up

	begin, commit, rollback *sqlite3.Stmt
	statements              // of one commit
}

func (w *writer) prepare() error {
	return errors.Join(
		prepare(w.conn, &w.begin, "BEGIN IMMEDIATE"),
		prepare(w.conn, &w.commit, "COMMIT"),
		prepare(w.conn, &w.rollback, "ROLLBACK"),
		w.statements.prepare(w.conn),
	)
}

// work commits what callers push until the queue is closed and empty.
func (w *writer) work(q *queue) {
	var batch []*entry
	for {
		var more bool
		if batch, more = q.take(batch); !more {
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

// oneByOne gives each commit a transaction of its own, after one of them has
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
	defer func() {
		if v := recover(); v != nil { // the driver panics when its memory is used up
			err = fmt.Errorf("%w: %v", errOutOfMemory, v)
			w.drop()
		}
	}()
	if err := w.connect(); err != nil {
		return err
	}
	if err := w.begin.Exec(); err != nil {
		return w.failed(err)
	}
	for _, e := range batch {
		if e.result, err = w.apply(e); err != nil {
			return w.failed(fmt.Errorf("run %s: %w", e.runID, err))
		}
	}
	if err := w.commit.Exec(); err != nil {
		return w.failed(err)
	}
	return nil
}

// failed undoes the transaction. The connection stays: to it, what a failed
// flush left in the log is not there, while a new one might find it.
func (w *writer) failed(err error) error {
	if !w.conn.GetAutocommit() {
		_ = w.rollback.Exec()
	}
	if !w.conn.GetAutocommit() {
		w.drop()
	}
	return err
}

// connect opens a new connection when the last one was given up.
func (w *writer) connect() error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.store.dial(sqlite3.OPEN_READWRITE)
	if err != nil {
		return err
	}
	w.conn = conn
	if err := errors.Join(w.store.tune(conn), w.prepare()); err != nil {
		w.drop()
		return err
	}
	return nil
}

// drop gives up the connection; what went wrong is known already.
func (w *writer) drop() {
	defer func() {
		_ = recover() // closing what has panicked before
		w.conn = nil
	}()
	_ = w.close()
}

// close finalizes the statements and closes the connection.
func (w *writer) close() error {
	if w.conn == nil {
		return nil
	}
	for _, stmt := range append(w.statements.all(), w.begin, w.commit, w.rollback) {
		_ = stmt.Close() // repeats the error of its last run
	}
	err := w.conn.Close()
	w.conn = nil
	if err != nil {
		return fmt.Errorf("close %s: %w", w.store.path, err)
	}
	return nil
}

// conflict is the outcome of a commit that does not follow from where the run is.
func conflict(e *entry, at bide.Position) error {
	return &bide.Error{Code: bide.CodeConflict, Run: e.runID,
		Message: fmt.Sprintf("run %s is at record %d, and not where the commit expects it, at record %d", e.runID, at.Seq, e.expect.Seq)}
}
