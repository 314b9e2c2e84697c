package cli_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Telemetry is off, and goes where the environment or the configuration says: what happened, without what it was about.
func TestTracesAndMetricsGoToTheCollectorThatIsNamed(t *testing.T) {
	var mu sync.Mutex
	bodies := map[string][]byte{}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Api-Key") != "sesame-1234" {
			t.Errorf("request to %s with the key %q, %v", r.URL.Path, r.Header.Get("Api-Key"), err)
		}
		mu.Lock()
		defer mu.Unlock()
		bodies[r.URL.Path] = append(bodies[r.URL.Path], body...)
	}))
	defer collector.Close()
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%q", r.Header.Get("K")) }))
	defer outside.Close()
	dir := project(t)
	for name, text := range map[string]string{
		"bide.yaml":    "models: {providers: {scripted: {file: replies.yaml}}}\nallow: {addresses: [127.0.0.0/8]}\n",
		"replies.yaml": "talk: [{text: the-answer-0815}]\n",
		"talk.yaml": fmt.Sprintf(`bide: 1
flow: talk
steps:
  - {id: a, llm: {model: scripted/talk, prompt: the-question-4711}}
  - {id: b, http: {url: %q, headers: {K: '{{ secret("shop_key") }}'}}}
  - {id: c, http: {url: "%s/{{ a.finish }}", headers: {K: '{{ secret("shop_key") }}'}, accept: [404]}}
`, outside.URL, outside.URL),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("BIDE_SECRET_SHOP_KEY", "hush-hush-1234")
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=sesame-1234")
	sent := func() map[string][]byte { // since the last time
		mu.Lock()
		defer mu.Unlock()
		all := maps.Clone(bodies)
		clear(bodies)
		return all
	}
	wants(t, dir, 0, []string{"run", "talk.yaml"})
	if told := sent(); len(told) > 0 {
		t.Fatalf("without an endpoint, telemetry went to %d places", len(told))
	}
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "BIDE_TELEMETRY_ENDPOINT"} {
		t.Setenv(variable, collector.URL)
		wants(t, dir, 0, []string{"run", "talk.yaml"})
		t.Setenv(variable, "")
		told := sent()
		var got tracepb.TracesData
		if err := proto.Unmarshal(told["/v1/traces"], &got); err != nil || len(got.ResourceSpans) == 0 {
			t.Fatalf("%s: traces = %v, %v", variable, &got, err)
		}
		var names []string
		for _, rs := range got.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				for _, span := range ss.Spans {
					names = append(names, span.Name)
				}
			}
		}
		for _, want := range []string{"run talk", "chat talk", "effect http", "end talk"} {
			if !slices.Contains(names, want) {
				t.Errorf("%s: there is no span %q among %q", variable, want, names)
			}
		}
		if !strings.Contains(string(told["/v1/metrics"]), "gen_ai.client.operation.duration") {
			t.Errorf("%s: the metrics do not have the duration of the call: %q", variable, told["/v1/metrics"])
		}
		for path, body := range told {
			for _, private := range []string{"hush-hush", "sesame", "the-question", "the-answer"} {
				if strings.Contains(string(body), private) {
					t.Errorf("%s: what is sent to %s holds %s", variable, path, private)
				}
			}
		}
	}
	// What cannot be told keeps no run from its end, and what cannot be understood is a fault.
	collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	if said := wants(t, dir, 0, []string{"run", "talk.yaml"}, "telemetry"); strings.Contains(said, "sesame") {
		t.Errorf("the key of the collector is said: %s", said)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	wants(t, dir, 2, []string{"run", "talk.yaml"}, "OTEL_EXPORTER_OTLP_PROTOCOL", "use http/protobuf")
}
