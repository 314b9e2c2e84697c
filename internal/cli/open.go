package cli

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/seal"
	"github.com/bide-dev/bide/worker"
)

// look opens what most commands need: where data goes, and the backend.
func (a *app) look(cmd *cobra.Command) (*output, backend, error) {
	out, err := a.output(cmd)
	if err != nil {
		return nil, nil, err
	}
	b, err := a.open(cmd)
	return out, b, err
}

// lookAt is look for a command on one run.
func (a *app) lookAt(cmd *cobra.Command, ref string) (*output, backend, string, error) {
	out, b, err := a.look(cmd)
	if err != nil {
		return nil, nil, "", err
	}
	id, err := resolve(cmd.Context(), b, ref)
	return out, b, id, err
}

// open opens the server or the store of the configuration, to answer and look. It fails when there is no store: looking makes none.
// A store that cannot be written is opened for reading alone, and the person is told.
func (a *app) open(cmd *cobra.Command) (backend, error) {
	if r, err := a.remote(cmd); r != nil || err != nil {
		return r, err
	}
	if err := a.storeExists(cmd); err != nil {
		return nil, err
	}
	l, err := a.openWith(cmd, nil, true)
	if err != nil {
		return nil, err
	}
	if l.only != nil {
		a.say("bide: the store is open for reading alone; %s", visible(explain(l.only).what))
	}
	return l, nil
}

// storeExists fails when opening the store would make it.
func (a *app) storeExists(cmd *cobra.Command) error {
	cfg, err := a.config(cmd)
	if err != nil {
		return err
	}
	if cfg.get("server") != "" {
		return nil
	}
	for _, scheme := range []string{"sqlite:", "file:"} {
		path, ok := strings.CutPrefix(cfg.get("store"), scheme)
		if !ok {
			continue
		}
		info, err := os.Stat(path)
		if err == nil && scheme == "sqlite:" && info.Mode().IsRegular() && info.Size() == 0 {
			return &problem{code: exitNotFound, what: "there is no store " + cfg.get("store") + ": the file is empty",
				why: "if there was one, put a backup in its place; else the first run makes it", next: "bide run FLOW"}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return &problem{code: exitNotFound, what: "there is no store " + cfg.get("store"),
				why: "the first run makes it; or --store or BIDE_STORE names another", next: "bide run FLOW", err: err}
		}
	}
	return nil
}

// create opens the server or the store of the configuration to put something in. A store is made when there is none.
func (a *app) create(cmd *cobra.Command) (backend, error) {
	if r, err := a.remote(cmd); r != nil || err != nil {
		return r, err
	}
	l, err := a.openWith(cmd, nil, false)
	if err != nil {
		return nil, err
	}
	if _, encrypted := l.docs.(*seal.Store); !encrypted {
		err = seal.CheckPlain(cmd.Context(), l.docs)
	}
	return l, err
}

// carry opens what carries runs out: the server of the configuration, or the store with a worker of this process.
func (a *app) carry(cmd *cobra.Command) (backend, error) {
	if r, err := a.remote(cmd); r != nil || err != nil {
		return r, err
	}
	return a.drive(cmd)
}

// drive opens the store with a worker of this process at work on it.
func (a *app) drive(cmd *cobra.Command) (*local, error) {
	cfg, err := a.config(cmd)
	if err != nil {
		return nil, err
	}
	runs, err := strconv.Atoi(cfg.get("worker.runs"))
	if err != nil {
		return nil, err
	}
	lease, err := time.ParseDuration(cfg.get("worker.lease"))
	if err != nil {
		return nil, err
	}
	poll, err := time.ParseDuration(cfg.get("worker.poll"))
	if err != nil {
		return nil, err
	}
	checkpoints, err := checkpoints(cfg)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(a.terminal(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	if checkpoints != nil {
		checkpoints.Logger = log
	}
	above, err := strconv.Atoi(cfg.get("artifacts.above"))
	if err != nil {
		return nil, err
	}
	var keep *bide.Large
	later := &laterArtifacts{ready: make(chan struct{})}
	if above > 0 {
		keep = later.large(above)
	}
	l, err := a.openWith(cmd, &engine.Options{
		Runtime:     bide.Options{Poll: poll, Logger: log, Large: keep},
		Worker:      worker.Options{Runs: runs, Lease: lease, Poll: poll, Logger: log},
		Checkpoints: checkpoints,
	}, false)
	if err == nil && above > 0 {
		err = later.open(cmd.Context(), l.docs, cfg.get("artifacts"))
	}
	return l, err
}

// checkpoints is who signs checkpoints while this process is at work, or nil.
func checkpoints(cfg *config) (*engine.Checkpoints, error) {
	signers, err := privateKeys(cfg.get("checkpoint.key"))
	if err != nil {
		return nil, &problem{code: exitUsage, what: "no checkpoint can be signed with " + cfg.get("checkpoint.key"), why: err.Error(),
			next: "bide key NAME --private " + cfg.get("checkpoint.key"), err: err}
	}
	if len(signers) == 0 {
		return nil, nil
	}
	every, err := time.ParseDuration(cfg.get("checkpoint.every"))
	return &engine.Checkpoints{Signers: signers, Every: every}, err
}

func (a *app) openWith(cmd *cobra.Command, opts *engine.Options, look bool) (*local, error) {
	cfg, err := a.config(cmd)
	if err != nil {
		return nil, err
	}
	a.local, err = openLocal(cmd.Context(), cfg, opts, look)
	var told *problem // it is not about the store
	if errors.As(err, &told) {
		return nil, told
	}
	if errors.Is(err, context.Canceled) {
		return nil, err
	}
	if err != nil {
		p := explain(err)
		return nil, &problem{code: p.code, what: "cannot open the store " + shownStore(cfg.get("store")), why: p.Error(), next: "bide doctor", err: err}
	}
	return a.local, nil
}
