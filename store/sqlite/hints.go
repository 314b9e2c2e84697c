package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// afterwards are when a hint is given again after the last write: what is written to the log
// can be seen once it is flushed, and of that the system tells nobody.
var afterwards = [...]time.Duration{10 * time.Millisecond, 90 * time.Millisecond}

// oursFor is how long after a transaction of this store the news of a write are taken for its own.
const oursFor = 300 * time.Microsecond

// Hints implements bide.Hinter. It returns at once; f is called when another process writes to the
// file, and again, also after what this store wrote, when all should have been flushed, always as if runs had
// become claimable. It costs nothing while nobody writes. It fails when the system cannot watch the store's folder.
func (s *Store) Hints(ctx context.Context, f func(claimable bool)) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", s.path, err)
	}
	// The folder, because the write-ahead log comes and goes.
	if err := watcher.Add(filepath.Dir(s.path)); err != nil {
		_ = watcher.Close() // nothing is watched
		return fmt.Errorf("watch %s: %w", s.path, err)
	}
	go s.watch(ctx, watcher, f)
	return nil
}

func (s *Store) watch(ctx context.Context, watcher *fsnotify.Watcher, f func(claimable bool)) {
	defer watcher.Close()
	log := filepath.Base(s.path) + "-wal"
	again := time.NewTimer(0)
	defer again.Stop()
	given := len(afterwards) // how many of afterwards were given
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			if given == len(afterwards) {
				continue
			}
			given++
		case _, ok := <-watcher.Errors: // events were dropped: there were many
			if !ok {
				return
			}
			given = 0
		case event, ok := <-watcher.Events:
			if !ok {
				return
			}
			if filepath.Base(event.Name) != log || !event.Has(fsnotify.Write) {
				continue
			}
			if given = 0; s.wroteJustNow() { // if it was somebody else, the writer says so when it sees that
				again.Reset(afterwards[0])
				continue
			}
		case <-s.foreign:
		}
		f(true)
		if given < len(afterwards) {
			again.Reset(afterwards[given])
		}
	}
}

// wroteJustNow reports whether a transaction of this store is at work or was so a moment ago.
func (s *Store) wroteJustNow() bool { return time.Now().UnixNano()-s.wrote.Load() < int64(oursFor) }
