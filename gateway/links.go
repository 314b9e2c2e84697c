package gateway

import (
	"context"
	"errors"
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
			"It can answer what its maker may answer, and the ledger names the link. Its text is not kept: each call gives another one."}, s.createLink)
	register(s, operation{id: "list-links", method: http.MethodGet, path: "/v1/waits/{wait}/links", tag: tagWaits, right: auth.Decide,
		summary: "The links to a wait, without what opens them", about: "Those that have expired are left out after a while."}, s.listLinks)
	register(s, operation{id: "revoke-link", method: http.MethodDelete, path: "/v1/links/{link}", tag: tagWaits, right: auth.Decide,
		summary: "End a link at once", about: "It stays on the list until it would have expired."}, s.revokeLink)
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
	return ok(&api.Link{ID: link.ID, Path: auth.LinkPath + text, Actor: link.Actor, ExpiresAt: link.ExpiresAt}), nil
}

func (s *Server) listLinks(ctx context.Context, in *OneWait) (*result[api.LinkList], error) {
	if _, err := s.runOfWait(ctx, auth.Decide, in.Wait); err != nil {
		return nil, err
	}
	links, err := s.links.List(ctx, in.Wait)
	if err != nil {
		return nil, err
	}
	return ok(&api.LinkList{Links: append([]api.KeptLink{}, links...)}), nil
}

type revokeLink struct {
	Keyed
	Link string `path:"link" maxLength:"200" doc:"id of the link"`
}

func (s *Server) revokeLink(ctx context.Context, in *revokeLink) (*result[api.KeptLink], error) {
	missing := bide.Errorf(bide.CodeNotFound, "there is no link %q", in.Link)
	wait, found := auth.LinkWait(in.Link)
	if !found {
		return nil, missing
	}
	if _, err := s.runOfWait(ctx, auth.Decide, wait); errors.Is(err, bide.ErrNotFound) {
		return nil, missing
	} else if err != nil {
		return nil, err
	}
	link, err := s.links.Revoke(ctx, in.Link, auth.From(ctx).Actor)
	return ok(link), err
}
