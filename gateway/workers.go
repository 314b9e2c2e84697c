package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"runtime"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
)

const tagServer = "server"

func (s *Server) registerWorkers() {
	register(s, operation{id: "list-workers", method: http.MethodGet, path: "/v1/workers", tag: tagServer, right: auth.Installation,
		summary: "The workers at work in this server"}, s.listWorkers)
	register(s, operation{id: "get-metrics", method: http.MethodGet, path: "/metrics", tag: tagServer, right: auth.Installation, media: "text/plain",
		summary: "Counters, in the text format of Prometheus"}, s.getMetrics)
}

func (s *Server) registerHealth() {
	register(s, operation{id: "get-health", method: http.MethodGet, path: "/healthz", tag: tagServer,
		summary: "Whether the server is alive"}, s.getHealth)
	register(s, operation{id: "get-readiness", method: http.MethodGet, path: "/readyz", tag: tagServer,
		summary: "Whether the server can work: its store answers, and it is not closing"}, s.getReadiness)
	register(s, operation{id: "get-description", method: http.MethodGet, path: "/openapi.json", tag: tagServer,
		summary: "The description of this API (OpenAPI 3.1)"}, s.getDescription)
}

func (s *Server) listWorkers(context.Context, *none) (*result[api.WorkerList], error) {
	out := &api.WorkerList{Workers: []api.Worker{}}
	if s.opts.Worker != nil {
		w := s.opts.Worker.Stats()
		out.Workers = append(out.Workers, api.Worker{ID: w.ID, Driving: w.Driving, Claimed: w.Claimed, SetAside: w.SetAside, Errors: w.Errors, NextWake: w.NextWake})
	}
	return ok(out), nil
}

// text is a body that is not JSON.
type text struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (s *Server) getMetrics(context.Context, *none) (*text, error) {
	var b bytes.Buffer
	s.metrics.write(&b)
	value(&b, "bide_streams", "gauge", "Streams that are open.", s.streams.open())
	value(&b, "bide_streams_dropped_total", "counter", "Streams ended because their reader was too slow or gone.", s.streams.dropped.Load())
	if s.opts.Worker != nil {
		writeWorker(&b, s.opts.Worker.Stats())
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	value(&b, "go_goroutines", "gauge", "Goroutines.", runtime.NumGoroutine())
	value(&b, "go_memstats_heap_alloc_bytes", "gauge", "Bytes of heap in use.", int64(m.HeapAlloc))
	return &text{"text/plain; version=0.0.4; charset=utf-8", b.Bytes()}, nil
}

func (s *Server) getHealth(context.Context, *none) (*result[api.Health], error) {
	return ok(&api.Health{Status: "ok"}), nil
}

type readiness struct {
	Status int
	Body   *api.Health
}

func (s *Server) getReadiness(ctx context.Context, _ *none) (*readiness, error) {
	if s.streams.closing() {
		return &readiness{http.StatusServiceUnavailable, &api.Health{Status: "closing"}}, nil
	}
	if _, err := s.store.Feed(ctx, bide.FeedQuery{After: bide.FeedEnd}); err != nil {
		s.opts.Logger.ErrorContext(ctx, "not ready", "err", err)
		return &readiness{http.StatusServiceUnavailable, &api.Health{Status: "failing", Detail: "the store does not answer"}}, nil
	}
	return &readiness{http.StatusOK, &api.Health{Status: "ok"}}, nil
}

type description struct {
	ContentType string `header:"Content-Type"`
	Body        json.RawMessage
}

func (s *Server) getDescription(context.Context, *none) (*description, error) {
	raw, err := s.Description()
	if err != nil {
		return nil, err
	}
	return &description{"application/json", raw}, nil
}
