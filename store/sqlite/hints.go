package sqlite

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// Hints implements bide.Hinter: it returns at once, and f is called after the file
// may have been written to, by this process or another, always as if runs had become claimable. It
// costs nothing while nobody writes. It fails when the system cannot watch the store's folder.
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
	go func() {
		defer watcher.Close()
		log := filepath.Base(s.path) + "-wal"
		for {
			select {
			case <-ctx.Done():
				return
			case _, ok := <-watcher.Errors: // events were dropped: there were many
				if !ok {
					return
				}
			case event, ok := <-watcher.Events:
				if !ok {
					return
				}
				if filepath.Base(event.Name) != log || !event.Has(fsnotify.Write) {
					continue
				}
			}
			f(true)
		}
	}()
	return nil
}
