package file

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
)

// acquire makes the directory a store, unless it is one, and locks it.
func (s *Store) acquire() error {
	if err := s.foreign(); err != nil { // before anything is made in it
		return err
	}
	if err := s.makeDir(s.dir); err != nil {
		return err
	}
	lock, err := s.disk.Lock(filepath.Join(s.dir, lockName))
	if err != nil {
		return s.locked(err)
	}
	s.lock = lock
	return s.makeStore()
}

// makeDir makes a directory and those above it.
func (s *Store) makeDir(dir string) error {
	if _, err := s.disk.ReadDir(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.makeDir(filepath.Dir(dir)); err != nil {
		return err
	}
	return s.disk.MakeDir(dir)
}

// makeStore makes what an empty store has, and makes it durable even if it is
// there: whoever made it may have died before.
func (s *Store) makeStore() error {
	if err := errors.Join(s.disk.MakeDir(filepath.Join(s.dir, runsDir)), s.disk.MakeDir(s.journal.dir)); err != nil {
		return err
	}
	_, err := s.disk.Size(filepath.Join(s.dir, storeName))
	if !errors.Is(err, fs.ErrNotExist) {
		return cmp.Or(err, s.disk.SyncDir(s.dir))
	}
	for dir, above := s.dir, filepath.Dir(s.dir); dir != above; dir, above = above, filepath.Dir(above) {
		if err := s.disk.SyncDir(above); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return s.writeStoreFile(storeFile{Mail: s.index.mail.entry(), Feed: s.index.feed.entry()})
}

// foreign fails when the directory has something else than a store. A store
// whose first opening was cut short is one.
func (s *Store) foreign() error {
	entries, err := s.disk.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	has := func(name string) bool {
		return slices.ContainsFunc(entries, func(e dirEntry) bool { return e.name == name })
	}
	if has(storeName) {
		return nil
	}
	for _, e := range entries {
		if !slices.Contains([]string{lockName, runsDir, journalDir, storeName + tempSuffix}, e.name) {
			return bide.Errorf(bide.CodeStoreForeign, "the directory %s is not a bide store: it has %s in it; choose an empty one or a new one", s.dir, e.name)
		}
	}
	for _, name := range []string{runsDir, journalDir} {
		if inside, err := s.disk.ReadDir(filepath.Join(s.dir, name)); len(inside) > 0 {
			return bide.Errorf(bide.CodeStoreForeign, "the directory %s has %s, but no %s; restore that from a backup or choose another directory", s.dir, name, storeName)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// recover reads the store and brings what the journal has to what the files have.
func (s *Store) recover() error {
	version, err := s.readStore()
	if err != nil {
		return err
	}
	if err := s.readRuns(); err != nil {
		return err
	}
	if err := s.readFeed(); err != nil {
		return err
	}
	if err := s.replay(version); err != nil {
		return err
	}
	for _, r := range s.index.runs {
		if err := s.reconcile(r); err != nil {
			return err
		}
	}
	s.nameStrangers(filepath.Join(s.dir, runsDir), func(e dirEntry) bool {
		id, ok := runOf(e.name)
		return ok && e.dir && s.index.runs[id] != nil
	})
	switch {
	case version == storeVersion:
		return nil
	case s.opts.ReadOnly:
		return bide.Errorf(bide.CodeStoreReadOnly, "the store %s has format %d, and is read when it has been brought to %d: open it once where it can be written, or a copy of it", s.dir, version, storeVersion)
	}
	return s.upgrade()
}

// readStore reads store.json, the messages and the documents.
func (s *Store) readStore() (version int, err error) {
	path := filepath.Join(s.dir, storeName)
	text, err := readFile(s.disk, path)
	if err != nil {
		return 0, err
	}
	var f storeFile
	if err := json.Unmarshal(text, &f); err != nil || f.Format != storeFormat {
		return 0, bide.Errorf(bide.CodeStoreForeign, "%s is not that of a bide store, or was changed; restore it from a backup or choose another directory", path)
	}
	if f.Version > storeVersion {
		return 0, bide.Errorf(bide.CodeStoreTooNew, "the store %s has format %d, this program knows up to %d; use a newer bide", s.dir, f.Version, storeVersion)
	}
	s.nameStrangers(s.dir, func(e dirEntry) bool {
		return slices.Contains([]string{storeName, lockName, runsDir, journalDir, documentsDir}, strings.TrimSuffix(e.name, tempSuffix)) ||
			numberOf("mail", e.name)+numberOf("feed", e.name) > 0
	})
	if f.Version < 2 {
		f.Mail, f.Feed = commonFile{s.index.mail.file, f.MailBytes, f.MailGroup}, s.index.feed.entry()
	}
	feed := &s.index.feed
	feed.file, feed.filed, feed.group, feed.end = f.Feed.File, f.Feed.Bytes, f.Feed.Group, f.FeedEnd
	return f.Version, errors.Join(s.readMail(f.Mail), s.readDocuments())
}

// readMail reads the part of the file of messages that counts. Lines that cannot be read are said and left out.
func (s *Store) readMail(f commonFile) error {
	m := &s.index.mail
	m.file, m.filed, m.group = f.File, f.Bytes, f.Group
	text, err := s.readCommon(&m.common)
	if err != nil {
		return err
	}
	number := 0
	for text := range bytes.Lines(text) {
		number++
		lines, err := parseLines(text)
		if err != nil || len(lines) != 1 {
			s.log.Error("a message cannot be read", "file", filepath.Join(s.dir, m.file), "line", number, "error", err)
			continue
		}
		m.apply(&lines[0].line)
	}
	return nil
}

// sayCut logs that the end of a file does not count; it is written anew, or cut off.
func (s *Store) sayCut(path, runID string, offset, bytes int64) {
	if bytes > 0 {
		s.log.Warn("the torn end of a file was cut off", "run", runID, "file", path, "offset", offset, "bytes", bytes)
	}
}

// nameStrangers logs the entries of a directory that are not the store's.
func (s *Store) nameStrangers(dir string, known func(dirEntry) bool) {
	entries, err := s.disk.ReadDir(dir)
	if err != nil {
		s.log.Warn("a directory cannot be listed", "file", dir, "error", err)
	}
	for _, e := range entries {
		if !known(e) {
			s.log.Warn("something that is not the store's is left alone", "file", filepath.Join(dir, e.name))
		}
	}
}

// readRuns reads the rows of all runs.
func (s *Store) readRuns() error {
	entries, err := s.disk.ReadDir(filepath.Join(s.dir, runsDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, ok := runOf(e.name)
		if !ok || !e.dir {
			continue
		}
		r := s.newRun(id)
		if err := s.readRow(r); err != nil {
			if _, err := s.disk.Size(filepath.Join(r.path, ledgerName)); errors.Is(err, fs.ErrNotExist) {
				continue // nothing of a run is there
			}
			r.row, r.ledger = row{}, ledger{}
			r.damage = errDamaged(id, "%s cannot be read (%v)", filepath.Join(r.path, rowName), err)
		}
		s.index.add(r)
	}
	return nil
}

func (s *Store) readRow(r *run) error {
	text, err := readFile(s.disk, filepath.Join(r.path, rowName))
	if err != nil {
		return err
	}
	if err := r.parseRow(text); err != nil {
		return err
	}
	if r.info.ID != r.id {
		return fmt.Errorf("it is of run %q", r.info.ID)
	}
	return nil
}

// reconcile compares a run's ledger with what the file has: what is too much
// there is cut off, what is there of the records that the journal has is kept.
func (s *Store) reconcile(r *run) error {
	l := &r.ledger
	path := filepath.Join(r.path, ledgerName)
	size, err := s.disk.Size(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch {
	case r.info.ID == "":
		s.log.Error("a run is damaged", "run", r.id, "error", r.damage)
		return nil
	case size < l.filed:
		r.damage = errDamaged(r.id, "%s is damaged at line %s: it has %d bytes, the run's records have %d", path, lineAt(s.disk, path, size), size, l.filed)
		s.log.Error("a run is damaged", "run", r.id, "error", r.damage)
		return nil
	case size == l.filed:
		return nil
	}
	text, err := readRange(s.disk, path, l.filed, size)
	if err != nil {
		return err
	}
	whole := 0
	for _, raw := range l.pending {
		rest, ok := bytes.CutPrefix(text, append(raw[:len(raw):len(raw)], '\n'))
		if !ok {
			break
		}
		whole, text = whole+1, rest
	}
	s.backlog += l.filed
	l.written(whole)
	s.backlog -= l.filed
	if len(text) == 0 {
		return nil
	}
	s.sayCut(path, r.id, l.filed, int64(len(text)))
	return s.truncate(path, l.filed)
}
