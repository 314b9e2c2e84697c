package file

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/bide-dev/bide"
)

// feed is the order of all records, which is that of the journal. The records
// themselves are in the ledgers. It is kept in the file feed.jsonl, a line per commit, and in memory.
type feed struct {
	end     int64 // the last position given, also when its run is gone
	written int64 // the last position that is in the file or in pending
	entries []fed
	gone    int // runs that were deleted since their entries were removed
	common
}

// fed is a piece of a run's ledger: so many records have positions that follow each other.
type fed struct {
	pos     int64 // of the first
	seq     int64 // of the first
	records int64
	run     *run // nil when it is known to be gone
}

// feedLine is an entry in the file.
type feedLine struct {
	Pos     int64  `json:"pos"`
	RunID   string `json:"run_id"`
	Seq     int64  `json:"seq"`
	Records int64  `json:"records"`
}

func newFeed() feed { return feed{common: common{base: "feed", file: "feed" + commonSuffix}} }

// add puts records of a run after a position; the feed ends there then, unless it goes on.
func (f *feed) add(r *run, after, seq, records int64) {
	e := fed{after + 1, seq, records, r}
	f.end = max(f.end, after+records)
	if r == nil {
		return
	}
	if n := len(f.entries) - 1; n >= 0 && f.entries[n].pos > f.written && f.entries[n].run == r &&
		f.entries[n].pos+f.entries[n].records == e.pos && f.entries[n].seq+f.entries[n].records == seq {
		f.entries[n].records += records
		return
	}
	f.entries = append(f.entries, e)
}

// kill makes the feed forget what it has of a run so far. It goes through all of
// it, which is for opening a store only: otherwise the run says that it is gone.
func (f *feed) kill(runID string) {
	for i := range f.entries {
		if r := f.entries[i].run; r != nil && r.id == runID {
			f.entries[i].run = nil
		}
	}
}

// live reports whether an entry is of a run that is there.
func (e *fed) live() bool { return e.run != nil && !e.run.gone }

// prune removes what is of runs that are gone, when there are enough of them to
// be worth going through all.
func (f *feed) prune() {
	if f.gone > len(f.entries)/1000 {
		f.entries = slices.DeleteFunc(f.entries, func(e fed) bool { return !e.live() })
		f.gone = 0
	}
}

// write adds the entries that the file does not have to what it is to get.
func (f *feed) write() {
	f.prune()
	from, _ := slices.BinarySearchFunc(f.entries, f.written+1, func(e fed, pos int64) int { return cmp.Compare(e.pos, pos) })
	for i := range f.entries[from:] {
		if e := &f.entries[from+i]; e.live() {
			f.pending = e.append(f.pending)
		}
	}
	f.written = f.end
}

func (e *fed) append(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"pos":`...), e.pos, 10)
	b, err := appendText(append(b, `,"run_id":`...), e.run.id)
	if err != nil {
		panic(err) // a string is always JSON
	}
	b = strconv.AppendInt(append(b, `,"seq":`...), e.seq, 10)
	b = strconv.AppendInt(append(b, `,"records":`...), e.records, 10)
	return append(b, "}\n"...)
}

// whole is the text of all that the file should have.
func (f *feed) whole() (text []byte, err error) {
	for i := range f.entries {
		if e := &f.entries[i]; e.live() {
			text = e.append(text)
		}
	}
	return text, nil
}

// from is the index of the first entry with records after a position.
func (f *feed) from(after int64) int {
	i, _ := slices.BinarySearchFunc(f.entries, after, func(e fed, after int64) int {
		return cmp.Or(cmp.Compare(e.pos+e.records-1, after), -1)
	})
	return i
}

// maxPassed is how many entries of other runs a call passes over in search of a tree.
const maxPassed = 10_000

// Feed implements bide.Store.
func (s *Store) Feed(ctx context.Context, q bide.FeedQuery) (*bide.FeedPage, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	page, pieces := s.lookFeed(&q)
	for _, p := range pieces {
		raws, err := s.readPiece(ctx, p)
		if err != nil {
			return nil, err
		}
		if raws == nil {
			continue
		}
		for _, e := range p.entries {
			for i := range e.records {
				page.Records = append(page.Records, bide.FeedRecord{Pos: e.pos + i, RunID: p.view.id, Body: raws[e.seq+i-p.from]})
			}
		}
	}
	slices.SortFunc(page.Records, func(a, b bide.FeedRecord) int { return cmp.Compare(a.Pos, b.Pos) })
	return page, nil
}

// piece is what a page has of one run: entries whose records follow each other in its ledger.
type piece struct {
	run     *run
	view    view
	from    int64 // the first record
	records int64
	entries []fed
}

// lookFeed finds what a page has, without the records.
func (s *Store) lookFeed(q *bide.FeedQuery) (*bide.FeedPage, []*piece) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f := &s.index.feed
	page := &bide.FeedPage{Next: q.After}
	if q.After == bide.FeedEnd {
		page.Next = f.end
		return page, nil
	}
	left, passed := int64(bide.PageLimit(q.Limit)), 0
	byRun := map[*run]*piece{}
	var pieces []*piece
	i := f.from(q.After)
	for ; i < len(f.entries) && left > 0 && passed < maxPassed; i++ {
		e := f.entries[i]
		if skip := q.After + 1 - e.pos; skip > 0 { // read before
			e = fed{e.pos + skip, e.seq + skip, e.records - skip, e.run}
		}
		if !e.live() || !isOf(e.run.info.Root, q.Root) {
			page.Next, passed = e.pos+e.records-1, passed+1
			continue
		}
		if e.records > left {
			e.records = left
			i-- // there is more of it
			left = 0
		} else {
			left -= e.records
		}
		page.Next = e.pos + e.records - 1
		p := byRun[e.run]
		if p == nil {
			p = &piece{run: e.run, view: e.run.view(e.seq), from: e.seq}
			byRun[e.run] = p
			pieces = append(pieces, p)
		}
		p.entries, p.records = append(p.entries, e), e.seq+e.records-p.from
	}
	page.More = i < len(f.entries)
	return page, pieces
}

// readPiece reads a piece's records. Those of a run that is gone meanwhile, or
// damaged, are left out: they must not keep the others from being read.
func (s *Store) readPiece(ctx context.Context, p *piece) ([][]byte, error) {
	raws, places, err := p.view.read(s.disk, p.from, int(p.records))
	if err == nil && int64(len(raws)) == p.records {
		s.remember(p.view.id, places)
		return raws, nil
	}
	s.mu.RLock()
	gone := p.run.gone
	s.mu.RUnlock()
	switch {
	case gone:
		return nil, nil
	case err == nil, errors.Is(err, bide.ErrCorrupt):
		s.log.ErrorContext(ctx, "records of a damaged run are left out of the feed", "run", p.view.id, "error", err)
		return nil, nil
	}
	return nil, err
}

// readFeed reads the part of the file that counts.
func (s *Store) readFeed() error {
	f := &s.index.feed
	text, err := s.readCommon(&f.common)
	if err != nil {
		return err
	}
	number := 0
	seen := map[string]bool{}
	for text := range bytes.Lines(text) {
		number++
		var l feedLine
		if err := json.Unmarshal(text, &l); err != nil || l.Records < 1 || l.Pos <= f.written {
			s.log.Error("a line of the feed cannot be read", "file", f.file, "line", number, "error", err)
			continue
		}
		if l.Seq == 1 && seen[l.RunID] {
			f.kill(l.RunID) // another one had its id before
		}
		seen[l.RunID] = true
		f.add(s.index.runs[l.RunID], l.Pos-1, l.Seq, l.Records)
		f.written = l.Pos + l.Records - 1
	}
	f.written = f.end
	return nil
}
