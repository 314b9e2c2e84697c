package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/mcpserver"
	remotework "github.com/bide-dev/bide/gateway/remote"
	"github.com/bide-dev/bide/gateway/webhook"
	"github.com/bide-dev/bide/web"
)

// hostFlags adds the flags of what serves.
func hostFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.String("listen", "", "address and port to listen on; port 0 takes any that is free (default: 127.0.0.1:7878)")
	f.Int("runs", 0, "how many runs are driven at once (default: 256)")
	f.Duration("lease", 0, "how long claims last without a sign of life (default: 30s)")
	f.Duration("poll", 0, "how often to look for what other processes made runnable (default: 1s)")
}

// host is a gateway at work in this process, on a store with a worker.
type host struct {
	b        *local
	lib      *flow.Library
	hooks    *webhook.Hooks
	pool     *remotework.Pool // nil when no effects are remote
	blobs    artifact.Store
	listener net.Listener
	url      string
	beside   []work
}

// work is what goes on in the background until its context ends.
type work struct {
	name string
	run  func(ctx context.Context) error
}

// newHost opens the store. Remote workers can come to one that serves; others leave flows with remote effects alone.
func (a *app) newHost(cmd *cobra.Command, serves bool) (*host, error) {
	if err := a.onStore(cmd); err != nil {
		return nil, err
	}
	b, err := a.drive(cmd)
	if err != nil {
		return nil, err
	}
	out := &host{b: b}
	// What workflows use is there before they are.
	if out.hooks, err = b.hooks(); err != nil {
		return nil, err
	}
	leave := a.cfg.remote
	if types := a.cfg.list("remote.types"); serves && len(types) > 0 {
		leave = nil
		out.pool = remotework.New(b.rt, types, &remotework.Options{Lease: a.cfg.duration("remote.lease"), Logger: b.log})
	}
	out.lib = flow.NewLibrary(b.rt, &flow.LibraryOptions{Changed: b.engine.Worker().Wake, Leave: leave, Logger: b.log})
	if _, err := out.lib.Sync(cmd.Context()); err != nil {
		return nil, err
	}
	b.engine.Worker().Wake()
	if out.blobs, err = artifactsOf(cmd.Context(), b.docs, a.cfg.get("artifacts")); err != nil {
		return nil, err
	}
	return out, nil
}

// newServer is newHost, and listens.
func (a *app) newServer(cmd *cobra.Command) (*host, error) {
	out, err := a.newHost(cmd, true)
	if err != nil {
		return nil, err
	}
	at := a.cfg.get("serve.listen")
	if out.listener, err = net.Listen("tcp", at); err != nil {
		return nil, errors.Join(&problem{code: exitError, what: "cannot listen on " + at, why: err.Error(), next: "bide doctor", err: err}, out.blobs.Close())
	}
	out.url = "http://" + out.listener.Addr().String()
	return out, nil
}

// secure makes a server speak https, when the configuration names a certificate.
func (h *host) secure(cfg *config) error {
	cert, key := cfg.path("serve.tls_cert", cfg.get("serve.tls_cert")), cfg.path("serve.tls_key", cfg.get("serve.tls_key"))
	if cert == "" && key == "" {
		return nil
	}
	pair, err := newCertificate(cert, key, h.b.log)
	if err != nil {
		return errors.Join(&problem{code: exitUsage, what: "the certificate cannot be used", why: err.Error(), next: "bide doctor", err: err}, h.close())
	}
	h.listener = tls.NewListener(h.listener, pair.config())
	h.url = "https://" + h.listener.Addr().String()
	return nil
}

// close frees what a server that never served holds.
func (h *host) close() error { return errors.Join(h.listener.Close(), h.blobs.Close()) }

// gateway returns the API, and what is served beside it; signIn, when not nil, are the pages on which people sign in.
func (h *host) gateway(protect func(http.Handler) http.Handler, signIn http.Handler) (srv *gateway.Server, err error) {
	whole := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { srv.ServeHTTP(w, r) })
	version := buildVersion().Version
	srv, err = gateway.New(h.b.rt, h.b.engine.Store(), &gateway.Options{
		Authenticate: func(next http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/hooks/", h.hooks.Handler())                    // a signature is the credentials
			mux.Handle("/ui/", http.StripPrefix("/ui/", web.Handler())) // pages hold nothing secret; what they ask for is guarded
			mux.Handle("/{$}", http.RedirectHandler("ui/", http.StatusFound))
			if signIn != nil {
				mux.Handle("/auth/", signIn)
			}
			mux.Handle("/", protect(next))
			return mux
		},
		Compact: h.compact(), CaseOf: h.b.caseOf,
		Tools: h.b.tools, Models: h.b.models, Grants: h.b.grants(), Deltas: h.b.models.Deltas(), ToolServers: h.b.servers.states,
		Artifacts: h.blobs, Log: h.b.engine.Log(), Webhooks: h.hooks, Remote: h.pool, Worker: h.b.engine.Worker(), Version: version, Logger: h.b.log,
		Routes: map[string]http.Handler{"/mcp": mcpserver.Handler(whole, &mcpserver.Options{Version: version, Logger: h.b.log})},
	})
	return srv, err
}

// compact returns what compacts the store while it is served, or nil.
func (h *host) compact() func(ctx context.Context) (before, after int64, err error) {
	compact := compacting(h.b.docs)
	if compact == nil {
		return nil
	}
	return func(ctx context.Context) (before, after int64, err error) {
		done, err := measured(ctx, h.b.cfg.get("store"), compact)
		return done.Before, done.After, err
	}
}

// serve answers requests until ctx ends.
func (h *host) serve(ctx context.Context, protect func(http.Handler) http.Handler, signIn http.Handler) error {
	srv, err := h.gateway(protect, signIn)
	if err != nil {
		return errors.Join(err, h.close())
	}
	return h.run(ctx, func(ctx context.Context) error { return srv.Serve(ctx, h.listener) })
}

// run does main, with what a gateway needs in the background, until main returns.
func (h *host) run(ctx context.Context, main func(ctx context.Context) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var works sync.WaitGroup
	for _, w := range append(h.beside, work{"look for published flows", h.lib.Run}, work{"send webhooks", h.hooks.Run}) {
		works.Go(func() {
			if err := w.run(ctx); err != nil && ctx.Err() == nil {
				stop(fmt.Errorf("%s: %w", w.name, err))
			}
		})
	}
	err := main(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	stop(nil)
	works.Wait()
	return errors.Join(err, h.blobs.Close())
}
