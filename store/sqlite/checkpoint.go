package sqlite

import (
	"os"
	"time"

	"github.com/bide-dev/bide/internal/queue"
	"github.com/ncruces/go-sqlite3"
)

// What the write-ahead log takes of the disk is given back when nothing was to be committed for quiet, and
// the log is larger than smallLog. It holds every version of a page since it was begun, up to
// Options.CheckpointPages: far more than a small store has.
const (
	quiet    = time.Second
	smallLog = 1 << 20
)

// rest gives back what the log takes while nothing comes.
func (w *writer) rest(q *queue.Queue[*entry]) {
	for w.wrote && q.Idle(quiet) {
		w.wrote = !w.cutLog()
	}
}

// cutLog copies a log that is not small into the file and empties it. It reports false when
// somebody was reading or writing, for whom it does not wait.
func (w *writer) cutLog() (done bool) {
	if log, err := os.Stat(w.store.path + "-wal"); err != nil || log.Size() <= smallLog || w.statements == nil {
		return true
	}
	defer func() {
		if recover() != nil { // as in transaction
			w.drop()
			done = true
		}
	}()
	err := w.conn.BusyHandler(nil)
	if err == nil {
		_, _, err = w.conn.WALCheckpoint("main", sqlite3.CHECKPOINT_TRUNCATE)
	}
	if again := w.conn.BusyHandler(w.store.patience()); again != nil {
		w.drop()
	}
	return code(err) != sqlite3.BUSY // whatever else there is the next commit will say
}
