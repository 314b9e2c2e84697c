package gateway

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
)

func (s *Server) registerLinks() {
	register(s, operation{id: "create-link", method: http.MethodPost, path: "/v1/waits/{wait}/link", tag: tagWaits, right: auth.Decide, status: http.StatusCreated,
		summary: "Make a link that opens one wait without credentials",
		about: "Whoever has the link may look at that wait and answer it, on a page that works without JavaScript, until it expires or the wait is closed. " +
			"It can answer what its maker may answer, and the ledger names the link. Links are not kept: each call gives another one."}, s.createLink)
}

type createLink struct {
	Keyed
	OneWait
	Body *api.NewLink
}

func (s *Server) createLink(ctx context.Context, in *createLink) (*result[api.Link], error) {
	run, err := s.runOfWait(ctx, auth.Decide, in.Wait)
	if err != nil {
		return nil, err
	}
	w := run.Wait(in.Wait)
	if w == nil {
		return nil, &bide.Error{Code: bide.CodeWrongStatus, Message: "the wait " + in.Wait + " is not open, so there is nothing to answer", Wait: in.Wait}
	}
	p := auth.From(ctx)
	if who := append([]string{p.Actor}, p.Groups...); len(w.Assignees) > 0 && !slices.ContainsFunc(who, func(name string) bool { return slices.Contains(w.Assignees, name) }) {
		return nil, &bide.Error{Code: bide.CodeForbidden, Message: p.Actor + " may not answer this wait, and so makes no link to it", Wait: in.Wait}
	}
	var spec api.NewLink
	if in.Body != nil {
		spec = *in.Body
	}
	link, text, err := s.links.Make(ctx, w.ID, p, spec.For, time.Duration(spec.ExpiresIn))
	if err != nil {
		return nil, err
	}
	return ok(&api.Link{Path: auth.LinkPath + text, Actor: link.Actor, ExpiresAt: link.ExpiresAt}), nil
}
