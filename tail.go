package bide

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// tail is the end of the feed as this process has read it, for all that watch: what comes is
// read once, however many wait for it.
type tail struct {
	rt    *Runtime
	heard atomic.Int64  // counts commits of this process and hints of others
	turn  chan struct{} // holds a token while somebody uses the rest

	after  int64       // the position after which pages begin
	end    int64       // the position up to which the feed was read
	pages  []*FeedPage // one after the other, those that hold something
	seen   int64       // heard when there was no more to read
	looked time.Time   // when that was
}

// Bounds of what is kept: pages, and records in each.
const (
	tailPages = 8
	tailLimit = 500
)

func newTail(rt *Runtime) *tail { return &tail{rt: rt, turn: make(chan struct{}, 1)} }

// lock takes the turn; it fails with ctx.
func (t *tail) lock(ctx context.Context) error {
	select {
	case t.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *tail) unlock() { <-t.turn }

func (t *tail) age() time.Duration { return t.rt.opts.Clock.Now().Sub(t.looked) }

// begin returns a position of the feed from which to follow it: its end, or shortly before.
func (t *tail) begin(ctx context.Context) (int64, error) {
	if err := t.lock(ctx); err != nil {
		return 0, err
	}
	defer t.unlock()
	if t.age() <= 2*t.rt.opts.Poll {
		return t.end, nil
	}
	heard, now := t.heard.Load(), t.rt.opts.Clock.Now()
	page, err := t.rt.store.Feed(ctx, FeedQuery{After: FeedEnd})
	if err != nil {
		return 0, err
	}
	t.after, t.end, t.pages, t.seen, t.looked = page.Next, page.Next, nil, heard, now
	return t.end, nil
}

// read returns a page of what follows a position, without records when there is nothing yet. It
// reports false when that is no longer kept. The page is everybody's: it is not to be changed.
func (t *tail) read(ctx context.Context, after int64) (page *FeedPage, kept bool, err error) {
	heard := t.heard.Load()
	if err := t.lock(ctx); err != nil {
		return nil, false, err
	}
	defer t.unlock()
	if after > t.end && t.age() > 2*t.rt.opts.Poll { // nobody has read for a while
		t.after, t.end, t.pages = after, after, nil
	}
	if after < t.after {
		return nil, false, nil
	}
	fresh := t.seen >= heard && t.age() < t.rt.opts.Poll
	for more := !fresh; more && after >= t.end; {
		if more, err = t.extend(ctx); err != nil {
			return nil, false, err
		}
	}
	for _, p := range t.pages {
		if after < p.Next {
			i, _ := slices.BinarySearchFunc(p.Records, after+1, func(r FeedRecord, pos int64) int { return cmp.Compare(r.Pos, pos) })
			return &FeedPage{Records: p.Records[i:], Next: p.Next, More: p.Next < t.end}, true, nil
		}
	}
	return &FeedPage{Next: max(after, t.end)}, true, nil
}

// extend reads the page that follows, and reports whether there is more.
func (t *tail) extend(ctx context.Context) (more bool, err error) {
	heard, now := t.heard.Load(), t.rt.opts.Clock.Now()
	page, err := t.rt.store.Feed(ctx, FeedQuery{After: t.end, Limit: tailLimit})
	if err != nil {
		return false, err
	}
	if !page.More {
		t.seen, t.looked = heard, now
	}
	if t.end = page.Next; len(page.Records) > 0 {
		t.pages = append(t.pages, page)
	}
	if len(t.pages) > tailPages {
		t.after, t.pages = t.pages[0].Next, slices.Delete(t.pages, 0, 1)
	}
	return page.More, nil
}

// glance is when and where in the feed a run was last looked at.
type glance struct {
	rt    *Runtime
	runID string
	pos   int64
	at    time.Time
}

// lookAgain is after how many times Options.Poll without news of a run it is looked at all the
// same: the feed does not tell that one was deleted or cannot be read.
const lookAgain = 30

// begin is called before the run is looked at.
func (g *glance) begin(ctx context.Context) (err error) {
	g.at = g.rt.opts.Clock.Now()
	g.pos, err = g.rt.tail.begin(ctx)
	return err
}

// stale reports whether the run is to be looked at again.
func (g *glance) stale(ctx context.Context) (bool, error) {
	mentioned, err := g.rt.tail.mentions(ctx, g.runID, &g.pos)
	return mentioned || g.rt.opts.Clock.Now().Sub(g.at) >= lookAgain*g.rt.opts.Poll, err
}

// mentions reports whether something may have been recorded of a run since a position, which it moves on.
func (t *tail) mentions(ctx context.Context, runID string, pos *int64) (found bool, err error) {
	for {
		page, kept, err := t.read(ctx, *pos)
		if err != nil {
			return false, err
		}
		if !kept {
			return true, nil
		}
		found = found || slices.ContainsFunc(page.Records, func(r FeedRecord) bool { return r.RunID == runID })
		if *pos = page.Next; !page.More {
			return found, nil
		}
	}
}
