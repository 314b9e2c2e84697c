package file

import "path/filepath"

// upgrade makes a store of version 1 one of version 2: its runs know the roots of
// their trees, and it has a feed. store.json says so once all of it is written; until
// then nothing is lost by doing it again.
func (s *Store) upgrade() error {
	for _, r := range s.index.runs {
		if r.info.ID != "" && r.info.Root == "" {
			next := r.row
			next.info.Root = s.rootOf(r)
			s.index.update(r, &next)
		}
	}
	s.fillFeed()
	s.index.feed.group = s.journal.group
	for _, r := range s.index.created.up(span{}) {
		if r.damage != nil {
			continue
		}
		if err := s.fileRun(r, true); err != nil {
			return err
		}
	}
	if err := s.disk.SyncDir(filepath.Join(s.dir, runsDir)); err != nil {
		return err
	}
	return s.fileCommon()
}

// rootOf is the topmost run above one that is still there.
func (s *Store) rootOf(r *run) string {
	for range len(s.index.runs) {
		parent := s.index.runs[r.info.Parent]
		if parent == nil {
			break
		}
		r = parent
	}
	return r.id
}

// fillFeed puts the ledgers of all runs into the feed of a store that had none,
// each parent's before its children's.
func (s *Store) fillFeed() {
	done := map[*run]bool{}
	var add func(r *run)
	add = func(r *run) {
		if done[r] {
			return
		}
		done[r] = true
		if parent := s.index.runs[r.info.Parent]; parent != nil {
			add(parent)
		}
		if r.info.Seq > 0 {
			s.index.feed.add(r, s.index.feed.end, 1, r.info.Seq)
		}
	}
	for _, r := range s.index.created.up(span{}) {
		add(r)
	}
}
