package otlp

import (
	"context"
	"fmt"
	"math"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// Metrics sends metrics, cumulative since the process began; it is an Exporter of the SDK.
type Metrics struct{ sender }

var _ sdkmetric.Exporter = (*Metrics)(nil)

// NewMetrics returns an exporter of metrics.
func NewMetrics(to Target) *Metrics { return &Metrics{newSender(to)} }

// Temporality implements sdkmetric.Exporter.
func (*Metrics) Temporality(kind sdkmetric.InstrumentKind) metricdata.Temporality {
	return sdkmetric.DefaultTemporalitySelector(kind)
}

// Aggregation implements sdkmetric.Exporter.
func (*Metrics) Aggregation(kind sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(kind)
}

// ForceFlush implements sdkmetric.Exporter: nothing is held back.
func (*Metrics) ForceFlush(context.Context) error { return nil }

// Export implements sdkmetric.Exporter. It fails on aggregations that are neither sums, gauges nor histograms with explicit bounds.
func (e *Metrics) Export(ctx context.Context, all *metricdata.ResourceMetrics) error {
	var rm message
	rm.bytes(1, from(all.Resource))
	for _, scope := range all.ScopeMetrics {
		var sm message
		sm.bytes(1, scopeOf(scope.Scope))
		for _, metric := range scope.Metrics {
			one, err := metricOf(metric)
			if err != nil {
				return err
			}
			sm.bytes(2, one)
		}
		sm.text(3, scope.Scope.SchemaURL)
		rm.bytes(2, sm)
	}
	rm.text(3, all.Resource.SchemaURL())
	var m message
	m.bytes(1, rm)
	return e.send(ctx, m)
}

func metricOf(metric metricdata.Metrics) (m message, err error) {
	m.text(1, metric.Name)
	m.text(2, metric.Description)
	m.text(3, metric.Unit)
	switch d := metric.Data.(type) {
	case metricdata.Gauge[int64]:
		m.bytes(5, points(d.DataPoints))
	case metricdata.Gauge[float64]:
		m.bytes(5, points(d.DataPoints))
	case metricdata.Sum[int64]:
		m.bytes(7, sum(d))
	case metricdata.Sum[float64]:
		m.bytes(7, sum(d))
	case metricdata.Histogram[int64]:
		m.bytes(9, histogram(d))
	case metricdata.Histogram[float64]:
		m.bytes(9, histogram(d))
	default:
		err = fmt.Errorf("metric %s: a %T cannot be sent", metric.Name, metric.Data)
	}
	return m, err
}

// temporality is an AggregationTemporality.
func temporality(t metricdata.Temporality) uint64 {
	if t == metricdata.DeltaTemporality {
		return 1
	}
	return 2
}

func sum[N int64 | float64](s metricdata.Sum[N]) message {
	m := points(s.DataPoints)
	m.varint(2, temporality(s.Temporality))
	if s.IsMonotonic {
		m.varint(3, 1)
	}
	return m
}

// points is a list of NumberDataPoint at field 1.
func points[N int64 | float64](all []metricdata.DataPoint[N]) (m message) {
	for _, p := range all {
		var point message
		point.fixed64(2, nanos(p.StartTime))
		point.fixed64(3, nanos(p.Time))
		switch v := any(p.Value).(type) {
		case float64:
			point.double(4, v)
		case int64:
			point.fixed64(6, uint64(v))
		}
		point.attributes(7, p.Attributes.ToSlice())
		m.bytes(1, point)
	}
	return m
}

func histogram[N int64 | float64](h metricdata.Histogram[N]) (m message) {
	for _, p := range h.DataPoints {
		var point message
		point.fixed64(2, nanos(p.StartTime))
		point.fixed64(3, nanos(p.Time))
		point.fixed64(4, p.Count)
		point.double(5, float64(p.Sum))
		point.packed(6, len(p.BucketCounts), func(i int) uint64 { return p.BucketCounts[i] })
		point.packed(7, len(p.Bounds), func(i int) uint64 { return math.Float64bits(p.Bounds[i]) })
		point.attributes(9, p.Attributes.ToSlice())
		if least, ok := p.Min.Value(); ok {
			point.double(11, float64(least))
		}
		if most, ok := p.Max.Value(); ok {
			point.double(12, float64(most))
		}
		m.bytes(1, point)
	}
	m.varint(2, temporality(h.Temporality))
	return m
}
