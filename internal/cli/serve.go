package cli

import (
	"github.com/spf13/cobra"

	"github.com/bide-dev/bide/gateway/auth"
)

func newServe(a *app) *cobra.Command {
	h := hostFlags{uploaded: true}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the API to whoever has a token, with a worker at work",
		Long: `Serve the API, with a worker at work. Every request needs a token; bide token create makes one.
Flows are those that clients upload: they may use the providers of models, tools, programs and secrets that the
configuration names, and no others. Several servers may share a store, on several machines with postgres://.

Without --tls-cert, put a reverse proxy in front that speaks https: tokens must not travel in the clear.
Ctrl-C or SIGTERM lets requests and effects at work end and hands the runs back.`,
		Example: `  bide token create ops --role operator
  bide serve --listen 127.0.0.1:7878
  BIDE_TOKEN=bide_… bide --server https://bide.example.com inbox`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (h.cert == "") != (h.key == "") {
				return usage("bide serve --help", "--tls-cert and --tls-key go together")
			}
			on, err := a.newServer(cmd, &h)
			if err != nil {
				return err
			}
			guard := auth.New(on.b.engine.Store(), &auth.Options{Logger: on.b.log})
			a.say("Serving at %s, on %s. Ctrl-C ends it.", on.url, shownStore(a.cfg.get("store")))
			return on.serve(cmd.Context(), guard.Protect, nil)
		},
	}
	h.add(cmd)
	cmd.Flags().StringVar(&h.cert, "tls-cert", "", "file with the certificate, for https")
	cmd.Flags().StringVar(&h.key, "tls-key", "", "file with the key of the certificate")
	return cmd
}
