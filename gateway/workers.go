package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/worker"
)

const tagServer = "server"

func (s *Server) registerWorkers() {
	register(s, operation{id: "list-workers", method: http.MethodGet, path: "/v1/workers", tag: tagServer, right: auth.Installation,
		summary: "The workers of the store", about: "Those that live, in whatever process, and those that are dead and whose runs nobody has taken over yet."}, s.listWorkers)
	register(s, operation{id: "drain-worker", method: http.MethodPost, path: "/v1/workers/{worker}/drain", tag: tagServer, right: auth.Installation,
		summary: "Let a worker take on no more runs", about: "It lets those go on that it drives. Only in the default namespace: workers are those of the installation."}, s.drainWorker)
	register(s, operation{id: "undrain-worker", method: http.MethodPost, path: "/v1/workers/{worker}/undrain", tag: tagServer, right: auth.Installation,
		summary: "Let a worker take on runs again"}, s.undrainWorker)
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

func (s *Server) listWorkers(ctx context.Context, _ *none) (*result[api.WorkerList], error) {
	workers, err := Workers(ctx, s.store, s.opts.Clock())
	if err != nil {
		return nil, err
	}
	for i := range workers {
		s.tell(&workers[i])
	}
	return ok(&api.WorkerList{Workers: workers}), nil
}

// tell adds what the worker of the server has done to what the store says of it.
func (s *Server) tell(w *api.Worker) {
	if s.opts.Worker == nil {
		return
	}
	if here := s.opts.Worker.Stats(); here.ID == w.ID {
		w.Here = &api.WorkerCounts{Claimed: here.Claimed, SetAside: here.SetAside, Errors: here.Errors, NextWake: here.NextWake}
	}
}

// Workers lists the workers of a store that live, or that own runs.
func Workers(ctx context.Context, store bide.Claims, now time.Time) ([]api.Worker, error) {
	owners, err := store.Owners(ctx, now.UTC())
	if err != nil {
		return nil, err
	}
	out := []api.Worker{}
	for _, o := range owners {
		out = append(out, newWorker(o, now))
	}
	return out, nil
}

// Drain lets a worker take on no more runs, or take on runs again. It fails with bide.ErrNotFound.
func Drain(ctx context.Context, store bide.Claims, id string, drained bool, now time.Time) (*api.Worker, error) {
	if err := store.Drain(ctx, id, drained); err != nil {
		return nil, err
	}
	owners, err := store.Owners(ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	for _, o := range owners {
		if o.Name == id {
			w := newWorker(o, now)
			return &w, nil
		}
	}
	return nil, bide.Errorf(bide.CodeNotFound, "there is no worker %s", id)
}

func newWorker(o bide.Owner, now time.Time) api.Worker {
	who, _ := worker.Identify(o.Name)
	return api.Worker{ID: o.Name, Host: who.Host, Process: who.Process, Since: who.Since, Until: o.Until, Alive: o.Until.After(now), Runs: o.Runs, Drained: o.Drained}
}

// OneWorker is the input of what is about one worker.
type OneWorker struct {
	Keyed
	Worker string `path:"worker" maxLength:"200" doc:"id of the worker"`
}

func (s *Server) drainWorker(ctx context.Context, in *OneWorker) (*result[api.Worker], error) {
	return s.drain(ctx, in.Worker, true)
}

func (s *Server) undrainWorker(ctx context.Context, in *OneWorker) (*result[api.Worker], error) {
	return s.drain(ctx, in.Worker, false)
}

func (s *Server) drain(ctx context.Context, id string, drained bool) (*result[api.Worker], error) {
	if auth.From(ctx).Namespace != "" {
		return nil, bide.Errorf(bide.CodeForbidden, "workers are those of the installation: only credentials of the default namespace drain them")
	}
	w, err := Drain(ctx, s.store, id, drained, s.opts.Clock())
	if err != nil {
		return nil, err
	}
	s.tell(w)
	return ok(w), nil
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
