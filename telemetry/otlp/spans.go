package otlp

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Spans sends spans; it is a SpanExporter of the SDK.
type Spans struct{ sender }

var _ sdktrace.SpanExporter = (*Spans)(nil)

// NewSpans returns an exporter of spans.
func NewSpans(to Target) *Spans { return &Spans{newSender(to)} }

// ExportSpans implements sdktrace.SpanExporter.
func (s *Spans) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	return s.send(ctx, request(spans))
}

// request is an ExportTraceServiceRequest. Spans of one resource and scope are together, in the order in which they are given.
func request(spans []sdktrace.ReadOnlySpan) (m message) {
	type place struct {
		resource attribute.Distinct
		scope    instrumentation.Scope
	}
	var order []attribute.Distinct
	resources, scopes, of := map[attribute.Distinct]*resource.Resource{}, map[attribute.Distinct][]place{}, map[place][]sdktrace.ReadOnlySpan{}
	for _, span := range spans {
		at := place{span.Resource().Equivalent(), span.InstrumentationScope()}
		if resources[at.resource] == nil {
			resources[at.resource] = span.Resource()
			order = append(order, at.resource)
		}
		if of[at] == nil {
			scopes[at.resource] = append(scopes[at.resource], at)
		}
		of[at] = append(of[at], span)
	}
	for _, key := range order {
		var rs message
		rs.bytes(1, from(resources[key]))
		for _, at := range scopes[key] {
			var ss message
			ss.bytes(1, scopeOf(at.scope))
			for _, span := range of[at] {
				ss.bytes(2, spanOf(span))
			}
			ss.text(3, at.scope.SchemaURL)
			rs.bytes(2, ss)
		}
		rs.text(3, resources[key].SchemaURL())
		m.bytes(1, rs)
	}
	return m
}

func spanOf(s sdktrace.ReadOnlySpan) (m message) {
	trace, id := s.SpanContext().TraceID(), s.SpanContext().SpanID()
	m.bytes(1, trace[:])
	m.bytes(2, id[:])
	m.text(3, s.SpanContext().TraceState().String())
	if above := s.Parent().SpanID(); above.IsValid() {
		m.bytes(4, above[:])
	}
	m.text(5, s.Name())
	m.varint(6, uint64(s.SpanKind()))
	m.fixed64(7, nanos(s.StartTime()))
	m.fixed64(8, nanos(s.EndTime()))
	m.attributes(9, s.Attributes())
	m.varint(10, uint64(s.DroppedAttributes()))
	for _, e := range s.Events() {
		var event message
		event.fixed64(1, nanos(e.Time))
		event.text(2, e.Name)
		event.attributes(3, e.Attributes)
		m.bytes(11, event)
	}
	for _, l := range s.Links() {
		var link message
		trace, id := l.SpanContext.TraceID(), l.SpanContext.SpanID()
		link.bytes(1, trace[:])
		link.bytes(2, id[:])
		link.attributes(4, l.Attributes)
		m.bytes(13, link)
	}
	var status message
	status.text(2, s.Status().Description)
	switch s.Status().Code {
	case codes.Ok:
		status.varint(3, 1)
	case codes.Error:
		status.varint(3, 2)
	}
	m.bytes(15, status)
	return m
}

// errClosed says that an exporter is used after Shutdown.
var errClosed = errors.New("the exporter of telemetry is shut down")
