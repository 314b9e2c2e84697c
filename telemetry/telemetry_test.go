package telemetry_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/telemetry"
	"github.com/bide-dev/bide/tool"
)

var ctx = context.Background()

// lab is a runtime whose telemetry is kept in memory.
type lab struct {
	rt    *bide.Runtime
	spans *tracetest.InMemoryExporter
	read  *sdkmetric.ManualReader
	end   func() tracetest.SpanStubs
}

func newLab(t *testing.T, store bide.Store, opts telemetry.Options) *lab {
	t.Helper()
	l := &lab{rt: bide.Must(bide.New(store, nil)), spans: tracetest.NewInMemoryExporter(), read: sdkmetric.NewManualReader()}
	opts.Tracers = sdktrace.NewTracerProvider(sdktrace.WithSyncer(l.spans), sdktrace.WithIDGenerator(telemetry.IDs{}))
	opts.Meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(l.read))
	tel := bide.Must(telemetry.New(l.rt, &opts))
	running, stop := context.WithCancel(ctx)
	done := make(chan error)
	go func() { done <- tel.Run(running) }()
	l.end = func() tracetest.SpanStubs {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		return l.spans.GetSpans()
	}
	return l
}

func attr(s tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if a.Key == attribute.Key(key) {
			return a.Value.String()
		}
	}
	return ""
}

func names(spans tracetest.SpanStubs) (out []string) {
	for _, s := range spans {
		out = append(out, s.Name)
	}
	return out
}

// question is a workflow that asks a model and then calls a tool that needs leave.
func question(set *tool.Set) bide.Workflow {
	calls := []tool.Call{{ID: "c1", Name: "pay", Args: `{}`}}
	return bide.Workflow{ID: "w", Version: "1", Entry: "ask", Nodes: bide.Nodes{
		"ask": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(llm.Call(llm.Request{Model: "fake/m", Messages: []llm.Message{llm.User("the secret plan")}}).As("a")).Then("act"), nil
		},
		"act": func(*bide.Run) (bide.StepPlan, error) {
			p, err := set.Plan(calls, "r")
			return p.Then("end"), err
		},
		"end": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete("bye"), nil },
	}}
}

func (l *lab) equip(answer bide.Handler) bide.Workflow {
	set := bide.Must(tool.New(nil, tool.Func("pay", "", tool.Once, func(context.Context, struct{}) (string, error) { return "paid", nil })))
	set.Register(l.rt)
	l.rt.Handle(llm.Type, answer)
	wf := question(set)
	if err := l.rt.Register(wf); err != nil {
		panic(err)
	}
	return wf
}

func hello(context.Context, *bide.Invocation) (bide.Outcome, error) {
	in, out := int64(12), int64(3)
	return bide.Completed(llm.Response{Message: llm.Assistant("hello"), Model: "fake/m", ServedModel: "m-1", ID: "resp-1", Finish: llm.FinishStop, Usage: llm.Usage{Input: &in, Output: &out}}), nil
}

func TestAttemptsAreSpansThatAreNotOpenOverAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, mem.New(), telemetry.Options{})
		wf := l.equip(hello)
		run := bide.Must(l.rt.Run(ctx, wf, nil, &bide.StartOptions{RunID: "r"}))
		<-time.After(24 * time.Hour)
		bide.Must(l.rt.Resume(ctx, "r", run.Waits[0].ID, bide.Approval{Approved: new(true)}))
		bide.Must(l.rt.Tick(ctx, "r"))
		if d, err := l.rt.Replay(ctx, "r"); d != nil || err != nil {
			t.Error(d, err)
		}
		spans := l.end()
		want := []string{"run w", "chat m", "execute_tool pay", "execute_tool pay", "end w"}
		if diff := cmp.Diff(want, names(spans)); diff != "" {
			t.Fatalf("spans (-want +got):\n%s", diff)
		}
		for _, s := range spans {
			if s.SpanContext.TraceID() != telemetry.TraceID("r") {
				t.Errorf("%s is in trace %s", s.Name, s.SpanContext.TraceID())
			}
			if took := s.EndTime.Sub(s.StartTime); took > time.Minute {
				t.Errorf("%s was open for %s", s.Name, took)
			}
			if s.Name != "run w" && s.Parent.SpanID() != spans[0].SpanContext.SpanID() {
				t.Errorf("the parent of %s is not the run", s.Name)
			}
			if strings.Contains(fmt.Sprint(s.Attributes), "secret plan") {
				t.Errorf("%s has the payload: %v", s.Name, s.Attributes)
			}
		}
		chat := spans[1]
		for key, want := range map[string]string{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "fake", "gen_ai.request.model": "m", "gen_ai.response.model": "m-1",
			"gen_ai.response.id": "resp-1", "gen_ai.response.finish_reasons": `["stop"]`, "gen_ai.usage.input_tokens": "12", "gen_ai.usage.output_tokens": "3", "bide.run.id": "r", "bide.attempt": "1"} {
			if got := attr(chat, key); got != want {
				t.Errorf("%s = %q, want %q", key, got, want)
			}
		}
		if chat.SpanContext.SpanID() != telemetry.SpanID("r", 1, 0, 1) {
			t.Error("the id of the span does not follow from run, step, effect and attempt")
		}
		if attr(spans[2], "bide.outcome") != "waiting" || attr(spans[2], "bide.wait.kind") != "tool_approval" || attr(spans[3], "gen_ai.tool.call.id") != "c1" || attr(spans[3], "bide.outcome") != "completed" {
			t.Errorf("the calls are %v and %v", spans[2].Attributes, spans[3].Attributes)
		}
	})
}

func TestFailuresRetriesAndMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, mem.New(), telemetry.Options{})
		n := 0
		wf := l.equip(func(c context.Context, call *bide.Invocation) (bide.Outcome, error) {
			if n++; n == 1 {
				return bide.Outcome{}, &bide.Failure{Code: "rate_limited", Message: "the secret plan"}
			}
			return hello(c, call)
		})
		bide.Must(l.rt.Run(ctx, wf, nil, &bide.StartOptions{RunID: "r"}))
		<-time.After(time.Hour)
		bide.Must(l.rt.Tick(ctx, "r"))
		bide.Must(l.rt.Cancel(ctx, "r"))
		spans := l.end()
		want := []string{"run w", "chat m", "chat m", "execute_tool pay", "end w"}
		if diff := cmp.Diff(want, names(spans)); diff != "" {
			t.Fatalf("spans (-want +got):\n%s", diff)
		}
		if s := spans[1]; s.Status.Code != codes.Error || attr(s, "error.type") != "rate_limited" || strings.Contains(s.Status.Description, "secret") {
			t.Errorf("the failed attempt has status %v and %v", s.Status, s.Attributes)
		}
		if attr(spans[2], "bide.attempt") != "2" || attr(spans[4], "bide.run.status") != "cancelled" {
			t.Errorf("attempt %s, status %s", attr(spans[2], "bide.attempt"), attr(spans[4], "bide.run.status"))
		}
		var got metricdata.ResourceMetrics
		if err := l.read.Collect(ctx, &got); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, m := range got.ScopeMetrics[0].Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					lines = append(lines, fmt.Sprintf("%s %s %d", m.Name, p.Attributes.Encoded(attribute.DefaultEncoder()), p.Value))
				}
			case metricdata.Histogram[int64]:
				for _, p := range data.DataPoints {
					lines = append(lines, fmt.Sprintf("%s %s %d", m.Name, p.Attributes.Encoded(attribute.DefaultEncoder()), p.Sum))
				}
			}
		}
		slices.Sort(lines)
		if diff := cmp.Diff([]string{
			"bide.attempts bide.effect.type=LLM_CALL,bide.outcome=completed 1",
			"bide.attempts bide.effect.type=LLM_CALL,bide.outcome=failed 1",
			"bide.attempts bide.effect.type=tool_call,bide.outcome=waiting 1",
			"bide.runs bide.run.status=cancelled,bide.workflow=w 1",
			"gen_ai.client.token.usage gen_ai.operation.name=chat,gen_ai.provider.name=fake,gen_ai.request.model=m,gen_ai.token.type=input 12",
			"gen_ai.client.token.usage gen_ai.operation.name=chat,gen_ai.provider.name=fake,gen_ai.request.model=m,gen_ai.token.type=output 3",
		}, lines); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
	})
}

func TestPayloadsAreThereWhenAskedFor(t *testing.T) {
	l := newLab(t, mem.New(), telemetry.Options{Payloads: true})
	bide.Must(l.rt.Run(ctx, l.equip(hello), nil, nil))
	chat := l.end()[1]
	if !strings.Contains(attr(chat, "bide.effect.payload"), "the secret plan") || !strings.Contains(attr(chat, "bide.effect.result"), "hello") {
		t.Errorf("attributes = %v", chat.Attributes)
	}
}

func TestAnotherProcessGoesOnWithTheTrace(t *testing.T) {
	store := mem.New()
	first := newLab(t, store, telemetry.Options{})
	run := bide.Must(first.rt.Run(ctx, first.equip(hello), nil, &bide.StartOptions{RunID: "r"}))
	first.end()
	second := newLab(t, store, telemetry.Options{})
	second.equip(hello)
	bide.Must(second.rt.Resume(ctx, "r", run.Waits[0].ID, bide.Approval{Approved: new(true)}))
	bide.Must(second.rt.Tick(ctx, "r"))
	spans := second.end()
	if diff := cmp.Diff([]string{"execute_tool pay", "end w"}, names(spans)); diff != "" {
		t.Fatalf("spans (-want +got):\n%s", diff)
	}
	if spans[0].SpanContext.TraceID() != telemetry.TraceID("r") || spans[0].Parent.SpanID() != telemetry.SpanID("r", 0, 0, 0) {
		t.Error("the call is not in the trace of the run")
	}
}

func TestChildrenAreInTheTraceOfTheirRoot(t *testing.T) {
	l := newLab(t, mem.New(), telemetry.Options{})
	child := bide.Workflow{ID: "child", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete(nil), nil }}}
	parent := bide.Workflow{ID: "parent", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.StartRun("child", nil, nil)).ThenComplete(nil), nil
	}}}
	if err := l.rt.Register(child, parent); err != nil {
		t.Fatal(err)
	}
	bide.Must(l.rt.Run(ctx, parent, nil, &bide.StartOptions{RunID: "r"}))
	id := bide.Must(l.rt.Runs(ctx, bide.RunQuery{Parent: "r"})).Runs[0].ID
	bide.Must(l.rt.Tick(ctx, id))
	for _, s := range l.end() {
		if s.SpanContext.TraceID() != telemetry.TraceID("r") {
			t.Errorf("%s is in another trace", s.Name)
		}
		if s.Name == "run child" && s.Parent.SpanID() != telemetry.SpanID("r", 0, 0, 0) {
			t.Error("the child's parent is not the parent")
		}
	}
}
