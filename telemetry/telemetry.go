package telemetry

import (
	"context"
	"log/slog"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/bide-dev/bide"
)

// scope is the name of the instrumentation.
const scope = "github.com/bide-dev/bide/telemetry"

// Options refines New. Nil means the defaults.
type Options struct {
	// Tracers and Meters are where spans and metrics go. Default to the global providers.
	Tracers trace.TracerProvider
	Meters  metric.MeterProvider
	// Payloads puts the payloads and results of effects into their spans, each at most 8 KiB, and the messages of failures. They
	// may hold what nobody else should see. Defaults to none of that.
	Payloads bool
	// Backlog is how many commits may wait to be told of; more are left out, and counted in the log. Defaults to 10,000.
	Backlog int
	// Logger receives what goes wrong. Defaults to none.
	Logger *slog.Logger
}

// Telemetry tells of what a runtime commits.
type Telemetry struct {
	rt     *bide.Runtime
	opts   Options
	tracer trace.Tracer
	meters
	stop func()
	runs map[string]*run

	mu    sync.Mutex
	queue []*bide.Commit
	lost  int
	wake  chan struct{}
}

// New begins to listen to a runtime; Run tells of what it hears. It fails when an instrument cannot be made.
func New(rt *bide.Runtime, opts *Options) (*Telemetry, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Tracers == nil {
		o.Tracers = otel.GetTracerProvider()
	}
	if o.Meters == nil {
		o.Meters = otel.GetMeterProvider()
	}
	if o.Backlog <= 0 {
		o.Backlog = 10_000
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	t := &Telemetry{rt: rt, opts: o, tracer: o.Tracers.Tracer(scope), runs: map[string]*run{}, wake: make(chan struct{}, 1)}
	if err := t.meters.open(o.Meters.Meter(scope)); err != nil {
		return nil, err
	}
	t.stop = rt.Observe(t.hear)
	return t, nil
}

// hear keeps a commit for Run.
func (t *Telemetry) hear(n bide.Notice) {
	if n.Commit == nil {
		return
	}
	t.mu.Lock()
	if len(t.queue) < t.opts.Backlog {
		t.queue = append(t.queue, n.Commit)
	} else {
		t.lost++
	}
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Run tells of commits until ctx ends, and then of those that have been made by then. It returns nil. Call it once.
func (t *Telemetry) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case <-t.wake:
			t.drain()
		case <-ctx.Done():
		}
	}
	t.stop()
	t.drain()
	return nil
}

func (t *Telemetry) drain() {
	t.mu.Lock()
	queue, lost := t.queue, t.lost
	t.queue, t.lost = nil, 0
	t.mu.Unlock()
	if lost > 0 {
		t.opts.Logger.Warn("commits without telemetry", "count", lost)
		clear(t.runs) // they are read again from the ledger
	}
	for _, c := range queue {
		t.tell(c)
		for _, child := range c.Starts {
			t.tell(child)
		}
	}
}

// tell tells of a commit.
func (t *Telemetry) tell(c *bide.Commit) {
	if c.Delete {
		delete(t.runs, c.RunID)
	}
	for i := range c.Records {
		rec := &c.Records[i]
		r, err := t.know(c, rec)
		if err == nil {
			err = t.record(r, rec)
		}
		if err != nil {
			t.opts.Logger.Error("telemetry of a record", "run", c.RunID, "seq", rec.Seq, "err", err)
			delete(t.runs, c.RunID)
			return
		}
	}
	if c.Info.Status.Final() {
		delete(t.runs, c.RunID)
	}
}
