package file

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bide-dev/bide"
)

// segment is one file of the journal, as it was found.
type segment struct {
	path   string
	first  int64 // the group that its name has
	frames []frame
	gaps   []gap
	end    int // where the filled space begins
}

// replay applies the groups of the journal to what does not have them yet.
func (s *Store) replay(version int) error {
	segments, err := s.readSegments()
	if err != nil {
		return err
	}
	if segments, err = s.cutTail(segments); err != nil {
		return err
	}
	j := s.journal
	j.group = max(s.index.mail.group, s.index.feed.group)
	for _, r := range s.index.runs {
		j.group = max(j.group, r.group)
	}
	for _, seg := range segments {
		for _, f := range seg.frames {
			if err := s.redo(f, version > 1); err != nil {
				s.log.Error("a group of the journal cannot be read", "file", seg.path, "group", f.group, "error", err)
			}
			j.group = max(j.group, f.group)
		}
		if err := s.flushFile(seg.path); err != nil { // it may be in the cache of the system only
			return err
		}
		j.group = max(j.group, seg.first)
		j.old = append(j.old, seg.path)
		j.size.Add(int64(seg.end))
	}
	j.synced = j.group
	return nil
}

// readSegments reads the journal.
func (s *Store) readSegments() (out []segment, err error) {
	s.nameStrangers(s.journal.dir, func(e dirEntry) bool { return segmentNumber(e) > 0 })
	entries, err := s.disk.ReadDir(s.journal.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		seg := segment{path: filepath.Join(s.journal.dir, e.name), first: segmentNumber(e)}
		if seg.first == 0 {
			continue
		}
		text, err := readFile(s.disk, seg.path)
		if err != nil {
			return nil, err
		}
		seg.frames, seg.gaps, seg.end = parseFrames(text)
		out = append(out, seg)
	}
	slices.SortFunc(out, func(a, b segment) int { return cmp.Compare(a.first, b.first) })
	return out, nil
}

// segmentNumber is the first group of a segment, from its name; 0 when it is none.
func segmentNumber(e dirEntry) int64 {
	digits, ok := strings.CutSuffix(e.name, segmentSuffix)
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || e.dir || n < 1 || segmentName(n) != e.name {
		return 0
	}
	return n
}

// cutTail returns what counts of the journal: all up to the first gap after
// which nothing was acknowledged. The rest is cut off. Other gaps are damage, which
// is said; the runs concerned are found when their commits do not follow each other.
func (s *Store) cutTail(segments []segment) ([]segment, error) {
	for i := range segments {
		seg := &segments[i]
		before := seg.first - 1
		for _, g := range seg.gaps {
			if g.frames > 0 {
				before = seg.frames[g.frames-1].group
			}
			if next := after(segments[i:], g.frames); next != nil && next.synced > before {
				s.log.Error("the journal is damaged", "file", seg.path, "offset", g.from, "bytes", g.to-g.from)
				continue
			}
			for _, later := range slices.Backward(segments[i+1:]) {
				s.sayCut(later.path, "", 0, int64(later.end))
				if err := s.disk.Remove(later.path); err != nil {
					return nil, err
				}
			}
			s.sayCut(seg.path, "", int64(g.from), int64(seg.end-g.from))
			seg.frames, seg.end = seg.frames[:g.frames], g.from
			return segments[:i+1], s.truncate(seg.path, int64(g.from))
		}
	}
	return segments, nil
}

// after is the first frame after a gap that follows n frames of the first segment, or nil.
func after(segments []segment, n int) *frame {
	for _, seg := range segments {
		if n < len(seg.frames) {
			return &seg.frames[n]
		}
		n = 0
	}
	return nil
}

func (s *Store) truncate(path string, size int64) error {
	f, err := s.disk.Open(path, os.O_RDWR)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

func (s *Store) flushFile(path string) error {
	f, err := s.disk.Open(path, os.O_RDWR)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", path, err)
	}
	return f.Close()
}

// redo applies a group, except to what has it already. It feeds the feed unless
// the store is of a version that had none.
func (s *Store) redo(f frame, feeds bool) error {
	lines, err := parseLines(f.body)
	if err != nil {
		return err
	}
	b := newBatch(&s.index)
	feedAfter := s.index.feed.end
	for i := range lines {
		l := &lines[i]
		switch {
		case l.FeedAfter != nil:
			feedAfter = *l.FeedAfter
		case l.Commit != nil:
			s.redoCommit(b, l, f.group)
		case l.Run != nil:
			s.touched(l.Run.ID)
			if r := b.row(l.Run.ID); r != nil && r.group < f.group {
				b.change(l.Run.ID).next.setMark(l.Run)
			}
		case l.Deleted != nil:
			s.redoDelete(b, l, f.group)
		}
		if (l.Sent != nil || l.Taken != nil || l.Deleted != nil || l.Known != nil) && s.index.mail.group < f.group {
			s.index.mail.apply(&l.line)
			s.index.mail.pending = append(s.index.mail.pending, l.text...)
		}
	}
	s.index.mail.group = max(s.index.mail.group, f.group)
	for _, ch := range b.order {
		ch.next.group = f.group
		s.publish(ch)
	}
	if feeds && s.index.feed.group < f.group {
		for _, e := range b.feed { // the feed on the disk may still have what another run had under the same id
			if r := s.index.runs[e.RunID]; e.Seq == 1 && r != nil && r.number > 0 {
				s.index.feed.kill(e.RunID)
			}
		}
		s.publishFeed(b, feedAfter, f.group)
	}
	return nil
}

// redoDelete ends a run again, unless the one that is there was begun later.
func (s *Store) redoDelete(b *batch, l *parsed, group int64) {
	id := l.Deleted.ID
	name, err := folder(id)
	if err != nil {
		s.log.Error("a deletion in the journal is of no run", "run", id, "group", group)
		return
	}
	if s.index.feed.group < group {
		b.unfeed(id)
	}
	r := b.row(id)
	if r != nil && r.group >= group {
		if s.index.feed.group < group {
			s.index.feed.kill(id)
		}
		return
	}
	s.removals[id] = filepath.Join(s.dir, runsDir, name) // some of it may be there, even if no row is
	if r != nil {
		b.change(id).deletes = true
		delete(b.changes, id)
		b.deleted[id] = true
	}
}

// touched has the next checkpoint write a run, even if its row has all of the
// journal: it may not be on the disk.
func (s *Store) touched(id string) {
	if r := s.index.runs[id]; r != nil && r.info.ID != "" {
		s.dirty[r] = true
	}
}

// redoCommit applies one commit of a group.
func (s *Store) redoCommit(b *batch, l *parsed, group int64) {
	c := l.Commit
	id := c.Run.ID
	if _, err := folder(id); err != nil || len(l.records) == 0 {
		s.log.Error("a commit in the journal is of no run", "run", id, "group", group)
		return
	}
	n := int64(len(l.records))
	b.feed = append(b.feed, entered{feedLine{b.fed + 1, id, c.Run.Seq - n + 1, n}, nil})
	b.fed += n
	s.touched(id)
	_, prev, ok := link(l.records[0])
	from := bide.Position{Seq: c.Run.Seq - int64(len(l.records)), Head: prev}
	if r := b.index.runs[id]; r != nil && r.info.ID == "" {
		if from.Seq != 0 {
			return // its row is damaged
		}
		r.damage, r.ledger = nil, ledger{} // all of it is in the journal
	}
	at := b.row(id)
	if at != nil && at.group >= group {
		return
	}
	if at == nil {
		at = &row{}
	}
	if at.info.Seq != from.Seq || ok && at.info.Head != from.Head {
		if r := b.index.runs[id]; r != nil && r.damage == nil {
			r.damage = errDamaged(id, "%s has lost commits: it continues run %s after record %d, the run is at %d", s.journal.dir, id, from.Seq, at.info.Seq)
			s.log.Error("a run is damaged", "run", id, "error", r.damage)
		}
		return
	}
	d := delta{info: c.Run, records: l.records, opened: c.Opened, closed: c.Closed, command: (*bide.CommandRecord)(c.Command), mailSeen: c.MailSeen, claimed: c.Claimed}
	ch := b.change(id)
	ch.next.apply(&d)
	ch.add(&d)
}
