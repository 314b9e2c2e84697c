package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/bide-dev/bide"
)

// CopyOptions refines Copy. Nil means runs alone.
type CopyOptions struct {
	// Documents are the kinds of documents to copy. Defaults to none.
	Documents []string
	// Encrypt is as in ImportOptions.
	Encrypt bool
	// FromArtifacts and ToArtifacts are where blobs are taken from and put; both or neither. Defaults to leaving them where they are.
	FromArtifacts, ToArtifacts Artifacts
}

// Copy puts all runs of one store into another one, where those that have not ended go on: let nobody drive
// them in the first one before and after. Every run is verified on the way. Cut off, it goes on where
// it was by being called again; runs that are there at the same record are not read.
func Copy(ctx context.Context, from bide.Store, to Store, opts *CopyOptions) (*Imported, error) {
	var o CopyOptions
	if opts != nil {
		o = *opts
	}
	if (o.FromArtifacts == nil) != (o.ToArtifacts == nil) {
		return nil, bide.Errorf(bide.CodeInvalidInput, "blobs are copied from somewhere to somewhere: FromArtifacts and ToArtifacts go together")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	e := newExporter(from, w, ExportOptions{Documents: o.Documents, Artifacts: o.FromArtifacts})
	unfinished, err := underWay(ctx, to)
	if err != nil {
		return nil, fmt.Errorf("copy: %w", err)
	}
	known := int64(0)
	e.skip = func(ctx context.Context, id string, at bide.Position) (bool, error) {
		there, err := to.Load(ctx, id, at)
		if errors.Is(err, bide.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		done := there.Position == at && !unfinished[id]
		if done {
			known++
		}
		return done, nil
	}
	e.has = func(ctx context.Context, sum string) (bool, error) {
		r, err := o.ToArtifacts.Open(ctx, sum)
		if errors.Is(err, bide.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return true, r.Close()
	}
	done := make(chan error, 1)
	go func() {
		_, err := e.all(ctx)
		done <- err
		w.CloseWithError(err)
	}()
	out, err := put(ctx, to, r, &ImportOptions{Live: true, Encrypt: o.Encrypt, Artifacts: o.ToArtifacts, Documents: o.Documents})
	r.CloseWithError(err)
	cancel()
	if exported := <-done; exported != nil && !errors.Is(exported, err) && !errors.Is(exported, context.Canceled) {
		err = exported
	}
	if out != nil {
		out.Known += known
	}
	if err != nil {
		return out, fmt.Errorf("copy: %w", err)
	}
	return out, nil
}

// underWay returns the runs that are set aside because their import was cut off.
func underWay(ctx context.Context, to Store) (map[string]bool, error) {
	out := map[string]bool{}
	for q := (bide.RunQuery{SetAside: true, Limit: 1000}); ; {
		page, err := to.Runs(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Runs {
			if r.SetAside == importReason {
				out[r.ID] = true
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return out, nil
		}
	}
}
