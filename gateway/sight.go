package gateway

import (
	"context"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/auth"
)

// sight is what the principal of one request sees. It is for one goroutine.
type sight struct {
	s     *Server
	p     *auth.Principal
	right auth.Right
}

func (s *Server) sight(ctx context.Context, right auth.Right) *sight {
	return &sight{s: s, p: auth.From(ctx), right: right}
}

// sees reports whether a run is there for the principal.
func (v *sight) sees(ctx context.Context, run *bide.RunInfo) (bool, error) {
	return v.s.trees.May(ctx, v.p, v.right, run)
}

// run returns a run that is seen; any other does not exist.
func (v *sight) run(ctx context.Context, id string) (*bide.Run, error) {
	run, err := v.s.rt.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	seen, err := v.sees(ctx, &run.RunInfo)
	if err != nil {
		return nil, err
	}
	if !seen {
		return nil, &bide.Error{Code: bide.CodeNotFound, Message: "there is no run " + id, Run: id}
	}
	return run, nil
}
