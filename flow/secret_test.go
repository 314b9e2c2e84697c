package flow_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/ledger/trace"
	"github.com/bide-dev/bide/ledger/transfer"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/llm/openai"
	"github.com/bide-dev/bide/store/file"
	"github.com/bide-dev/bide/telemetry"
	"github.com/bide-dev/bide/tool"
)

// keys are the secrets of a provider, a tool and an http step.
var keys = map[string]string{"provider": "sk-provider-1234567890", "tool": "tk-tool-1234567890/+", "step": "st-step-1234567890"}

// gossip is a server that repeats every secret it is given, and refuses those who ask for it.
func gossip(t *testing.T, seen *sync.Map) *httptest.Server {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := r.Header.Get("Authorization")
		for name, value := range keys {
			if strings.Contains(given, value) {
				seen.Store(name+" "+r.URL.Path, true)
			}
		}
		switch {
		case strings.HasSuffix(r.URL.Path, "/refuse") || strings.HasPrefix(r.URL.Path, "/bad/"):
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":{"message":"no access with %s","code":"invalid_api_key"}}`, given)
		case strings.HasSuffix(r.URL.Path, "/chat/completions"):
			w.Header().Set("Content-Type", "text/event-stream")
			call := `"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"look","arguments":"{}"}}]`
			reason := "tool_calls"
			if body := new(bytes.Buffer); true {
				if _, err := body.ReadFrom(r.Body); err != nil {
					t.Error(err)
				}
				if strings.Contains(body.String(), `"role":"tool"`) || !strings.Contains(body.String(), `"tools"`) {
					call, reason = fmt.Sprintf(`"content":"you said %s"`, given), "stop"
				}
			}
			fmt.Fprintf(w, "data: {\"id\":\"r\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",%s}}]}\n\n", call)
			fmt.Fprintf(w, "data: {\"id\":\"r\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":%q}]}\n\ndata: [DONE]\n\n", reason)
		default:
			fmt.Fprintf(w, "you said %s", given)
		}
	}))
	t.Cleanup(srv.Close)
	return srv
}

type envSecrets struct{}

func (envSecrets) Secret(_ context.Context, ref string) (string, error) {
	name := ref[strings.LastIndexAny(ref, ":")+1:]
	return keys[name], nil
}

func TestSecretsOfAProviderAToolAndAStepAppearNowhere(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	var seen sync.Map // what was given where
	srv := gossip(t, &seen)
	var logs bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store := bide.Must(file.Open(ctx, filepath.Join(dir, "store"), nil))
	rt := bide.Must(bide.New(store, &bide.Options{Logger: logger}))
	spans := tracetest.NewInMemoryExporter()
	meters := sdkmetric.NewManualReader()
	tel := bide.Must(telemetry.New(rt, &telemetry.Options{Tracers: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)),
		Meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(meters)), Payloads: true, Logger: logger}))
	watching, stop := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { ended <- tel.Run(watching) }()

	models := bide.Must(llm.New(llm.Config{Providers: map[string]llm.ProviderConfig{
		"good": {Kind: "openai", BaseURL: srv.URL + "/v1", Key: "env:provider"},
		"bad":  {Kind: "openai", BaseURL: srv.URL + "/bad/v1", Key: "env:provider"},
	}}, llm.Kinds{"openai": openai.Open}, &llm.Options{Secrets: envSecrets{}}))
	rt.Handle(llm.Type, models.Handle)
	secrets := func(ctx context.Context, name string) (string, error) { return keys[name], nil }
	var tools []tool.Tool
	for _, path := range []string{"look", "refuse"} {
		tools = append(tools, bide.Must(tool.HTTP(tool.HTTPTool{Name: path, URL: srv.URL + "/" + path, Header: map[string]string{"Authorization": "Bearer ${secret:tool}"}}, secrets)))
	}
	set := bide.Must(tool.New(&tool.Options{Policy: bide.Must(tool.NewPolicy(tool.Rule{Decide: tool.Auto})), Artifacts: bide.Must(artifact.OpenDir(filepath.Join(dir, "artifacts"))), Logger: logger}, tools...))
	set.Register(rt)
	agent.Handle(rt, store)
	if err := bide.Must(agent.New(agent.Config{ID: flow.AgentWorkflow, Tools: set})).Register(rt); err != nil {
		t.Fatal(err)
	}
	flow.Handle(rt, &flow.Handlers{AllowAddresses: loopback, Secrets: envSecrets{}, Logger: logger})
	d := parse(t, yamlOf(`
- {id: said, llm: {model: good/m, prompt: hi}}
- {id: call, tool: [{name: look}, {name: refuse}]}
- {id: work, agent: {task: look, model: good/m, tools: [look]}}
- {id: step, http: {url: "{{ input }}/step", headers: {Authorization: 'Bearer {{ secret("step") }}'}}}
- {id: no, http: {url: "{{ input }}/refuse", headers: {Authorization: '{{ secret("step") }}'}}, on_error: [{set: {refused: "{{ error.message }}"}}]}
- {llm: {model: bad/m, prompt: hi}}
`))
	run := bide.Must(flow.Start(ctx, rt, d, srv.URL, nil))
	for range 20 {
		for _, info := range bide.Must(rt.Runs(ctx, bide.RunQuery{})).Runs {
			bide.Must(rt.Tick(ctx, info.ID))
		}
	}
	run = bide.Must(rt.Get(ctx, run.ID))
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if run.Status != bide.StatusFailed || run.Error.Code != string(llm.CodeAuth) {
		t.Fatalf("the run is %s with %v", run.Status, run.Error)
	}
	for _, want := range []string{"provider /v1/chat/completions", "provider /bad/v1/chat/completions", "tool /look", "tool /refuse", "step /step", "step /refuse"} {
		if _, ok := seen.Load(want); !ok {
			t.Errorf("the server was not given the secret of the %s", want)
		}
	}
	places := map[string]string{"the log": logs.String(), "an error": run.Error.Error(), "the spans": fmt.Sprintf("%+v", spans.GetSpans())}
	var counts metricdata.ResourceMetrics
	if err := meters.Collect(ctx, &counts); err != nil {
		t.Fatal(err)
	}
	places["the metrics"] = fmt.Sprintf("%+v", counts)
	var exported, told bytes.Buffer
	if _, err := transfer.Export(ctx, store, &exported, nil); err != nil {
		t.Fatal(err)
	}
	if err := bide.Must(trace.Tell(rt.Ledger(ctx, run.ID, 1))).Markdown(&told); err != nil {
		t.Fatal(err)
	}
	places["the export"], places["the report"] = exported.String(), told.String()
	for _, want := range []string{"the metrics", "the export", "the report"} {
		if len(places[want]) < 500 {
			t.Fatalf("%s has only %d bytes", want, len(places[want]))
		}
	}
	for _, info := range bide.Must(rt.Runs(ctx, bide.RunQuery{})).Runs {
		places["the state of a run of "+info.Workflow] = fmt.Sprint(bide.Must(rt.Get(ctx, info.ID)).Vars)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			body, err := os.ReadFile(name)
			places[name] = string(body)
			return err
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if len(places) < 8 || len(spans.GetSpans()) < 8 {
		t.Fatalf("there are only %d places and %d spans", len(places), len(spans.GetSpans()))
	}
	for place, text := range places {
		for name, value := range keys {
			for _, form := range []string{value, strings.ReplaceAll(value, "/", `\/`), strings.ReplaceAll(value, "/", "%2F")} {
				if strings.Contains(text, form) {
					t.Errorf("the secret of the %s is in %s", name, place)
				}
			}
		}
	}
	if !strings.Contains(fmt.Sprint(places), "you said") {
		t.Error("what the server said is nowhere: the search proves nothing")
	}
}
