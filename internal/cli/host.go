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
	"github.com/bide-dev/bide/gateway/webhook"
	"github.com/bide-dev/bide/web"
)

// hostFlags say where a server listens.
type hostFlags struct{ listen, cert, key string }

func (h *hostFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&h.listen, "listen", "127.0.0.1:7878", "address and port to listen on; port 0 takes any that is free")
	f.Int("runs", 0, "how many runs are driven at once (default: 256)")
	f.Duration("lease", 0, "how long claims last without a sign of life (default: 30s)")
	f.Duration("poll", 0, "how often to look for what other processes made runnable (default: 1s)")
}

// host is a gateway at work in this process, on a store with a worker.
type host struct {
	b        *local
	lib      *flow.Library
	hooks    *webhook.Hooks
	blobs    artifact.Store
	listener net.Listener
	url      string
}

// newHost opens the store.
func (a *app) newHost(cmd *cobra.Command) (*host, error) {
	if err := a.hosting(cmd); err != nil {
		return nil, err
	}
	b, err := a.drive(cmd)
	if err != nil {
		return nil, err
	}
	out := &host{b: b}
	// What workflows use is there before they are.
	if out.hooks, err = webhook.New(b.rt, b.engine.Store(), &webhook.Options{AllowPrivate: a.cfg.get("webhooks.private") == "true", Logger: b.log}); err != nil {
		return nil, err
	}
	out.lib = flow.NewLibrary(b.rt, &flow.LibraryOptions{Changed: b.engine.Worker().Wake, Logger: b.log})
	if _, err := out.lib.Sync(cmd.Context()); err != nil {
		return nil, err
	}
	b.engine.Worker().Wake()
	if out.blobs, err = openArtifacts(cmd.Context(), a.cfg.get("artifacts")); err != nil {
		return nil, err
	}
	return out, nil
}

// newServer is newHost, and listens.
func (a *app) newServer(cmd *cobra.Command, h *hostFlags) (*host, error) {
	out, err := a.newHost(cmd)
	if err != nil {
		return nil, err
	}
	if out.listener, err = net.Listen("tcp", h.listen); err != nil {
		return nil, errors.Join(&problem{code: exitError, what: "cannot listen on " + h.listen, why: err.Error(), err: err}, out.blobs.Close())
	}
	out.url = "http://" + out.listener.Addr().String()
	if h.cert != "" {
		pair, err := tls.LoadX509KeyPair(h.cert, h.key)
		if err != nil {
			return nil, errors.Join(&problem{code: exitUsage, what: "the certificate cannot be used", why: err.Error(), err: err}, out.listener.Close(), out.blobs.Close())
		}
		out.listener = tls.NewListener(out.listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
		out.url = "https://" + out.listener.Addr().String()
	}
	return out, nil
}

// gateway returns the API, and what is served beside it.
func (h *host) gateway(protect func(http.Handler) http.Handler) (srv *gateway.Server, err error) {
	whole := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { srv.ServeHTTP(w, r) })
	version := buildVersion().Version
	srv, err = gateway.New(h.b.rt, h.b.engine.Store(), &gateway.Options{
		Authenticate: func(next http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/hooks/", h.hooks.Handler())                    // a signature is the credentials
			mux.Handle("/ui/", http.StripPrefix("/ui/", web.Handler())) // pages hold nothing secret; what they ask for is guarded
			mux.Handle("/{$}", http.RedirectHandler("ui/", http.StatusFound))
			mux.Handle("/", protect(next))
			return mux
		},
		Artifacts: h.blobs, Webhooks: h.hooks, Worker: h.b.engine.Worker(), Version: version, Logger: h.b.log,
		Routes: map[string]http.Handler{"/mcp": mcpserver.Handler(whole, &mcpserver.Options{Version: version, Logger: h.b.log})},
	})
	return srv, err
}

// serve answers requests until ctx ends; beside, when not nil, works along.
func (h *host) serve(ctx context.Context, protect func(http.Handler) http.Handler, beside func(ctx context.Context) error) error {
	srv, err := h.gateway(protect)
	if err != nil {
		return errors.Join(err, h.listener.Close(), h.blobs.Close())
	}
	return h.run(ctx, func(ctx context.Context) error { return srv.Serve(ctx, h.listener) }, beside)
}

// run does main, with what a gateway needs in the background, until main returns; beside, when not nil, works along.
func (h *host) run(ctx context.Context, main, beside func(ctx context.Context) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var works sync.WaitGroup
	work := func(name string, run func(context.Context) error) {
		works.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				stop(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	work("look for published flows", h.lib.Run)
	work("send webhooks", h.hooks.Run)
	if beside != nil {
		work("publish the flows of the project", beside)
	}
	err := main(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	stop(nil)
	works.Wait()
	return errors.Join(err, h.blobs.Close())
}
