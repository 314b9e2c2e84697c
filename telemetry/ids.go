package telemetry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"go.opentelemetry.io/otel/trace"
)

// IDs makes the ids of spans: of those of this package, from what they are about; of others, by chance. It is an
// IDGenerator of the OpenTelemetry SDK.
type IDs struct{}

type idsKey struct{}

type ids struct {
	trace trace.TraceID
	span  trace.SpanID
}

// NewIDs returns the ids of a root span.
func (IDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if id, ok := ctx.Value(idsKey{}).(ids); ok {
		return id.trace, id.span
	}
	var t trace.TraceID
	rand.Read(t[:]) // never fails
	return t, random()
}

// NewSpanID returns the id of a span within a trace.
func (IDs) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if id, ok := ctx.Value(idsKey{}).(ids); ok {
		return id.span
	}
	return random()
}

func random() (s trace.SpanID) {
	rand.Read(s[:]) // never fails
	return s
}

// TraceID is the id of the trace of a run and of all runs with the same root.
func TraceID(root string) (t trace.TraceID) {
	sum := sha256.Sum256([]byte("trace " + root))
	copy(t[:], sum[:])
	return t
}

// SpanID is the id of the span of an attempt of an effect. That of the begin of a run has zeros for step, effect and attempt; that of an end
// has -1 for the step and the number of its record for the attempt, since a run that failed may be retried.
func SpanID(run string, step int64, effect, attempt int) (s trace.SpanID) {
	sum := sha256.Sum256(fmt.Appendf(nil, "span %s %d %d %d", run, step, effect, attempt))
	copy(s[:], sum[:])
	return s
}
