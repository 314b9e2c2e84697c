package cli

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide/gateway/auth"
)

func newServe(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the API to whoever has a token, with a worker at work",
		Long: `Serve the API, with a worker at work. Every request needs a token; bide token create makes one.
People sign in to the pages with a token, or with OpenID Connect (the setting login). Flows are those that clients
upload: they may use the providers of models, tools, programs and secrets that the configuration names, and no
others. Several servers may share a store, on several machines with postgres://.

Without a certificate (--tls-cert), put a reverse proxy in front that speaks https: tokens must not travel in the
clear. Ctrl-C or SIGTERM lets requests and effects at work end and hands the runs back.`,
		Example: `  bide token create ops --role operator
  bide serve --listen 127.0.0.1:7878
  BIDE_TOKEN=bide_… bide --server https://bide.example.com inbox`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.config(cmd)
			if err != nil {
				return err
			}
			if (cfg.get("serve.tls_cert") == "") != (cfg.get("serve.tls_key") == "") {
				return usage("bide serve --help", "--tls-cert and --tls-key (serve.tls_cert and serve.tls_key) go together")
			}
			cfg.uploaded = true
			on, err := a.newServer(cmd)
			if err != nil {
				return err
			}
			if err := on.secure(cfg); err != nil {
				return err
			}
			guard, signIn, err := on.guard(cmd.Context(), cfg)
			if err != nil {
				return errors.Join(err, on.close())
			}
			a.say("Serving at %s, on %s. Ctrl-C ends it.", on.url, shownStore(cfg.get("store")))
			if all, err := on.b.Tokens(cmd.Context(), ""); err == nil && len(all) == 0 && cfg.get("login") == "" {
				a.say("Nobody can come in yet: bide token create NAME --role ROLE makes a token.")
			}
			return on.serve(cmd.Context(), guard.Protect, signIn)
		},
	}
	hostFlags(cmd)
	cmd.Flags().String("tls-cert", "", "file with the certificate, for https")
	cmd.Flags().String("tls-key", "", "file with the key of the certificate")
	return cmd
}

// guard returns who lets people and programs in as the configuration says, and the pages on which they sign in.
func (h *host) guard(ctx context.Context, cfg *config) (*auth.Guard, http.Handler, error) {
	proxies, err := networks(cfg.list("serve.proxies"))
	if err != nil {
		return nil, nil, err
	}
	rate, err := strconv.Atoi(cfg.get("serve.rate"))
	if err != nil {
		return nil, nil, err
	}
	sessions := auth.NewSessions(h.b.engine.Store(), nil)
	login, err := cfg.login(ctx, sessions, h.b.log)
	if err != nil {
		return nil, nil, err
	}
	if login != nil {
		h.beside = append(h.beside, work{"ask the provider of logins", func(ctx context.Context) error {
			if err := login.Discover(ctx); err != nil && ctx.Err() == nil {
				h.b.log.Warn("nobody can log in yet; the provider is asked again when somebody does", "err", err)
			}
			return nil
		}})
	}
	h.beside = append(h.beside, work{"remove sessions that have ended", sessions.Run})
	guard := auth.New(h.b.engine.Store(), &auth.Options{Sessions: sessions, TrustedProxies: proxies, Rate: float64(rate), Burst: 2 * rate, Logger: h.b.log})
	return guard, guard.SignIn(login), nil
}
