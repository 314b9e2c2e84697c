package file

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// takeRemovals returns the folders to be removed, by run. One whose run was
// begun again is not: its files are written anew.
func (s *Store) takeRemovals() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.removals
	s.removals = map[string]string{}
	for id := range out {
		if s.index.runs[id] != nil {
			delete(out, id)
		}
	}
	return out
}

// removeRuns removes the files of runs that were deleted. The checkpoint flushes
// the directory above; until then the journal says that they are gone.
func (s *Store) removeRuns(folders map[string]string) error {
	for _, dir := range folders {
		if err := s.removeRun(dir); err != nil {
			return explain("remove a run", dir, err)
		}
	}
	return nil
}

// removeRun removes a run's files, and its folder, unless somebody put other things there.
func (s *Store) removeRun(dir string) error {
	for _, name := range []string{rowName, rowName + tempSuffix, snapshotName, snapshotName + tempSuffix, ledgerName} {
		if err := s.disk.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	left, err := s.disk.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(left) > 0:
		s.log.Warn("the folder of a deleted run has something that is not the store's; it is left alone", "file", dir)
		return s.disk.SyncDir(dir)
	}
	return s.disk.Remove(dir)
}
