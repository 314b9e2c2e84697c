package otlp_test

import (
	"compress/gzip"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	metricpb "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/bide-dev/bide/telemetry/otlp"
)

// collector takes what is posted to it.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	answers []int // statuses to give before taking anything
	asked   []http.Header
	bodies  map[string][]byte // by path, the last
}

func newCollector(t *testing.T, answers ...int) *collector {
	c := &collector{answers: answers, bodies: map[string][]byte{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked = append(c.asked, r.Header.Clone())
		if len(c.answers) > 0 {
			status := c.answers[0]
			c.answers = c.answers[1:]
			http.Error(w, "no room for "+r.Header.Get("Api-Key"), status)
			return
		}
		var in io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if in, err = gzip.NewReader(r.Body); err != nil {
				t.Error(err)
			}
		}
		body, err := io.ReadAll(in)
		if err != nil {
			t.Error(err)
		}
		c.bodies[r.URL.Path] = body
	}))
	t.Cleanup(c.Close)
	return c
}

var attrs = []attribute.KeyValue{attribute.String("s", "text"), attribute.Bool("b", true), attribute.Bool("nb", false), attribute.Int64("i", -7), attribute.Float64("f", 0.5),
	attribute.StringSlice("ss", []string{"a", ""}), attribute.Int64Slice("is", []int64{1, -2}), attribute.BoolSlice("bs", []bool{false}), attribute.Float64Slice("fs", []float64{1.5}),
	attribute.String("bad", "\xff")}

const wantAttributes = `attributes:{key:"s" value:{string_value:"text"}} attributes:{key:"b" value:{bool_value:true}} attributes:{key:"nb" value:{bool_value:false}}
attributes:{key:"i" value:{int_value:-7}} attributes:{key:"f" value:{double_value:0.5}}
attributes:{key:"ss" value:{array_value:{values:{string_value:"a"} values:{string_value:""}}}} attributes:{key:"is" value:{array_value:{values:{int_value:1} values:{int_value:-2}}}}
attributes:{key:"bs" value:{array_value:{values:{bool_value:false}}}} attributes:{key:"fs" value:{array_value:{values:{double_value:1.5}}}}
attributes:{key:"bad" value:{string_value:"\uFFFD"}}`

// same compares a message with its text form.
func same(t *testing.T, got proto.Message, raw []byte, want string) {
	t.Helper()
	expected := got.ProtoReflect().New().Interface()
	if err := prototext.Unmarshal([]byte(want), expected); err != nil {
		t.Fatal(err)
	}
	if err := (proto.UnmarshalOptions{}).Unmarshal(raw, got); err != nil {
		t.Fatalf("what was sent is no message: %v", err)
	}
	if !proto.Equal(got, expected) {
		t.Errorf("sent %s\nwant %s", prototext.Format(got), prototext.Format(expected))
	}
}

// What is sent is read with the generated types of the OpenTelemetry project.
func TestSpansAreWrittenAsTheProtocolSays(t *testing.T) {
	c := newCollector(t)
	at := time.Unix(100, 5).UTC()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(otlp.NewSpans(otlp.Target{URL: c.URL + "/v1/traces", Gzip: true})),
		sdktrace.WithIDGenerator(fixed{}), sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "bide"))))
	above := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{9}, TraceFlags: trace.FlagsSampled, Remote: true})
	_, span := provider.Tracer("t", trace.WithInstrumentationVersion("3")).Start(trace.ContextWithRemoteSpanContext(t.Context(), above), "pay", trace.WithTimestamp(at),
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...), trace.WithLinks(trace.Link{SpanContext: above}))
	span.AddEvent("said", trace.WithTimestamp(at), trace.WithAttributes(attribute.String("k", "v")))
	span.SetStatus(codes.Error, "broken")
	span.End(trace.WithTimestamp(at.Add(time.Second)))
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, &tracepb.TracesData{}, c.bodies["/v1/traces"], `resource_spans:{resource:{attributes:{key:"service.name" value:{string_value:"bide"}}}
scope_spans:{scope:{name:"t" version:"3"} spans:{trace_id:"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" span_id:"\x02\x00\x00\x00\x00\x00\x00\x00" parent_span_id:"\x09\x00\x00\x00\x00\x00\x00\x00"
name:"pay" kind:SPAN_KIND_CLIENT start_time_unix_nano:100000000005 end_time_unix_nano:101000000005 `+wantAttributes+`
events:{time_unix_nano:100000000005 name:"said" attributes:{key:"k" value:{string_value:"v"}}}
links:{trace_id:"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" span_id:"\x09\x00\x00\x00\x00\x00\x00\x00"}
status:{message:"broken" code:STATUS_CODE_ERROR}}}}`)
}

type fixed struct{}

func (fixed) NewIDs(context.Context) (trace.TraceID, trace.SpanID) {
	return trace.TraceID{1}, trace.SpanID{2}
}
func (fixed) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return trace.SpanID{2} }

func TestMetricsAreWrittenAsTheProtocolSays(t *testing.T) {
	c := newCollector(t)
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(otlp.NewMetrics(otlp.Target{URL: c.URL + "/v1/metrics"}))),
		sdkmetric.WithResource(resource.NewSchemaless(attribute.String("service.name", "bide"))))
	meter := provider.Meter("m")
	count, err := meter.Int64Counter("count", metric.WithUnit("{run}"), metric.WithDescription("Runs"))
	if err != nil {
		t.Fatal(err)
	}
	took, err := meter.Float64Histogram("took", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	level, err := meter.Float64Gauge("level")
	if err != nil {
		t.Fatal(err)
	}
	count.Add(t.Context(), 3, metric.WithAttributes(attribute.String("k", "v")))
	took.Record(t.Context(), 0.5)
	took.Record(t.Context(), 1.5)
	level.Record(t.Context(), -1)
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got metricpb.MetricsData
	if err := proto.Unmarshal(c.bodies["/v1/metrics"], &got); err != nil {
		t.Fatal(err)
	}
	for _, m := range got.ResourceMetrics[0].ScopeMetrics[0].Metrics { // the times are those of the test
		for _, p := range append(m.GetSum().GetDataPoints(), m.GetGauge().GetDataPoints()...) {
			if p.TimeUnixNano == 0 {
				t.Errorf("%s has no time", m.Name)
			}
			p.StartTimeUnixNano, p.TimeUnixNano, p.Exemplars = 0, 0, nil
		}
		for _, p := range m.GetHistogram().GetDataPoints() {
			p.StartTimeUnixNano, p.TimeUnixNano = 0, 0
		}
	}
	raw, err := proto.Marshal(&got)
	if err != nil {
		t.Fatal(err)
	}
	same(t, &metricpb.MetricsData{}, raw, `resource_metrics:{resource:{attributes:{key:"service.name" value:{string_value:"bide"}}} scope_metrics:{scope:{name:"m"}
metrics:{name:"count" description:"Runs" unit:"{run}" sum:{aggregation_temporality:AGGREGATION_TEMPORALITY_CUMULATIVE is_monotonic:true data_points:{as_int:3 attributes:{key:"k" value:{string_value:"v"}}}}}
metrics:{name:"took" unit:"s" histogram:{aggregation_temporality:AGGREGATION_TEMPORALITY_CUMULATIVE data_points:{count:2 sum:2 bucket_counts:1 bucket_counts:1 bucket_counts:0 explicit_bounds:1 explicit_bounds:2 min:0.5 max:1.5}}}
metrics:{name:"level" gauge:{data_points:{as_double:-1}}}}}`)
}

func TestACollectorThatIsBusyIsAskedAgainAndOneThatRefusesIsNot(t *testing.T) {
	send := func(c *collector) error {
		e := otlp.NewSpans(otlp.Target{URL: c.URL + "/v1/traces", Header: map[string]string{"Api-Key": "hush-hush"}, Timeout: time.Minute})
		provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(e))
		defer func() {
			if err := provider.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		_, span := provider.Tracer("t").Start(t.Context(), "x")
		span.End()
		return e.ExportSpans(t.Context(), nil)
	}
	busy := newCollector(t, http.StatusServiceUnavailable)
	if err := send(busy); err != nil || len(busy.asked) != 3 || busy.bodies["/v1/traces"] == nil || busy.asked[1].Get("Api-Key") != "hush-hush" {
		t.Errorf("a busy collector was asked %d times: %v", len(busy.asked), err)
	}
	strict := newCollector(t, http.StatusOK, http.StatusUnauthorized)
	if err := send(strict); err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "hush") || len(strict.asked) != 2 {
		t.Errorf("one that refuses was asked %d times: %v", len(strict.asked), err)
	}
}

func TestTheEnvironmentSaysWhereTelemetryGoes(t *testing.T) {
	for _, c := range []struct {
		name            string
		env             map[string]string
		endpoint        string
		traces, metrics string // addresses; empty: not sent
		fault           string
	}{
		{name: "nothing"},
		{name: "an endpoint", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, traces: "http://c:4318/v1/traces", metrics: "http://c:4318/v1/metrics"},
		{name: "a setting", endpoint: "https://c", traces: "https://c/v1/traces", metrics: "https://c/v1/metrics"},
		{name: "the environment over the setting", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, endpoint: "https://d", traces: "http://c:4318/v1/traces", metrics: "http://c:4318/v1/metrics"},
		{name: "traces alone", env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/x"}, traces: "http://c/x"},
		{name: "one left out", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_METRICS_EXPORTER": "none"}, traces: "http://c/v1/traces"},
		{name: "the usual place", env: map[string]string{"OTEL_METRICS_EXPORTER": "otlp"}, metrics: "http://localhost:4318/v1/metrics"},
		{name: "disabled", env: map[string]string{"OTEL_SDK_DISABLED": "true"}, endpoint: "https://c"},
		{name: "grpc", env: map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, endpoint: "https://c", fault: `OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" is not spoken here; use http/protobuf`},
		{name: "another exporter", env: map[string]string{"OTEL_TRACES_EXPORTER": "jaeger"}, fault: `OTEL_TRACES_EXPORTER: "jaeger" is neither otlp nor none`},
		{name: "credentials", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:hush@c"}, fault: "they belong into OTEL_EXPORTER_OTLP_HEADERS"},
		{name: "bad headers", env: map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "hush"}, endpoint: "https://c", fault: "OTEL_EXPORTER_OTLP_HEADERS: it is not a list such as"},
		{name: "a bad time", env: map[string]string{"OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, endpoint: "https://c", fault: `OTEL_EXPORTER_OTLP_TIMEOUT: "10s" is not a number of milliseconds`},
		{name: "a bad compression", env: map[string]string{"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, endpoint: "https://c", fault: `"zstd" is neither gzip nor none`},
	} {
		traces, metrics, err := otlp.FromEnv(func(name string) string { return c.env[name] }, c.endpoint)
		if c.fault != "" {
			if err == nil || !strings.Contains(err.Error(), c.fault) || strings.Contains(err.Error(), "hush") {
				t.Errorf("%s: error = %v, want %q", c.name, err, c.fault)
			}
			continue
		}
		at := func(to *otlp.Target) string {
			if to == nil {
				return ""
			}
			return to.URL
		}
		if err != nil || at(traces) != c.traces || at(metrics) != c.metrics {
			t.Errorf("%s: traces go to %q, metrics to %q, %v; want %q and %q", c.name, at(traces), at(metrics), err, c.traces, c.metrics)
		}
	}
	env := map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b, x=y=", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "1500", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
	to, _, err := otlp.FromEnv(func(name string) string { return env[name] }, "https://c")
	if err != nil || !maps.Equal(to.Header, map[string]string{"api-key": "a b", "x": "y="}) || to.Timeout != 1500*time.Millisecond || !to.Gzip {
		t.Errorf("target = %+v, %v", to, err)
	}
}
