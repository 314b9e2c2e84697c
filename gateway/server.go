package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/remote"
	"github.com/bide-dev/bide/gateway/webhook"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/tool"
	"github.com/bide-dev/bide/worker"
)

// Store is what the gateway needs of a store.
type Store interface {
	bide.Store
	bide.Claims
	bide.Documents
	bide.Counter
}

// Options refines a server. Nil means the defaults.
type Options struct {
	// Authenticate wraps the API and the further routes: it puts an auth.Principal into
	// the context of each request, or refuses it. Without it, everything but health is refused.
	Authenticate func(http.Handler) http.Handler
	// Routes are further handlers by pattern of http.ServeMux, behind Authenticate.
	Routes map[string]http.Handler
	// Workflows are those that are code of this program and can be started over the API
	// besides the published flows. They are registered.
	Workflows []bide.Workflow
	// Deltas are the answers of models under way, for the streams of runs. Nil streams none.
	Deltas *llm.Deltas
	// Artifacts holds blobs. Nil serves none.
	Artifacts artifact.Store
	// Log takes checkpoints and the tombstones of runs that are deleted (engine.Engine.Log). Nil writes none; runs of a
	// store that has checkpoints cannot be deleted then.
	Log *ledger.Log
	// Tools, Models and Grants are those that the runs are carried out with, to show. Grants can be
	// revoked. Nil shows none.
	Tools  *tool.Set
	Models *llm.Models
	Grants *tool.GrantBook
	// ToolServers says how the servers of tools are. Nil shows none.
	ToolServers func() []api.ToolServer
	// Webhooks are those of the store. Nil serves none.
	Webhooks *webhook.Hooks
	// Compact gives back the space that deleted runs have left in the store, and returns how many bytes it had and has. Nil: the
	// store does so by itself, or not while it is served.
	Compact func(ctx context.Context) (before, after int64, err error)
	// CaseOf makes a recorded run a case of its flow, as text, and says in what the case does not come to what the run did. Nil makes none.
	CaseOf func(ctx context.Context, run *bide.Run) (text []byte, faults []string, err error)
	// Remote offers calls to remote workers. Nil has no work for them.
	Remote *remote.Pool
	// Worker is the one at work in this process, to show. Nil shows none.
	Worker *worker.Worker
	// Version is the program's, for the description of the API.
	Version string

	// BodyBytes is how large the body of a request may be. Defaults to 9 MiB: the largest value by default (bide.Limits) and what is around it.
	BodyBytes int64
	// ArtifactBytes is how large an uploaded artifact may be. Defaults to 256 MiB.
	ArtifactBytes int64
	// ImportBytes is how large an imported file may be. It is kept in the system's folder for temporary files until it is checked. Defaults
	// to 1 TiB: to what there is room for.
	ImportBytes int64
	// HeaderBytes is how large the head of a request may be. Defaults to 32 KiB.
	HeaderBytes int
	// HeaderTime is how long a client may take to send the head of a request. Defaults to 10s.
	HeaderTime time.Duration
	// RequestTime is how long a request may take, its body included, streams, artifacts and what concerns the whole
	// store excepted; and how long the body of an import may stand still. Defaults to 30s.
	RequestTime time.Duration
	// IdleTime is how long a connection is kept open for another request. Defaults to 2m.
	IdleTime time.Duration
	// Streams is how many streams may be open at once, half of them by one principal. Defaults to 10,000.
	Streams int
	// WriteTime is how long a reader of a stream or an export may take to take what is written, before it
	// is dropped. Defaults to 10s.
	WriteTime time.Duration
	// Heartbeat is how often a quiet stream says that it is alive. Defaults to 15s.
	Heartbeat time.Duration
	// Grace is how long a shutdown lets requests end. Defaults to 15s.
	Grace time.Duration
	// Clock is the source of time for searches. Defaults to the system's.
	Clock func() time.Time
	// Logger receives what goes wrong. Defaults to none.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	positive(&out.BodyBytes, 9<<20)
	positive(&out.ArtifactBytes, 256<<20)
	positive(&out.ImportBytes, 1<<40)
	positive(&out.HeaderBytes, 32<<10)
	positive(&out.HeaderTime, 10*time.Second)
	positive(&out.RequestTime, 30*time.Second)
	positive(&out.IdleTime, 2*time.Minute)
	positive(&out.Streams, 10_000)
	positive(&out.WriteTime, 10*time.Second)
	positive(&out.Heartbeat, 15*time.Second)
	positive(&out.Grace, 15*time.Second)
	if out.Authenticate == nil {
		out.Authenticate = func(h http.Handler) http.Handler { return h }
	}
	if out.Version == "" {
		out.Version = "dev"
	}
	if out.Clock == nil {
		out.Clock = time.Now
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out
}

// positive puts a default where no positive value is.
func positive[N int | int64 | time.Duration](p *N, value N) {
	if *p <= 0 {
		*p = value
	}
}

// Server serves the API over one runtime. It is an http.Handler.
type Server struct {
	rt      *bide.Runtime
	store   Store
	opts    Options
	api     huma.API
	handler http.Handler
	library *library
	trees   *auth.Trees
	tokens  *auth.Tokens
	// sessions are looked at and ended here; they are begun where people sign in.
	sessions    *auth.Sessions
	links       *auth.Links
	checkpoints checkpoints
	importing   sync.Mutex // held while a file is imported
	metrics     *metrics
	streams     *streams
	tallies     tallies
}

// New returns a server. store must be the one that rt is over; both stay the caller's to close. It
// fails with bide.ErrInvalidInput when one is missing, and with bide.ErrInvalidWorkflow.
func New(rt *bide.Runtime, store Store, opts *Options) (*Server, error) {
	if rt == nil || store == nil {
		return nil, bide.Errorf(bide.CodeInvalidInput, "a gateway needs a runtime and its store")
	}
	s := &Server{rt: rt, store: store, opts: opts.withDefaults(), metrics: newMetrics()}
	if err := rt.Register(s.opts.Workflows...); err != nil {
		return nil, err
	}
	s.library = newLibrary(rt, s.opts.Workflows)
	s.trees, s.tokens, s.links = auth.NewTrees(rt), auth.NewTokens(store, s.opts.Clock), auth.NewLinks(store, s.opts.Clock)
	s.sessions = auth.NewSessions(store, &auth.SessionOptions{Now: s.opts.Clock})
	s.streams = newStreams(s.opts.Streams)
	s.handler = s.routes()
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close ends the streams, so that their readers come again elsewhere, and refuses new ones. Serve does so by itself.
func (s *Server) Close() { s.streams.close() }

// Serve answers requests on l until ctx ends. Then it takes no more connections, ends the streams, lets
// requests end within the grace, and returns nil. It closes l. Call it once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler: s, MaxHeaderBytes: s.opts.HeaderBytes, ReadHeaderTimeout: s.opts.HeaderTime, IdleTimeout: s.opts.IdleTime,
		ErrorLog: slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelWarn),
	}
	srv.RegisterOnShutdown(s.Close)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, stop := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Grace)
	defer stop()
	err := srv.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) { // what is left is cut off; nothing acknowledged is lost
		s.opts.Logger.Warn("requests cut off after the grace", "grace", s.opts.Grace)
		err = srv.Close()
	}
	if serr := <-failed; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}
