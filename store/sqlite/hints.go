package sqlite

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// Hints returns a channel that holds a token when the file may have been
// written to since the last token was taken, by this process or another. It costs nothing
// while nobody writes. It is a hint for workers, not a feed: tokens
// stand for any number of writes, and the system may drop some.
//
// The watch ends with ctx.
func (s *Store) Hints(ctx context.Context) (<-chan struct{}, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", s.path, err)
	}
	// The folder, because the write-ahead log comes and goes.
	if err := watcher.Add(filepath.Dir(s.path)); err != nil {
		_ = watcher.Close() // nothing is watched
		return nil, fmt.Errorf("watch %s: %w", s.path, err)
	}
	hints := make(chan struct{}, 1)
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
			select {
			case hints <- struct{}{}:
			default:
			}
		}
	}()
	return hints, nil
}
