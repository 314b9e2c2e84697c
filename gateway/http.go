package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/klauspost/compress/gzhttp"

	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/problem"
)

// routes puts the handlers together.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	s.api = newAPI(mux, s.opts.Version)
	s.registerRuns()
	s.registerChanges()
	s.registerLedger()
	s.registerEvidence()
	s.registerBookmarks()
	s.registerRetention()
	s.registerTransfer()
	s.registerSpace()
	s.registerWaits()
	s.registerLinks()
	s.registerEvents()
	s.registerFlows()
	s.registerStats()
	s.registerSchedules()
	s.registerArtifacts()
	s.registerTools()
	s.registerWebhooks()
	s.registerTokens()
	s.registerSessions()
	s.registerMe()
	s.registerWork()
	s.registerWorkers()
	s.registerStreams()
	s.registerHealth()
	for pattern, h := range s.opts.Routes {
		mux.Handle(pattern, s.bounded(h))
	}
	mux.Handle("/", noRoute(mux))
	open := map[string]bool{}
	for _, op := range s.Operations() {
		open[op.Path] = open[op.Path] || op.Right == ""
	}
	guarded, links := s.opts.Authenticate(mux), s.linkPages()
	return s.outermost(compressed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case open[r.URL.Path]:
			mux.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, auth.LinkPath):
			links.ServeHTTP(w, r) // a signature is the credentials
		default:
			guarded.ServeHTTP(w, r)
		}
	})))
}

// outermost answers for what panics, and sets what every answer carries.
func (s *Server) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'") // pages set their own
		h.Set("Referrer-Policy", "no-referrer")
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		s.answerWithin(w, r, s.opts.RequestTime+s.opts.WriteTime)
		defer func() {
			switch cause := recover(); {
			case cause == nil:
			case cause == http.ErrAbortHandler:
				panic(cause)
			default:
				s.opts.Logger.ErrorContext(r.Context(), "panic", "method", r.Method, "path", r.URL.Path, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
				problem.Write(w, problem.New(api.CodeInternal, "something went wrong in the server; its log says what"))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// answerWithin cuts off a client that does not take its answer in time.
func (s *Server) answerWithin(w http.ResponseWriter, r *http.Request, d time.Duration) {
	s.deadline(r, http.NewResponseController(w).SetWriteDeadline, time.Now().Add(d))
}

// deadline sets a deadline of a request's connection; the zero time is none.
func (s *Server) deadline(r *http.Request, set func(time.Time) error, at time.Time) {
	if err := set(at); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.opts.Logger.WarnContext(r.Context(), "deadline of a request", "err", err)
	}
}

// bounded reads a request's body, of which there may be so much, before it is handled.
func (s *Server) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := problem.Body(w, r, s.opts.BodyBytes)
		if err != nil {
			problem.Write(w, err)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// streamSuffix ends the paths of streams, which are written as they come.
const streamSuffix = "/stream"

// compressed answers with gzip where the client takes it and it is worth it.
func compressed(next http.Handler) http.Handler {
	zipped := gzhttp.GzipHandler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, streamSuffix) {
			next.ServeHTTP(w, r)
			return
		}
		zipped.ServeHTTP(w, r)
	})
}

// noRoute says that nothing is at a path, or which methods are.
func noRoute(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			try := &http.Request{Method: method, URL: r.URL, Host: r.Host}
			if _, pattern := mux.Handler(try); pattern != "/" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 {
			problem.Write(w, problem.New(api.CodeNoRoute, "there is nothing at "+r.URL.Path+"; /openapi.json lists what there is"))
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		problem.Write(w, problem.New(api.CodeMethod, r.URL.Path+" is for "+strings.Join(allowed, ", ")))
	})
}

// account counts an operation, and gives one with large bodies, or much to do, its time.
func (s *Server) account(op operation) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		switch r, w := humago.Unwrap(ctx); {
		case op.large:
			s.answerWithin(w, r, artifactTime)
		case op.long:
			s.deadline(r, http.NewResponseController(w).SetWriteDeadline, time.Time{})
		}
		start := time.Now()
		next(ctx)
		s.metrics.observe(op.id, ctx.Status(), time.Since(start), op.stream)
	}
}

// Description returns the OpenAPI 3.1 document of the API, indented.
func (s *Server) Description() ([]byte, error) {
	raw, err := s.api.OpenAPI().MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("description of the API: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return nil, fmt.Errorf("description of the API: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}
