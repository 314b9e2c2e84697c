package bide

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
)

// Watch yields a run's records in order from number from on (0 and 1 both mean
// all): first those that are stored, then each that comes, without gap or
// double, whichever process makes them. It ends after the record with which the run
// has ended, when ctx ends, or with an error as its last pair. Records made by this
// runtime come at once, those of other processes with a hint of the store (Hinter) or within Options.Poll.
//
// A run that has ended may get further records: by Retry, or by an effect.late. Watch does not wait for them.
func (rt *Runtime) Watch(ctx context.Context, runID string, from int64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		news := rt.listen(func(c *Commit) bool { return c.RunID == runID })
		defer news.stop()
		w := &watcher{next: max(from, 1), yield: yield}
		if err := rt.watch(ctx, runID, w, news); err != nil && ctx.Err() == nil && !errors.Is(err, errEnough) {
			yield(Record{}, err)
		}
	}
}

func (rt *Runtime) watch(ctx context.Context, runID string, w *watcher, news *news) error {
	run, err := rt.Get(ctx, runID)
	if err != nil {
		return err
	}
	w.ended = run.Status.Final() && w.next > run.Seq // else the records tell
	last := glance{rt: rt, runID: runID}
	for ctx.Err() == nil {
		if err := last.begin(ctx); err != nil {
			return err
		}
		for rec, err := range rt.records(ctx, runID, w.next, watchPager()) {
			if err != nil {
				return err
			}
			if !w.give(rec) {
				return errEnough
			}
		}
		for following := true; following; {
			if w.ended {
				return nil
			}
			news.wait(ctx)
			if commits := news.take(); len(commits) > 0 {
				if following, err = w.follow(commits); err != nil {
					return err
				}
				continue
			}
			stale, err := last.stale(ctx)
			if err != nil {
				return err
			}
			following = !stale
		}
	}
	return nil
}

// watcher is a Watch at work.
type watcher struct {
	next  int64 // the record to give next
	ended bool  // the last one given ended the run
	yield func(Record, error) bool
}

// give hands a record out, and reports whether more are wanted.
func (w *watcher) give(rec Record) bool {
	if !w.yield(rec, nil) {
		return false
	}
	w.next = rec.Seq + 1
	switch rec.Kind {
	case KindRunCompleted, KindRunFailed, KindRunCancelled:
		w.ended = true
	case KindRunRetried:
		w.ended = false
	}
	return true
}

// errEnough says that no more records are wanted.
var errEnough = errors.New("enough")

// follow gives the records of commits of this process, and reports whether they
// tell all that there is: if not, the store must be read.
func (w *watcher) follow(commits []*Commit) (bool, error) {
	for _, c := range commits {
		if c.Expect.Seq >= w.next || c.Delete {
			return false, nil
		}
		for _, rec := range c.Records {
			if rec.Seq == w.next && !w.give(rec) {
				return false, errEnough
			}
		}
	}
	return true, nil
}

// Await waits until a run has ended, whichever process drives it, and returns
// it. It fails with ErrNotFound, the store's error, or ctx's. For a run that this process
// drives it reads nothing from the store.
func (rt *Runtime) Await(ctx context.Context, runID string) (*Run, error) {
	news := rt.listen(func(c *Commit) bool { return c.RunID == runID && (c.Info.Status.Final() || c.Delete) })
	defer news.stop()
	s := rt.open(runID)
	defer rt.release(s)
	last, look := glance{rt: rt, runID: runID}, true
	for ctx.Err() == nil {
		commits := news.take()
		for _, c := range commits {
			if run := s.at(c.Info.Position()); run != nil {
				return run, nil
			}
		}
		if len(commits) > 0 || look && len(s.ticking) == 0 { // else a tick at work here will tell
			if err := last.begin(ctx); err != nil {
				return nil, err
			}
			run, err := rt.Get(ctx, runID)
			if err != nil || run.Status.Final() {
				return run, err
			}
			look = false
		}
		if news.wait(ctx); !look {
			var err error
			if look, err = last.stale(ctx); err != nil {
				return nil, err
			}
		}
	}
	return nil, context.Cause(ctx)
}

// FeedEntry is a record of any run.
type FeedEntry struct {
	Pos    int64  `json:"pos"` // its position in the store's feed, to go on after
	RunID  string `json:"run_id"`
	Record Record `json:"record"`
}

// WatchAll yields the records of all runs, or of a tree of runs (q.Root), after
// a position of the store's feed: first those that are stored, then each that comes,
// without gap or double, whichever process makes them; see Store.Feed for their order and
// Watch for how soon they come. q.After is FeedEnd for those to come only. It ends with ctx, or
// with an error as its last pair; the Pos of the last entry is where to go on.
func (rt *Runtime) WatchAll(ctx context.Context, q FeedQuery) iter.Seq2[FeedEntry, error] {
	return func(yield func(FeedEntry, error) bool) {
		for page, err := range rt.follow(ctx, q) {
			if err != nil {
				yield(FeedEntry{}, err)
				return
			}
			for _, r := range page.Records {
				rec, err := rt.parse(r.Body)
				if !yield(FeedEntry{Pos: r.Pos, RunID: r.RunID, Record: rec}, err) || err != nil {
					return
				}
			}
		}
	}
}

// WaitChange is an open wait, or one that is no longer open.
type WaitChange struct {
	Wait   Wait `json:"wait"`
	Closed bool `json:"closed,omitempty"`
}

// WatchWaits yields the open waits that q selects, oldest first, and then each
// that is opened or closed, whichever process does it. A wait that is opened and closed
// again in quick succession may be left out. q's Limit and Cursor mean nothing here. It ends
// with ctx, or with an error as its last pair; called again, it begins with what is open then.
func (rt *Runtime) WatchWaits(ctx context.Context, q WaitQuery) iter.Seq2[WaitChange, error] {
	return func(yield func(WaitChange, error) bool) {
		if err := rt.watchWaits(ctx, q, yield); err != nil && ctx.Err() == nil {
			yield(WaitChange{}, err)
		}
	}
}

func (rt *Runtime) watchWaits(ctx context.Context, q WaitQuery, yield func(WaitChange, error) bool) error {
	end, err := rt.store.Feed(ctx, FeedQuery{After: FeedEnd}) // before the listing: what comes meanwhile is looked at again
	if err != nil {
		return err
	}
	q.Limit, q.Cursor = 1000, ""
	open := map[string]map[string]Wait{} // by run and id
	for w, err := range rt.allWaits(ctx, q) {
		if err != nil {
			return err
		}
		if run, ok := WaitRun(w.ID); ok {
			keep(open, run, w)
		}
		if !yield(WaitChange{Wait: w}, nil) {
			return nil
		}
	}
	for page, err := range rt.follow(ctx, FeedQuery{After: end.Next, Root: q.Root}) {
		if err != nil {
			return err
		}
		touched, err := touchedWaits(page, open, q.Run)
		if err != nil {
			return err
		}
		for _, run := range touched {
			one := q
			one.Run = run
			is := map[string]Wait{}
			for w, err := range rt.allWaits(ctx, one) {
				if err != nil {
					return err
				}
				is[w.ID] = w
				if _, known := open[run][w.ID]; !known && !yield(WaitChange{Wait: w}, nil) {
					return nil
				}
			}
			for _, id := range slices.Sorted(maps.Keys(open[run])) {
				if _, still := is[id]; !still && !yield(WaitChange{Wait: open[run][id], Closed: true}, nil) {
					return nil
				}
			}
			if open[run] = is; len(is) == 0 {
				delete(open, run)
			}
		}
	}
	return nil
}

func keep(open map[string]map[string]Wait, run string, w Wait) {
	if open[run] == nil {
		open[run] = map[string]Wait{}
	}
	open[run][w.ID] = w
}

// touchedWaits lists the runs whose open waits a page may have changed: those
// that opened one, and any record of those that had some.
func touchedWaits(page *FeedPage, open map[string]map[string]Wait, only string) (runs []string, err error) {
	for _, r := range page.Records {
		if only != "" && r.RunID != only || slices.Contains(runs, r.RunID) {
			continue
		}
		if len(open[r.RunID]) == 0 {
			rec, err := ParseRecord(r.Body)
			if err != nil {
				return nil, err
			}
			if rec.Kind != KindWaitOpened && rec.Kind != KindEffectFailed {
				continue
			}
		}
		runs = append(runs, r.RunID)
	}
	return runs, nil
}

func (rt *Runtime) allWaits(ctx context.Context, q WaitQuery) iter.Seq2[Wait, error] {
	return func(yield func(Wait, error) bool) {
		for {
			page, err := rt.store.Waits(ctx, q)
			if err != nil {
				yield(Wait{}, err)
				return
			}
			for _, w := range page.Waits {
				if !yield(w, nil) {
					return
				}
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				return
			}
		}
	}
}

// follow yields the pages of the feed that hold something, and waits for more.
func (rt *Runtime) follow(ctx context.Context, q FeedQuery) iter.Seq2[*FeedPage, error] {
	return func(yield func(*FeedPage, error) bool) {
		news := rt.listen(func(c *Commit) bool { return c.RunID != "" })
		defer news.stop()
		pages := watchPager()
		if q.Limit > 0 {
			pages.limit, pages.most = min(q.Limit, pages.limit), q.Limit
		}
		near := false // the end of the feed
		for ctx.Err() == nil {
			q.Limit = pages.limit
			page, err := rt.feed(ctx, q, near)
			if err != nil {
				if ctx.Err() == nil {
					yield(nil, err)
				}
				return
			}
			if len(page.Records) > 0 && !yield(page, nil) {
				return
			}
			pages.read(page.bytes())
			if q.After, near = page.Next, !page.More; near {
				news.wait(ctx)
			}
		}
	}
}

// feed reads a page of the feed; near its end, what all who watch have read is looked at first.
func (rt *Runtime) feed(ctx context.Context, q FeedQuery, near bool) (*FeedPage, error) {
	if near {
		page, kept, err := rt.tail.read(ctx, q.After)
		if err != nil || kept && (q.Root == "" || len(page.Records) == 0) {
			return page, err
		}
	}
	return rt.store.Feed(ctx, q)
}

// news wakes a subscriber after commits of this process and hints of others.
type news struct {
	rt   *Runtime
	some chan struct{} // holds a token when there may be something new
	stop func()

	mu      sync.Mutex
	commits []*Commit // not yet taken; the oldest maxNews
}

// maxNews bounds the commits that are kept for a subscriber. One that falls behind reads the store.
const maxNews = 64

func (rt *Runtime) listen(concerns func(*Commit) bool) *news {
	n := &news{rt: rt, some: make(chan struct{}, 1)}
	stopCommits := rt.Observe(func(notice Notice) {
		if !concerns(notice.Commit) {
			return
		}
		n.mu.Lock()
		if len(n.commits) < maxNews {
			n.commits = append(n.commits, notice.Commit)
		}
		n.mu.Unlock()
		n.tell()
	})
	stopHints := rt.OnHint(func(bool) { n.tell() })
	n.stop = func() { stopCommits(); stopHints() }
	return n
}

// take returns the commits since the last call, up to the first that had no place.
func (n *news) take() []*Commit {
	n.mu.Lock()
	defer n.mu.Unlock()
	commits := n.commits
	n.commits = nil
	return commits
}

func (n *news) tell() {
	select {
	case n.some <- struct{}{}:
	default:
	}
}

// wait blocks until there may be something new, Options.Poll is over or ctx ends.
func (n *news) wait(ctx context.Context) {
	stop := n.rt.opts.Clock.AfterFunc(n.rt.opts.Poll, n.tell)
	defer stop()
	select {
	case <-n.some:
	case <-ctx.Done():
	}
}
