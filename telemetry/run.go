package telemetry

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/bide-dev/bide"
)

// run is what is known of a run: the effects of its current step.
type run struct {
	info    bide.RunInfo
	seq     int64 // of the last record seen
	step    int64
	effects []effect
}

type effect struct {
	bide.Effect
	attempt int       // 0: none under way
	since   time.Time // it was announced
}

// maxRuns bounds the runs that are known at a time; others are read from the ledger when they move.
const maxRuns = 10_000

// know returns what is known of a run before one of its records.
func (t *Telemetry) know(c *bide.Commit, rec *bide.Record) (*run, error) {
	r := t.runs[c.RunID]
	if r == nil || r.seq != rec.Seq-1 {
		if len(t.runs) >= maxRuns {
			clear(t.runs)
		}
		r = &run{}
		t.runs[c.RunID] = r
	}
	r.info = c.Info
	if r.seq == rec.Seq-1 {
		return r, nil
	}
	for old, err := range t.rt.Ledger(context.Background(), c.RunID, 1) {
		if err != nil {
			return nil, err
		}
		if old.Seq >= rec.Seq {
			break
		}
		data, err := old.Decode()
		if err != nil && !old.IsSealed() {
			return nil, err
		}
		r.follow(&old, data)
	}
	return r, nil
}

// follow takes a record in. It returns the effect whose attempt it ends, or -1.
func (r *run) follow(rec *bide.Record, data any) (ended int) {
	r.seq, ended = rec.Seq, -1
	end := func(i, attempt int) {
		if rec.Step == r.step && i < len(r.effects) && r.effects[i].attempt > 0 && (attempt == 0 || attempt == r.effects[i].attempt) {
			ended = i
		}
	}
	switch d := data.(type) {
	case *bide.StepPlanned:
		r.step, r.effects = rec.Step, make([]effect, len(d.Plan.Effects))
		announced := 0
		for i, e := range d.Plan.Effects {
			r.effects[i].Effect = e
			if announced < d.Announced && !builtin(e.Type) {
				r.effects[i].attempt, r.effects[i].since = 1, rec.At
				announced++
			}
		}
	case *bide.EffectStarted:
		if rec.Step == r.step && d.Effect < len(r.effects) {
			r.effects[d.Effect].attempt, r.effects[d.Effect].since = d.Attempt, rec.At
		}
	case *bide.EffectCompleted:
		end(d.Effect, d.Attempt)
	case *bide.EffectFailed:
		end(d.Effect, d.Attempt)
	case *bide.EffectInterrupted:
		end(d.Effect, d.Attempt)
	case *bide.Wait:
		if d.Kind != bide.WaitAttention {
			end(d.Effect, 0)
		}
	}
	return ended
}

// builtin reports whether the kernel carries out the effect itself, without attempts.
func builtin(typ string) bool {
	switch typ {
	case bide.TypeAsk, bide.TypeTell, bide.TypeWaitUntil, bide.TypeWaitEvent, bide.TypeJob, bide.TypeQuery, bide.TypeStartRun, bide.TypeFanOut:
		return true
	}
	return false
}

// record tells of a record.
func (t *Telemetry) record(r *run, rec *bide.Record) error {
	data, err := rec.Decode()
	if err != nil {
		return err
	}
	ended := r.follow(rec, data)
	switch d := data.(type) {
	case *bide.RunStarted:
		t.begin(r, d.Parent, rec)
	case *bide.RunForked:
		t.begin(r, "", rec)
	case *bide.RunCompleted:
		t.end(r, rec, bide.StatusCompleted, nil)
	case *bide.RunFailed:
		t.end(r, rec, bide.StatusFailed, &d.Error)
	}
	if rec.Kind == bide.KindRunCancelled {
		t.end(r, rec, bide.StatusCancelled, nil)
	}
	if ended >= 0 {
		t.attempt(r, &r.effects[ended], ended, rec, data)
		r.effects[ended].attempt = 0
	}
	return nil
}

// span makes a span with times and ids of its own.
func (t *Telemetry) span(r *run, parent trace.SpanID, id trace.SpanID, name string, kind trace.SpanKind, from, to time.Time, failed *bide.Failure, attrs []attribute.KeyValue) {
	ctx := context.WithValue(context.Background(), idsKey{}, ids{TraceID(r.info.Root), id})
	if parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: TraceID(r.info.Root), SpanID: parent, TraceFlags: trace.FlagsSampled, Remote: true}))
	}
	attrs = append(attrs, attribute.String("bide.run.id", r.info.ID), attribute.String("bide.workflow", r.info.Workflow), attribute.String("bide.workflow.version", r.info.Version))
	_, span := t.tracer.Start(ctx, name, trace.WithTimestamp(from), trace.WithSpanKind(kind), trace.WithAttributes(attrs...))
	if failed != nil {
		span.SetAttributes(attribute.String("error.type", failed.Code))
		message := failed.Code
		if t.opts.Payloads {
			message = failed.Message
		}
		span.SetStatus(codes.Error, message)
	}
	span.End(trace.WithTimestamp(to))
}

func root(runID string) trace.SpanID { return SpanID(runID, 0, 0, 0) }

// begin tells of the begin of a run.
func (t *Telemetry) begin(r *run, parent string, rec *bide.Record) {
	var above trace.SpanID
	if parent != "" {
		above = root(parent)
	}
	t.span(r, above, root(r.info.ID), "run "+r.info.Workflow, trace.SpanKindInternal, rec.At, rec.At, nil, nil)
}

// end tells of the end of a run.
func (t *Telemetry) end(r *run, rec *bide.Record, status bide.Status, failed *bide.Failure) {
	attrs := []attribute.KeyValue{attribute.String("bide.run.status", string(status)), attribute.Int64("bide.run.steps", rec.Step)}
	t.span(r, root(r.info.ID), SpanID(r.info.ID, -1, 0, int(rec.Seq)), "end "+r.info.Workflow, trace.SpanKindInternal, rec.At, rec.At, failed, attrs)
	t.ended(r, status)
}

// attempt tells of an attempt that has ended.
func (t *Telemetry) attempt(r *run, e *effect, i int, rec *bide.Record, data any) {
	o := outcomeOf(data)
	name, kind, attrs := describe(&e.Effect, o.result)
	attrs = append(attrs, attribute.String("bide.node", rec.Node), attribute.Int64("bide.step", rec.Step), attribute.Int("bide.effect", i),
		attribute.String("bide.effect.type", e.Type), attribute.Int("bide.attempt", e.attempt), attribute.String("bide.outcome", o.name))
	if o.wait != "" {
		attrs = append(attrs, attribute.String("bide.wait.kind", o.wait))
	}
	if t.opts.Payloads {
		attrs = append(attrs, attribute.String("bide.effect.payload", clip(e.Payload)), attribute.String("bide.effect.result", clip(o.result)))
	}
	t.span(r, root(r.info.ID), SpanID(r.info.ID, rec.Step, i, e.attempt), name, kind, e.since, rec.At, o.failed, attrs)
	t.attempted(e, o, rec.At.Sub(e.since))
}

// outcome is what came of an attempt.
type outcome struct {
	name   string // completed, failed, interrupted or waiting
	wait   string // the kind of the wait
	result bide.JSON
	failed *bide.Failure
}

func outcomeOf(data any) outcome {
	switch d := data.(type) {
	case *bide.EffectCompleted:
		return outcome{name: "completed", result: d.Result}
	case *bide.EffectFailed:
		return outcome{name: "failed", result: d.Result, failed: &d.Error}
	case *bide.EffectInterrupted:
		return outcome{name: "interrupted"}
	case *bide.Wait:
		return outcome{name: "waiting", wait: string(d.Kind)}
	}
	panic(fmt.Sprintf("telemetry: a %T ends no attempt", data))
}

const maxPayload = 8 << 10

func clip(raw bide.JSON) string {
	if len(raw) > maxPayload {
		return string(raw[:maxPayload]) + "…"
	}
	return string(raw)
}
