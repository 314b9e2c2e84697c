// Command scale parks many runs, each on an event and on a timer, opens the
// store with a worker in a fresh process, and asks what they cost at rest, how soon one of them goes on
// when its event comes, and how late timers fire when many are due.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
	"github.com/bide-dev/bide/engine"
)

func main() {
	n := flag.Int("n", 1_000_000, "parked runs, each with an event wait and a timer")
	var s scaler
	flag.DurationVar(&s.rest, "rest", 30*time.Second, "how long to watch the idle process")
	flag.IntVar(&s.wakes, "wakes", 500, "parked runs to send an event to, one after the other")
	flag.IntVar(&s.rate, "rate", 1000, "timers due per second")
	flag.DurationVar(&s.span, "span", 10*time.Second, "for how long timers are due at that rate")
	park := flag.String("park", "", "be the process that fills the store with this URL")
	bench.Main("scale", []string{bench.SQLite, bench.Postgres}, func(ctx context.Context, b *bench.Bench) error {
		if *park != "" {
			return fill(ctx, *park, *n)
		}
		if *n < 1 || s.wakes < 1 || s.rate < 1 || s.span < time.Second {
			return errors.New("-n, -wakes and -rate must be at least 1, -span at least 1s")
		}
		stores, err := b.Stores()
		if err != nil {
			return err
		}
		s.n, s.wakes = *n, min(s.wakes, *n)
		var cases []bench.Case
		for _, store := range stores {
			cases = append(cases, bench.Case{Setting: map[string]string{"store": store, "parked": fmt.Sprint(*n)},
				Sample: func(ctx context.Context, v *bench.Values) error {
					return b.At(ctx, store, func(p *bench.Place) error { return s.sample(ctx, v, p) })
				}})
		}
		return b.Interleave(ctx, cases)
	})
}

// scaler is what to measure.
type scaler struct {
	n, wakes, rate int
	rest, span     time.Duration
}

func (s scaler) sample(ctx context.Context, v *bench.Values, p *bench.Place) (err error) {
	v.Is("durability", p.Durability)
	began := time.Now()
	other, err := bench.StartChild("-park", p.URL, "-n", fmt.Sprint(s.n)) // so that its memory is not in what is measured
	if err != nil {
		return err
	}
	if _, err := other.Hear(); err != nil {
		return err
	}
	v.Add("parking", "runs/s", float64(s.n)/time.Since(began).Seconds())
	if err := other.End(); err != nil {
		return err
	}
	if err := p.Settle(ctx); err != nil {
		return err
	}
	size, err := p.Bytes(ctx)
	if err != nil {
		return err
	}
	v.Add("on disk", "bytes a run", float64(size)/float64(s.n))

	h := &handlers{woken: make(chan time.Time, 1), fired: make(chan time.Duration, int(s.span.Seconds()*float64(s.rate)))}
	began = time.Now()
	e, err := engine.Open(ctx, p.URL, &engine.Options{Workflows: []bide.Workflow{parked, timed}, Handlers: map[string]bide.Handler{
		"woken": h.wake, "fired": h.fire,
	}})
	if err != nil {
		return err
	}
	v.Add("open", "ms", bench.Milliseconds(time.Since(began)))
	defer func() { err = errors.Join(err, e.Close(context.WithoutCancel(ctx))) }()
	if err := s.atRest(ctx, v); err != nil {
		return err
	}
	if err := s.wake(ctx, v, e, h); err != nil {
		return err
	}
	return s.fire(ctx, v, e, h)
}

// atRest measures what the process, and the server when there is one, cost when
// nothing happens.
func (s scaler) atRest(ctx context.Context, v *bench.Values) error {
	cpu, err := bench.Processor()
	if err != nil {
		return err
	}
	select {
	case <-time.After(s.rest):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	used, err := bench.Processor()
	if err != nil {
		return err
	}
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	v.Add("processor at rest", "% of a core", 100*(used-cpu).Seconds()/s.rest.Seconds())
	v.Add("goroutines", "at rest", float64(runtime.NumGoroutine()))
	v.Add("heap", "MB", float64(mem.HeapAlloc)/1e6)
	v.Add("memory from the system", "MB", float64(mem.Sys)/1e6)
	return nil
}

// wake measures events to single runs.
func (s scaler) wake(ctx context.Context, v *bench.Values, e *engine.Engine, h *handlers) error {
	var took []time.Duration
	for _, i := range rand.Perm(s.n)[:s.wakes] {
		began := time.Now()
		if err := e.Send(ctx, bide.Event{ScopeID: id(i), Name: "go"}); err != nil {
			return err
		}
		select {
		case at := <-h.woken:
			took = append(took, at.Sub(began))
		case <-time.After(time.Minute):
			return fmt.Errorf("run %s has not gone on a minute after its event", id(i))
		}
	}
	v.Add("event to resumed, p50", "ms", bench.Milliseconds(bench.Median(took)))
	v.Add("event to resumed, p99", "ms", bench.Milliseconds(bench.Quantile(took, 0.99)))
	return nil
}

// fire measures timers, which are set while there is still time, and become due
// one after the other.
func (s scaler) fire(ctx context.Context, v *bench.Values, e *engine.Engine, h *handlers) error {
	n := cap(h.fired)
	first := time.Now().Add(s.span)
	took, _, err := bench.Drive(ctx, n, 64, func(ctx context.Context, i int) error {
		_, err := e.Start(ctx, timed, first.Add(time.Duration(i)*time.Second/time.Duration(s.rate)), nil)
		return err
	})
	if err != nil {
		return err
	}
	if late := time.Since(first); late > 0 {
		return fmt.Errorf("setting %d timers took %v, %v too long; use a lower -rate", n, took, late)
	}
	lags := make([]time.Duration, n)
	for i := range lags {
		select {
		case lags[i] = <-h.fired:
		case <-time.After(s.span + time.Minute):
			return fmt.Errorf("%d of %d timers have not fired a minute after the last was due", n-i, n)
		}
	}
	v.Add(fmt.Sprintf("timer lag at %d/s, p50", s.rate), "ms", bench.Milliseconds(bench.Median(lags)))
	v.Add(fmt.Sprintf("timer lag at %d/s, p99", s.rate), "ms", bench.Milliseconds(bench.Quantile(lags, 0.99)))
	return nil
}
