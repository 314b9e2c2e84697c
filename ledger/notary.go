package ledger

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/bide-dev/bide"
)

// Notary writes checkpoints while runs go on.
type Notary struct {
	rt    *bide.Runtime
	store bide.Store
	log   *Log
	opts  NotaryOptions
}

// NotaryOptions refines a notary. Nil means the defaults.
type NotaryOptions struct {
	// Every is how long a record may be without a checkpoint. Defaults to 1m.
	Every time.Duration
	// AfterEnd is how long the end of a run may be; ends within that time share a checkpoint. Defaults to 1s.
	AfterEnd time.Duration
	// Logger is told of checkpoints that could not be written. Defaults to none.
	Logger *slog.Logger
}

// NewNotary returns a notary for the runs of a store, which rt drives or watches.
func NewNotary(rt *bide.Runtime, store bide.Store, log *Log, opts *NotaryOptions) *Notary {
	n := &Notary{rt: rt, store: store, log: log}
	if opts != nil {
		n.opts = *opts
	}
	if n.opts.Every <= 0 {
		n.opts.Every = time.Minute
	}
	if n.opts.AfterEnd <= 0 {
		n.opts.AfterEnd = time.Second
	}
	if n.opts.Logger == nil {
		n.opts.Logger = slog.New(slog.DiscardHandler)
	}
	return n
}

// Run writes checkpoints until ctx ends, and a last one then is left to the next
// start: it begins with what has none. A checkpoint that cannot be written is tried again after
// NotaryOptions.Every. It fails when the feed cannot be followed.
func (n *Notary) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	news := make(chan bide.Kind)
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel()
	var failed error
	following.Go(func() {
		defer close(news)
		failed = n.follow(ctx, news)
	})
	due := time.NewTimer(0) // what came while nobody looked
	defer due.Stop()
	at := time.Now()
	for {
		select {
		case kind, ok := <-news:
			if !ok {
				return failed
			}
			wait := n.opts.Every
			if kind == bide.KindRunCompleted || kind == bide.KindRunFailed || kind == bide.KindRunCancelled {
				wait = n.opts.AfterEnd
			}
			if then := time.Now().Add(wait); at.IsZero() || then.Before(at) {
				at = then
				due.Reset(wait)
			}
		case <-due.C:
			at = time.Time{}
			if err := n.Seal(ctx); err != nil && ctx.Err() == nil {
				n.opts.Logger.Error("checkpoint", "err", err)
				at = time.Now().Add(n.opts.Every)
				due.Reset(n.opts.Every)
			}
		}
	}
}

// follow tells of every record that comes.
func (n *Notary) follow(ctx context.Context, news chan<- bide.Kind) error {
	for e, err := range n.rt.WatchAll(ctx, bide.FeedQuery{After: n.log.After()}) {
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case news <- e.Record.Kind:
		case <-ctx.Done():
		}
	}
	return nil
}

// Seal writes checkpoints for all that is in the feed now, and returns when they are durable.
func (n *Notary) Seal(ctx context.Context) error {
	end, err := n.store.Feed(ctx, bide.FeedQuery{After: bide.FeedEnd})
	if err != nil {
		return err
	}
	for n.log.After() < end.Next {
		from := n.log.After()
		leaves, to, err := n.gather(ctx, from)
		if err != nil {
			return err
		}
		if len(leaves) == 0 { // those records are of runs that were deleted since
			return nil
		}
		if _, err := n.log.extend(ctx, leaves, from, to); err != nil {
			return err
		}
	}
	return nil
}

// gatherRecords bounds how many records one checkpoint accounts for.
const gatherRecords = 100_000

// gather reads the feed from a position until it ends or a checkpoint is full: the last record of every run in it.
func (n *Notary) gather(ctx context.Context, from int64) (leaves []Leaf, to int64, err error) {
	at := map[string]int{} // by run: index in leaves
	to = from
	for seen := 0; seen < gatherRecords; {
		page, err := n.store.Feed(ctx, bide.FeedQuery{After: to, Limit: 1000})
		if err != nil {
			return nil, 0, err
		}
		for _, r := range page.Records {
			i, ok := at[r.RunID]
			if !ok {
				if len(leaves) == BatchLeaves {
					return leaves, to, nil
				}
				i = len(leaves)
				at[r.RunID] = i
				leaves = append(leaves, Leaf{})
			}
			rec, err := bide.ParseRecord(r.Body)
			if err != nil {
				return nil, 0, err
			}
			leaves[i] = Leaf{RunID: r.RunID, Seq: rec.Seq, Head: rec.Hash}
			to = r.Pos
		}
		seen += len(page.Records)
		to = page.Next
		if !page.More {
			break
		}
	}
	return leaves, to, nil
}
