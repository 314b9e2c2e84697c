package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/gateway/auth"
)

func newDev(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Serve the project on this machine, for its author: API, worker, and flows as they are saved",
		Long: `Serve the API on this machine, with a worker at work, and publish the flows of the project, again
whenever a file is saved. Every request from this machine may do everything, without a token, and acts as
the configured actor; requests from elsewhere are refused. For others, use bide serve.

Ctrl-C lets requests and effects at work end and hands the runs back.`,
		Example: `  bide dev
  bide --server http://127.0.0.1:7878 run refund
  curl http://127.0.0.1:7878/v1/runs`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			on, err := a.newServer(cmd)
			if err != nil {
				return err
			}
			anybody := &auth.Principal{Actor: a.cfg.get("actor"), Roles: []auth.Role{auth.Administrator}}
			guard := auth.New(on.b.engine.Store(), &auth.Options{Anonymous: anybody, Logger: on.b.log, Rate: 10_000, Burst: 10_000})
			p := newPublisher(a, on.b)
			if err := p.look(cmd.Context()); err != nil {
				return err
			}
			on.beside = []work{{"publish the flows of the project", p.run}}
			a.say("Serving %s at %s, on %s.\nWhoever is on this machine may do everything, as %s. Ctrl-C ends it.", a.cfg.project.root, on.url, shownStore(a.cfg.get("store")), anybody.Actor)
			return on.serve(cmd.Context(), guard.Protect, nil)
		},
	}
	hostFlags(cmd)
	return cmd
}

// publisher publishes the flows of the project as they are saved.
type publisher struct {
	a     *app
	lib   *library
	b     *local
	known map[string]string // by name: the version, or what was wrong
}

func newPublisher(a *app, b *local) *publisher {
	return &publisher{a: a, lib: newLibrary(a.cfg), b: b, known: map[string]string{}}
}

// look publishes what is new, and says what cannot be used.
func (p *publisher) look(ctx context.Context) error {
	for _, name := range p.lib.names() {
		d, err := p.lib.read(name)
		is := ""
		if err != nil {
			is = explain(err).Error()
		} else {
			is = d.Version()
		}
		if p.known[name] == is {
			continue
		}
		p.known[name] = is
		if err != nil {
			p.a.say("%s", is)
			continue
		}
		if err := flow.Publish(ctx, p.b.rt, d); err != nil {
			return err
		}
		p.a.say("Published %s, version %.12s.", d.ID(), is)
	}
	return nil
}

// run looks every second until ctx ends.
func (p *publisher) run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := p.look(ctx); err != nil {
			return err
		}
	}
}
