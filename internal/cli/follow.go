package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bide-dev/bide"
)

// follower draws what happens in a run and in the runs that it waits for, and
// asks the person at the terminal what they wait for.
type follower struct {
	b      backend
	t      *terminal
	person bool // somebody can be asked
	cmd    bide.Command

	root     string
	news     chan news
	watching map[string]bool
	drawn    string           // the run of the last line
	quiet    <-chan time.Time // when to see whether nothing can happen any more; nil when it is known that something can
	open     []bide.Wait      // waits to be put to the person, oldest first
	asked    *asked
}

// maxWatched is how many runs of a tree are drawn. The others still run.
const maxWatched = 50

// quiet is how long no record comes before that says that a run may wait for somebody: so long, what its children do is drawn.
const quiet = 150 * time.Millisecond

// news is a record of a run, or the end of watching it.
type news struct {
	run string
	rec bide.Record
	end bool
	err error
}

// asked is the question that the person is being asked.
type asked struct {
	wait   *bide.Wait
	cancel context.CancelCauseFunc
	done   chan error
}

// Why a question is taken back, and why nobody is asked any more.
var (
	errGone     = errors.New("the wait was resolved elsewhere")
	errTimedOut = errors.New("the time to wait is over")
	errStuck    = errors.New("the run waits for somebody")
)

// follow draws a run until it ends, and returns it: from its beginning, or what comes after the record that it was read at.
// It fails with errStuck when the run waits for somebody who is not here, and with the cause of ctx's end.
func (f *follower) follow(ctx context.Context, run *bide.Run, goOn bool) (*bide.Run, error) {
	ctx, stop := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer func() { f.takeBack(context.Canceled) }()
	defer stop()
	f.root, f.news, f.watching = run.ID, make(chan news), map[string]bool{}
	if goOn {
		if err := f.goOn(ctx, &watchers, run); err != nil {
			return nil, err
		}
	} else {
		f.watch(ctx, &watchers, run.ID, 1)
	}
	look := time.NewTicker(2 * time.Second)
	defer look.Stop()
	for {
		if err := f.askNext(ctx); err != nil {
			return nil, err
		}
		var answered chan error
		if f.asked != nil {
			answered = f.asked.done
		}
		select {
		case n := <-f.news:
			if n.err != nil {
				return nil, n.err
			}
			if n.end {
				if n.run == f.root {
					return f.b.Run(ctx, f.root, 0)
				}
				continue
			}
			if err := f.take(ctx, &watchers, &n); err != nil {
				return nil, err
			}
		case err := <-answered:
			f.asked = nil
			if err != nil {
				return nil, err
			}
		case <-f.quiet:
			f.quiet = nil
			if err := f.stuck(ctx); err != nil {
				return nil, err
			}
		case <-look.C:
			why, err := setAside(ctx, f.b, f.root)
			if err == nil && why != "" {
				err = &problem{code: exitError, what: fmt.Sprintf("run %s was set aside", f.root), why: why, next: "bide why " + f.root}
			}
			if err != nil {
				return nil, err
			}
		case <-ctx.Done():
			f.takeBack(context.Cause(ctx))
			return nil, context.Cause(ctx)
		}
	}
}

func (f *follower) watch(ctx context.Context, watchers *sync.WaitGroup, id string, from int64) {
	if f.watching[id] || len(f.watching) >= maxWatched {
		return
	}
	f.watching[id] = true
	send := func(n news) bool {
		select {
		case f.news <- n:
			return true
		case <-ctx.Done():
			return false
		}
	}
	watchers.Go(func() {
		for rec, err := range f.b.Records(ctx, id, from, true) {
			if ctx.Err() != nil || !send(news{run: id, rec: rec, err: err}) || err != nil {
				return
			}
		}
		send(news{run: id, end: true})
	})
}

// goOn watches a run from the record that it was read at, and those that it waits for from where they are.
func (f *follower) goOn(ctx context.Context, watchers *sync.WaitGroup, run *bide.Run) error {
	f.watch(ctx, watchers, run.ID, run.Seq+1)
	for _, w := range run.Waits {
		if asks(w.Kind) {
			f.open = append(f.open, w)
		}
		if child, ok := childOf(&w); ok && len(f.watching) < maxWatched {
			run, err := f.b.Run(ctx, child, 0)
			if errors.Is(err, bide.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if err := f.goOn(ctx, watchers, run); err != nil {
				return err
			}
		}
	}
	f.quiet = time.After(quiet)
	return nil
}

// take draws a record and notes what it means for the questions.
func (f *follower) take(ctx context.Context, watchers *sync.WaitGroup, n *news) error {
	line := recordLine(&n.rec, f.t.styled)
	if n.run != f.drawn && f.drawn != "" {
		line = painted(f.t.styled, faint, "run "+n.run) + "\n" + line
	}
	f.drawn = n.run
	data, err := n.rec.Decode()
	if err != nil && !n.rec.IsSealed() {
		return err
	}
	switch d := data.(type) {
	case *bide.Wait:
		if child, ok := childOf(d); ok {
			f.watch(ctx, watchers, child, 1)
		}
		if asks(d.Kind) {
			f.open = append(f.open, *d)
		}
	case *bide.WaitResolved:
		f.close(func(w *bide.Wait) bool { return w.ID == d.WaitID })
	case *bide.RunCompleted, *bide.RunFailed:
		f.close(func(w *bide.Wait) bool { return strings.HasPrefix(w.ID, n.run+".") })
	}
	if n.rec.Kind == bide.KindRunCancelled {
		f.close(func(w *bide.Wait) bool { return strings.HasPrefix(w.ID, n.run+".") })
	}
	f.quiet = time.After(quiet)
	return f.t.say(line)
}

// close takes waits off the list, and the question back when it was about one of them.
func (f *follower) close(gone func(*bide.Wait) bool) {
	f.open = slices.DeleteFunc(f.open, func(w bide.Wait) bool { return gone(&w) })
	if f.asked != nil && gone(f.asked.wait) {
		f.takeBack(errGone)
	}
}

func (f *follower) takeBack(why error) {
	if f.asked != nil {
		f.asked.cancel(why)
		<-f.asked.done
		f.asked = nil
	}
}

// stuck fails when nothing can happen any more without somebody who is not at this terminal.
func (f *follower) stuck(ctx context.Context) error {
	run, err := f.b.Run(ctx, f.root, 0)
	if err != nil || run.Status.Final() {
		return err
	}
	if run.Status == bide.StatusPaused || !f.person && f.waitsForOthers(ctx, run, 0) {
		return errStuck
	}
	return nil
}

// waitsForOthers reports whether every wait of a run, and of those it waits for, needs something from outside.
func (f *follower) waitsForOthers(ctx context.Context, run *bide.Run, depth int) bool {
	if run.Status == bide.StatusPaused {
		return true
	}
	if run.Status != bide.StatusWaiting {
		return false
	}
	for _, w := range run.Waits {
		child, ok := childOf(&w)
		if !ok {
			if w.Kind == bide.WaitTimer || w.Kind == bide.WaitRetry {
				return false
			}
			continue
		}
		below, err := f.b.Run(ctx, child, 0)
		if err != nil || depth > 16 || !f.waitsForOthers(ctx, below, depth+1) {
			return false
		}
	}
	return true
}

// askNext puts the next open wait to the person, unless they are being asked already.
func (f *follower) askNext(ctx context.Context) error {
	for f.person && f.asked == nil && len(f.open) > 0 {
		w := f.open[0]
		f.open = f.open[1:]
		id, _ := bide.WaitRun(w.ID)
		run, err := f.b.Run(ctx, id, 0)
		if err != nil {
			return err
		}
		if run.Wait(w.ID) == nil {
			continue // it was resolved before this terminal came
		}
		asking, cancel := context.WithCancelCause(ctx)
		f.asked = &asked{wait: &w, cancel: cancel, done: make(chan error, 1)}
		go func(q *asked) { q.done <- f.ask(asking, q.wait) }(f.asked)
	}
	return nil
}

// ask asks until the answer fits, or somebody else was faster.
func (f *follower) ask(ctx context.Context, w *bide.Wait) error {
	for range 100 {
		answer, err := askWait(ctx, f.t, w)
		switch {
		case errors.Is(err, errGone):
			return nil
		case errors.Is(err, io.EOF):
			return errStuck // nobody answers any more
		case err != nil:
			return err
		}
		cmd := f.cmd
		cmd.ID = "" // each answer is a command of its own
		_, err = f.b.Answer(ctx, w.ID, answer, cmd)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, bide.ErrInvalidAnswer), errors.Is(err, bide.ErrAlreadyDecided), errors.Is(err, bide.ErrExpired):
			p := explain(err)
			if said := f.t.say("  " + oneLine(p.Error())); said != nil || p.code == exitConflict {
				return said
			}
		default:
			return err
		}
	}
	return fmt.Errorf("wait %s: no answer fitted in 100 attempts", w.ID)
}
