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
	runs    []*run    // by their number; nil for those that are gone, and for number 0
	gone    int       // runs that were deleted since their entries were removed
	removed int       // entries that were removed since the file was written anew
	spare   []entered // reused
	common
}

// fed is a piece of a run's ledger: so many records have positions that follow
// each other. There are many of them: they have no pointers to be followed by the garbage collector.
type fed struct {
	pos     int64 // of the first
	seq     int64 // of the first
	records int32
	run     int32 // its number; 0 when it is known to be gone
}

// last is the position of the last record.
func (e *fed) last() int64 { return e.pos + int64(e.records) - 1 }

// entered is an entry of a batch, whose positions begin with 1, and the change that it belongs to.
type entered struct {
	feedLine
	change *change // nil on replay
}

// feedLine is an entry in the file.
type feedLine struct {
	Pos     int64  `json:"pos"`
	RunID   string `json:"run_id"`
	Seq     int64  `json:"seq"`
	Records int64  `json:"records"`
}

func newFeed() feed {
	return feed{runs: make([]*run, 1), common: common{base: "feed", file: "feed" + commonSuffix}}
}

// add puts records of a run after a position; the feed ends there then, unless it goes on.
func (f *feed) add(r *run, after, seq, records int64) {
	f.end = max(f.end, after+records)
	if r == nil {
		return
	}
	if r.number == 0 {
		r.number = int32(len(f.runs))
		f.runs = append(f.runs, r)
	}
	if n := len(f.entries) - 1; n >= 0 {
		e := &f.entries[n]
		if e.run == r.number && e.pos > f.written && e.last() == after && e.seq+int64(e.records) == seq {
			e.records += int32(records)
			return
		}
	}
	f.entries = append(f.entries, fed{after + 1, seq, int32(records), r.number})
}

// drop forgets a run that is gone.
func (f *feed) drop(r *run) {
	if r.number > 0 {
		f.runs[r.number] = nil
		f.gone++
	}
}

// kill makes the feed forget what it has of a run so far. It goes through all of
// it, which is for opening a store only: otherwise drop is enough.
func (f *feed) kill(runID string) {
	for i := range f.entries {
		if r := f.runs[f.entries[i].run]; r != nil && r.id == runID {
			f.entries[i].run = 0
		}
	}
}

// prune removes what is of runs that are gone, when there are enough of them to
// be worth going through all.
func (f *feed) prune() {
	if f.gone > len(f.entries)/1000 {
		n := len(f.entries)
		f.entries = slices.DeleteFunc(f.entries, func(e fed) bool { return f.runs[e.run] == nil })
		f.gone, f.removed = 0, f.removed+n-len(f.entries)
	}
}

// write adds the entries that the file does not have to what it is to get.
func (f *feed) write() {
	f.prune()
	from, _ := slices.BinarySearchFunc(f.entries, f.written+1, func(e fed, pos int64) int { return cmp.Compare(e.pos, pos) })
	f.pending = slices.Grow(f.pending, 64*(len(f.entries)-from))
	for i := range f.entries[from:] {
		f.pending = f.appendLine(f.pending, &f.entries[from+i])
	}
	f.written = f.end
}

// appendLine writes the line of an entry, unless its run is gone.
func (f *feed) appendLine(b []byte, e *fed) []byte {
	r := f.runs[e.run]
	if r == nil {
		return b
	}
	b = strconv.AppendInt(append(b, `{"pos":`...), e.pos, 10)
	b, err := appendText(append(b, `,"run_id":`...), r.id)
	if err != nil {
		panic(err) // a string is always JSON
	}
	b = strconv.AppendInt(append(b, `,"seq":`...), e.seq, 10)
	b = strconv.AppendInt(append(b, `,"records":`...), int64(e.records), 10)
	return append(b, "}\n"...)
}

// whole is the text of all that the file should have.
func (f *feed) whole() (text []byte, err error) {
	for i := range f.entries {
		text = f.appendLine(text, &f.entries[i])
	}
	return text, nil
}

// shrinks reports whether most of what the file has is of runs that are gone.
func (f *feed) shrinks() bool { return f.removed > len(f.entries) }

// from is the index of the first entry with records after a position.
func (f *feed) from(after int64) int {
	i, _ := slices.BinarySearchFunc(f.entries, after, func(e fed, after int64) int {
		return cmp.Or(cmp.Compare(e.last(), after), -1)
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
			for i := range int64(e.records) {
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
			e = fed{e.pos + skip, e.seq + skip, e.records - int32(skip), e.run}
		}
		r := f.runs[e.run]
		if r == nil || !isOf(r.info.Root, q.Root) {
			page.Next, passed = e.last(), passed+1
			continue
		}
		if int64(e.records) > left {
			e.records = int32(left)
			i-- // there is more of it
		}
		left -= int64(e.records)
		page.Next = e.last()
		p := byRun[r]
		if p == nil {
			p = &piece{run: r, view: r.view(e.seq), from: e.seq}
			byRun[r] = p
			pieces = append(pieces, p)
		}
		p.entries, p.records = append(p.entries, e), e.seq+int64(e.records)-p.from
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
