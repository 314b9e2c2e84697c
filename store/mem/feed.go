package mem

import (
	"cmp"
	"context"
	"slices"

	"github.com/bide-dev/bide"
)

// feed holds the records of all runs in the order in which they were committed.
type feed struct {
	entries []entry
	end     int64 // the last position given, also when its run is gone
}

type entry struct {
	pos   int64
	runID string
	raw   []byte
}

func (f *feed) add(c *bide.Commit) {
	for _, rec := range c.Records {
		f.end++
		f.entries = append(f.entries, entry{f.end, c.RunID, rec.Raw})
	}
}

// drop removes the records of a run.
func (f *feed) drop(runID string) {
	f.entries = slices.DeleteFunc(f.entries, func(e entry) bool { return e.runID == runID })
}

// Feed implements bide.Store.
func (s *Store) Feed(ctx context.Context, q bide.FeedQuery) (*bide.FeedPage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, bide.ErrStoreClosed
	}
	if q.After == bide.FeedEnd {
		return &bide.FeedPage{Next: s.feed.end}, nil
	}
	from, _ := slices.BinarySearchFunc(s.feed.entries, q.After+1, func(e entry, pos int64) int { return cmp.Compare(e.pos, pos) })
	looked := s.feed.entries[from:]
	looked = looked[:min(len(looked), bide.PageLimit(q.Limit))]
	out := &bide.FeedPage{Next: q.After, More: from+len(looked) < len(s.feed.entries)}
	for _, e := range looked {
		out.Next = e.pos
		if isOf(s.runs[e.runID].info.Root, q.Root) {
			out.Records = append(out.Records, bide.FeedRecord{Pos: e.pos, RunID: e.runID, Body: e.raw})
		}
	}
	return out, nil
}
