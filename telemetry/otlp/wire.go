package otlp

import (
	"encoding/binary"
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
)

// message is a protobuf message that is being written. Fields are those of opentelemetry-proto 1; as in protobuf, zeros and empty
// values are left out where nothing else is said.
type message []byte

// Types of fields on the wire.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
)

func (m *message) tag(field, wire uint64) { *m = binary.AppendUvarint(*m, field<<3|wire) }

func (m *message) varint(field, v uint64) {
	if v != 0 {
		m.tag(field, wireVarint)
		*m = binary.AppendUvarint(*m, v)
	}
}

// fixed64 writes a value even when it is zero.
func (m *message) fixed64(field, v uint64) {
	m.tag(field, wireFixed64)
	*m = binary.LittleEndian.AppendUint64(*m, v)
}

func (m *message) double(field uint64, v float64) { m.fixed64(field, math.Float64bits(v)) }

// bytes writes a value even when it is empty, as members of lists and choices have to be.
func (m *message) bytes(field uint64, v []byte) {
	m.tag(field, wireBytes)
	*m = binary.AppendUvarint(*m, uint64(len(v)))
	*m = append(*m, v...)
}

func (m *message) text(field uint64, v string) {
	if v != "" {
		m.bytes(field, []byte(valid(v)))
	}
}

// valid is a text as protobuf needs it.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// nanos is a time since 1970; 0 for one that is not known.
func nanos(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}

// packed writes a list of 64-bit values.
func (m *message) packed(field uint64, n int, at func(i int) uint64) {
	if n == 0 {
		return
	}
	list := make([]byte, 0, 8*n)
	for i := range n {
		list = binary.LittleEndian.AppendUint64(list, at(i))
	}
	m.bytes(field, list)
}

// attributes writes a list of KeyValue.
func (m *message) attributes(field uint64, attrs []attribute.KeyValue) {
	for _, a := range attrs {
		var kv message
		kv.text(1, string(a.Key))
		kv.bytes(2, value(a.Value))
		m.bytes(field, kv)
	}
}

// value is an AnyValue.
func value(v attribute.Value) (m message) {
	list := func(n int, at func(i int) attribute.Value) {
		var array message
		for i := range n {
			array.bytes(1, value(at(i)))
		}
		m.bytes(5, array)
	}
	switch v.Type() {
	case attribute.BOOL:
		m.tag(2, wireVarint)
		if v.AsBool() {
			return append(m, 1)
		}
		return append(m, 0)
	case attribute.INT64:
		m.tag(3, wireVarint)
		return binary.AppendUvarint(m, uint64(v.AsInt64()))
	case attribute.FLOAT64:
		m.double(4, v.AsFloat64())
	case attribute.BOOLSLICE:
		all := v.AsBoolSlice()
		list(len(all), func(i int) attribute.Value { return attribute.BoolValue(all[i]) })
	case attribute.INT64SLICE:
		all := v.AsInt64Slice()
		list(len(all), func(i int) attribute.Value { return attribute.Int64Value(all[i]) })
	case attribute.FLOAT64SLICE:
		all := v.AsFloat64Slice()
		list(len(all), func(i int) attribute.Value { return attribute.Float64Value(all[i]) })
	case attribute.STRINGSLICE:
		all := v.AsStringSlice()
		list(len(all), func(i int) attribute.Value { return attribute.StringValue(all[i]) })
	default:
		m.bytes(1, []byte(valid(v.Emit())))
	}
	return m
}

// from is a Resource.
func from(r *resource.Resource) (m message) {
	m.attributes(1, r.Attributes())
	return m
}

// scopeOf is an InstrumentationScope.
func scopeOf(s instrumentation.Scope) (m message) {
	m.text(1, s.Name)
	m.text(2, s.Version)
	m.attributes(3, s.Attributes.ToSlice())
	return m
}
