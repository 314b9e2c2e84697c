package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bide-dev/bide"
)

// poolDesk changes the documents of pools for the runs of a process. Those that want the same one changed stand in line: whoever is at
// its head makes the changes of all, in one write.
type poolDesk struct {
	docs  bide.Documents
	now   func() time.Time
	mu    sync.Mutex
	lines map[string]*poolLine // by pool: those where somebody stands
}

// poolLine is the line before one document.
type poolLine struct {
	standing int
	waiting  []*poolChange
	head     chan struct{} // holds a token while somebody writes
}

// poolChange is what one run wants changed. When apply fails, it has changed nothing; it may be called again with a newer state.
type poolChange struct {
	apply func(*poolState) error
	done  chan error // takes one
}

// change has the document of a pool changed.
func (d *poolDesk) change(ctx context.Context, p Pool, apply func(*poolState) error) error {
	c := &poolChange{apply, make(chan error, 1)}
	line := d.enter(p.ID, c)
	defer d.leave(p.ID, line, c)
	select {
	case err := <-c.done:
		return err
	case line.head <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-line.head }()
	d.mu.Lock()
	all := line.waiting
	line.waiting = nil
	d.mu.Unlock()
	if len(all) > 0 {
		d.write(context.WithoutCancel(ctx), p, all) // it is not for this run alone
	}
	return <-c.done
}

func (d *poolDesk) enter(pool string, c *poolChange) *poolLine {
	d.mu.Lock()
	defer d.mu.Unlock()
	line := d.lines[pool]
	if line == nil {
		line = &poolLine{head: make(chan struct{}, 1)}
		d.lines[pool] = line
	}
	line.standing++
	line.waiting = append(line.waiting, c)
	return line
}

func (d *poolDesk) leave(pool string, line *poolLine, c *poolChange) {
	d.mu.Lock()
	defer d.mu.Unlock()
	line.waiting = slices.DeleteFunc(line.waiting, func(w *poolChange) bool { return w == c })
	if line.standing--; line.standing == 0 {
		delete(d.lines, pool)
	}
}

// maxConflicts bounds how often a document is written again because another process was faster.
const maxConflicts = 1000

// write makes changes to the document of a pool, and tells each how that went.
func (d *poolDesk) write(ctx context.Context, p Pool, changes []*poolChange) {
	errs, err := []error(nil), error(bide.ErrConflict)
	for n := 0; n < maxConflicts && errors.Is(err, bide.ErrConflict); n++ {
		errs, err = d.writeOnce(ctx, p, changes)
	}
	if err != nil {
		err = fmt.Errorf("pool %s: %w", p.ID, err)
	}
	for i, c := range changes {
		if err != nil {
			c.done <- err
			continue
		}
		c.done <- errs[i]
	}
}

// writeOnce fails with bide.ErrConflict when the document was changed meanwhile. errs are those of the changes.
func (d *poolDesk) writeOnce(ctx context.Context, p Pool, changes []*poolChange) (errs []error, err error) {
	state := poolState{Limits: p.Limits, Runs: map[string]poolShare{}}
	doc := bide.Document{Kind: kindPool, ID: p.ID}
	switch found, err := d.docs.Document(ctx, kindPool, p.ID); {
	case err == nil:
		doc.Rev = found.Rev
		if err := json.Unmarshal(found.Body, &state); err != nil {
			return nil, bide.Permanent(err)
		}
	case !errors.Is(err, bide.ErrNotFound):
		return nil, err
	}
	for _, c := range changes {
		errs = append(errs, c.apply(&state))
	}
	if doc.Body, err = json.Marshal(state); err != nil {
		return nil, bide.Permanent(err)
	}
	doc.UpdatedAt = d.now().UTC().Truncate(time.Microsecond)
	_, err = d.docs.PutDocument(ctx, doc)
	return errs, err
}
