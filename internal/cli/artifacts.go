package cli

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/artifact/s3"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/ledger/retention"
	"github.com/bide-dev/bide/seal"
)

// openArtifacts opens the folder or bucket that an address names.
func openArtifacts(ctx context.Context, address string) (artifact.Store, error) {
	if strings.HasPrefix(address, "s3:") {
		return s3.Open(ctx, address, nil)
	}
	return artifact.OpenDir(address)
}

// artifactsOf opens the folder or bucket that an address names for what a store holds: encrypted, when the store is.
func artifactsOf(ctx context.Context, store bide.Store, address string) (artifact.Store, error) {
	blobs, err := openArtifacts(ctx, address)
	if s, ok := store.(*seal.Store); ok && err == nil {
		return s.Artifacts(blobs), nil
	}
	return blobs, err
}

// laterArtifacts are artifacts that are opened after the store, which already drives runs then.
type laterArtifacts struct {
	blobs artifact.Store
	ready chan struct{}
}

// open opens them, and lets those go on who wait for them.
func (l *laterArtifacts) open(ctx context.Context, store bide.Store, address string) (err error) {
	if l.blobs, err = artifactsOf(ctx, store, address); err == nil {
		close(l.ready)
	}
	return err
}

// large keeps results of effects that are too large for the ledger as artifacts.
func (l *laterArtifacts) large(above int) *bide.Large {
	return &bide.Large{Above: above, Keep: func(ctx context.Context, value bide.JSON) (string, error) {
		select {
		case <-l.ready:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
		sum, _, err := l.blobs.Put(ctx, strings.NewReader(string(value)))
		return sum, err
	}}
}

// shred destroys the content of a run, and the artifacts that only it named.
func (l *local) shred(ctx context.Context, id string, cmd bide.Command) (err error) {
	s, ok := l.docs.(*seal.Store)
	if !ok {
		_, err := l.rt.Shred(ctx, id, cmd) // which says that it cannot be
		return err
	}
	inner, err := openArtifacts(ctx, l.cfg.get("artifacts"))
	if err != nil {
		return err
	}
	blobs := s.Artifacts(inner)
	_, _, err = retention.Shred(ctx, l.rt, l.docs, id, retention.ShredOptions{
		Blobs: blobs, Documents: gateway.NamingKinds, Before: time.Now().Add(-artifact.MinAge - time.Second),
	}, cmd)
	return errors.Join(err, blobs.Close())
}
