package file

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"
)

// syncAtOnce is how many runs are flushed at once: the disk does them together.
const syncAtOnce = 16

// fileLedgers brings records and snapshots to the files of their runs. It
// flushes nothing: the journal has them as well.
func (s *Store) fileLedgers() error {
	s.mu.Lock()
	runs := s.unfiled
	s.unfiled = map[*run]bool{}
	s.mu.Unlock()
	err := eachRun(runs, 1, func(r *run) error { return s.fileRun(r, false) })
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		for r := range runs {
			if !r.gone {
				s.unfiled[r] = true
			}
		}
	}
	return err
}

// checkpoint brings everything to the files, flushes them, and lets go of the
// part of the journal that is in them.
func (s *Store) checkpoint() error {
	s.turn.Lock()
	segments, size, err := s.journal.rotate()
	s.mu.Lock()
	runs := s.dirty
	if err == nil {
		s.dirty = map[*run]bool{}
	}
	s.mu.Unlock()
	s.turn.Unlock()
	if err != nil {
		return explain("checkpoint", s.journal.dir, err)
	}
	if len(segments) == 0 {
		return nil
	}
	removals := s.takeRemovals()
	err = s.removeRuns(removals)
	if err == nil {
		err = eachRun(runs, syncAtOnce, func(r *run) error { return s.fileRun(r, true) })
	}
	if err == nil { // before the feed, which must not name a run that is not there
		err = explain("checkpoint", s.dir, s.disk.SyncDir(filepath.Join(s.dir, runsDir)))
	}
	if err == nil {
		err = explain("checkpoint", s.dir, s.fileCommon())
	}
	if err != nil {
		s.mu.Lock()
		for r := range runs {
			if !r.gone {
				s.dirty[r] = true
			}
		}
		maps.Copy(s.removals, removals)
		s.mu.Unlock()
		return err
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	return explain("checkpoint", s.journal.dir, s.journal.drop(segments, size))
}

// flushJournal sees to it that there is no row and no folder of a run that the
// journal may still lose, when not every group is flushed.
func (s *Store) flushJournal(group int64) error {
	if s.opts.Durability == DurabilityFull {
		return nil
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	return explain("checkpoint", s.journal.dir, s.journal.flush(group))
}

// fileRun brings a run to its files. With sync they are flushed, and have its row as well.
func (s *Store) fileRun(r *run, sync bool) error {
	s.mu.RLock()
	pending, filed, snap := r.ledger.pending, r.ledger.filed, r.snapshot
	fresh := r.ledger.filed == 0
	first, unsynced, group := r.ledger.synced == 0, r.ledger.synced < r.ledger.size, r.group
	var row []byte
	var err error
	if sync {
		row, err = r.rowText()
	}
	s.mu.RUnlock()
	if err != nil {
		return err
	}
	if sync || fresh {
		if err := s.flushJournal(group); err != nil {
			return err
		}
	}
	if fresh {
		if err := s.disk.MakeDir(r.path); err != nil {
			return explain("file records", r.path, err)
		}
	}
	if len(pending) > 0 || sync && unsynced {
		if err := s.writeLedger(r, filed, joinLines(pending), sync); err != nil {
			return err
		}
	}
	if snap != nil {
		if err := s.writeSnapshot(r, snap); err != nil {
			return err
		}
	}
	s.mu.Lock()
	if !r.gone {
		r.ledger.written(len(pending))
		if sync {
			r.ledger.synced = r.ledger.filed
		}
		s.backlog -= r.ledger.filed - filed
		if r.snapshot == snap {
			r.snapshot = nil
		}
	}
	s.mu.Unlock()
	if !sync {
		return nil
	}
	if first { // there must not be a row without a ledger
		if err := s.disk.SyncDir(r.path); err != nil {
			return explain("file records", r.path, err)
		}
	}
	path := filepath.Join(r.path, rowName)
	if err := replaceFile(s.disk, path, row, true); err != nil {
		return explain("write the row of a run", path, err)
	}
	return explain("write the row of a run", r.path, s.disk.SyncDir(r.path))
}

// writeLedger writes records at the end of those that the file has. After an
// error the same is done again, at the same place.
func (s *Store) writeLedger(r *run, at int64, text []byte, sync bool) error {
	path := filepath.Join(r.path, ledgerName)
	flags := os.O_RDWR | os.O_CREATE
	if at == 0 {
		flags |= os.O_TRUNC
	}
	f, err := s.disk.Open(path, flags)
	if err != nil {
		return explain("file records", path, err)
	}
	_, err = f.WriteAt(text, at)
	if err == nil && sync {
		err = f.Sync()
	}
	return explain("file records", path, errors.Join(err, f.Close()))
}

func (s *Store) writeSnapshot(r *run, snap *snapshot) error {
	path := filepath.Join(r.path, snapshotName)
	text, err := snap.text()
	if err != nil {
		return err
	}
	return explain("write a snapshot", path, replaceFile(s.disk, path, text, false))
}

// eachRun does something to runs, several at once, and returns an error if there was one.
func eachRun(runs map[*run]bool, atOnce int, do func(*run) error) error {
	work := make(chan *run)
	errs := make([]error, min(atOnce, len(runs)))
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			for r := range work {
				if err := do(r); err != nil {
					errs[i] = err
				}
			}
		})
	}
	for r := range runs {
		work <- r
	}
	close(work)
	all.Wait()
	return cmp.Or(errs...)
}

// storeFile is the text of store.json.
type storeFile struct {
	Format  string     `json:"format"`
	Version int        `json:"version"`
	Mail    commonFile `json:"mail"`
	Feed    commonFile `json:"feed"`
	FeedEnd int64      `json:"feed_end"` // the last position given
	// MailBytes and MailGroup are what a store of version 1 has of mail.jsonl; it has no feed.
	MailBytes int64 `json:"mail_bytes,omitempty"`
	MailGroup int64 `json:"journal_group,omitempty"`
}

const (
	storeFormat  = "bide file store"
	storeVersion = 2
)

func (s *Store) writeStoreFile(f storeFile) error {
	f.Format, f.Version = storeFormat, storeVersion
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := replaceFile(s.disk, filepath.Join(s.dir, storeName), append(text, '\n'), true); err != nil {
		return err
	}
	return s.disk.SyncDir(s.dir)
}
