package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/ledger/retention"
)

func (s *Server) registerSpace() {
	register(s, operation{id: "compact-store", method: http.MethodPost, path: "/v1/compact", tag: tagRetention, right: auth.Installation, long: true,
		summary: "Give back the space that deleted runs have left", about: "A SQLite file is written anew, for which the disk needs room for two more of it; commits wait meanwhile. 409 for a store that needs none, or not while it is served."}, s.compact)
	register(s, operation{id: "sweep-artifacts", method: http.MethodPost, path: "/v1/artifacts/sweep", tag: tagRetention, right: auth.Installation, long: true,
		summary: "Remove artifacts that no run and no document names any more", about: "All stores that share the artifacts must be this one. One that is put again meanwhile stays. Cut off, the same request finishes it."}, s.sweep)
}

func (s *Server) compact(ctx context.Context, _ *Keyed) (*result[api.Compacted], error) {
	if err := wide(ctx); err != nil {
		return nil, err
	}
	if s.opts.Compact == nil {
		return nil, bide.Errorf(bide.CodeWrongStatus, "the store of this server needs no compacting while it is served: a database of PostgreSQL does it by itself, a folder of files is tidied when the server ends")
	}
	before, after, err := s.opts.Compact(ctx)
	if err != nil {
		return nil, err
	}
	return ok(&api.Compacted{Before: before, After: after}), nil
}

type sweepArtifacts struct {
	Keyed
	Body api.Sweep
}

func (s *Server) sweep(ctx context.Context, in *sweepArtifacts) (*result[api.Swept], error) {
	if err := wide(ctx); err != nil {
		return nil, err
	}
	if s.opts.Artifacts == nil {
		return nil, errNoArtifacts()
	}
	swept, err := Sweep(ctx, s.store, s.opts.Artifacts, time.Duration(in.Body.Older), in.Body.DryRun)
	if err != nil {
		return nil, err
	}
	out := api.Swept(swept)
	return ok(&out), nil
}

// Sweep removes the artifacts that were put at least so long ago and that neither a record nor a document of the store
// names; with dry it counts them. It fails with bide.ErrInvalidInput when that is less than artifact.MinAge.
func Sweep(ctx context.Context, store retention.Store, blobs artifact.Store, older time.Duration, dry bool) (artifact.Swept, error) {
	named, would := retention.NewReferences(store, NamingKinds).Named, int64(0)
	keep := named
	if dry {
		keep = func(ctx context.Context, sum string) (bool, error) {
			stays, err := named(ctx, sum)
			if err == nil && !stays {
				would++
			}
			return true, err
		}
	}
	swept, err := blobs.Sweep(ctx, time.Now().Add(-older), keep)
	if dry {
		swept.Removed, swept.Kept = would, swept.Kept-would
	}
	return swept, err
}
