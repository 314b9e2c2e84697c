package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
)

// meters are the instruments.
type meters struct {
	finished  metric.Int64Counter
	attempts  metric.Int64Counter
	duration  metric.Float64Histogram
	operation metric.Float64Histogram
	tokens    metric.Int64Histogram
}

// open makes the instruments. The bounds of those for generative AI are what the conventions advise.
func (m *meters) open(in metric.Meter) error {
	var errs [5]error
	m.finished, errs[0] = in.Int64Counter("bide.runs", metric.WithUnit("{run}"), metric.WithDescription("Runs that have ended"))
	m.attempts, errs[1] = in.Int64Counter("bide.attempts", metric.WithUnit("{attempt}"), metric.WithDescription("Attempts of effects that have ended"))
	m.duration, errs[2] = in.Float64Histogram("bide.attempt.duration", metric.WithUnit("s"), metric.WithDescription("How long attempts of effects took"))
	m.operation, errs[3] = in.Float64Histogram("gen_ai.client.operation.duration", metric.WithUnit("s"), metric.WithDescription("How long calls of models took"),
		metric.WithExplicitBucketBoundaries(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92))
	m.tokens, errs[4] = in.Int64Histogram("gen_ai.client.token.usage", metric.WithUnit("{token}"), metric.WithDescription("Tokens that calls of models took"),
		metric.WithExplicitBucketBoundaries(1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864))
	return errors.Join(errs[:]...)
}

// ended counts a run.
func (m *meters) ended(r *run, status bide.Status) {
	m.finished.Add(context.Background(), 1, metric.WithAttributes(attribute.String("bide.workflow", r.info.Workflow), attribute.String("bide.run.status", string(status))))
}

// attempted counts an attempt.
func (m *meters) attempted(e *effect, o outcome, took time.Duration) {
	ctx := context.Background()
	with := metric.WithAttributes(attribute.String("bide.effect.type", e.Type), attribute.String("bide.outcome", o.name))
	m.attempts.Add(ctx, 1, with)
	m.duration.Record(ctx, took.Seconds(), with)
	if e.Type != llm.Type {
		return
	}
	r := response(o.result)
	attrs := model(&e.Effect, r)
	if o.failed != nil {
		m.operation.Record(ctx, took.Seconds(), metric.WithAttributes(append(attrs, attribute.String("error.type", o.failed.Code))...))
	} else {
		m.operation.Record(ctx, took.Seconds(), metric.WithAttributes(attrs...))
	}
	if r == nil {
		return
	}
	for kind, n := range map[string]*int64{"input": r.Usage.Input, "output": r.Usage.Output} {
		if n != nil {
			m.tokens.Record(ctx, *n, metric.WithAttributes(append(attrs[:len(attrs):len(attrs)], keyTokenType.String(kind))...))
		}
	}
}
