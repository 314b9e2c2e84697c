package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/ledger/trace"
)

func (s *Server) registerBookmarks() {
	register(s, operation{id: "list-bookmarks", method: http.MethodGet, path: "/v1/bookmarks", tag: tagLedger, right: auth.View,
		summary: "Marked points of runs"}, s.listBookmarks)
	register(s, operation{id: "create-bookmark", method: http.MethodPost, path: "/v1/bookmarks", tag: tagLedger, right: auth.Operate, status: http.StatusCreated,
		summary: "Mark a record of a run, to come back to"}, s.createBookmark)
	register(s, operation{id: "delete-bookmark", method: http.MethodDelete, path: "/v1/bookmarks/{name}", tag: tagLedger, right: auth.Operate, status: http.StatusNoContent,
		summary: "Remove a bookmark; its run stays"}, s.deleteBookmark)
}

type listBookmarks struct {
	Tag  string `query:"tag" maxLength:"200" doc:"only those with this tag"`
	Text string `query:"q" maxLength:"200" doc:"only those with this text in name, note or run"`
}

func (s *Server) listBookmarks(ctx context.Context, in *listBookmarks) (*result[api.BookmarkList], error) {
	found, err := trace.Find(ctx, s.store, in.Tag, in.Text)
	if err != nil {
		return nil, err
	}
	sight := s.sight(ctx, auth.View)
	out := &api.BookmarkList{Bookmarks: []api.Bookmark{}}
	for _, b := range found {
		if _, err := sight.run(ctx, b.RunID); errors.Is(err, bide.ErrNotFound) {
			continue
		} else if err != nil {
			return nil, err
		}
		out.Bookmarks = append(out.Bookmarks, shownBookmark(ctx, b))
	}
	return ok(out), nil
}

// shownBookmark is a bookmark under the name that its owner gave it.
func shownBookmark(ctx context.Context, b trace.Bookmark) api.Bookmark {
	if name, ok := auth.From(ctx).Local(b.Name); ok {
		b.Name = name
	}
	return api.Bookmark(b)
}

type createBookmark struct {
	Keyed
	Body api.NewBookmark
}

func (s *Server) createBookmark(ctx context.Context, in *createBookmark) (*result[api.Bookmark], error) {
	run, err := s.sight(ctx, auth.Operate).run(ctx, in.Body.RunID)
	if err != nil {
		return nil, err
	}
	p := auth.From(ctx)
	b := trace.Bookmark{Name: p.Scoped(in.Body.Name), RunID: run.ID, Seq: in.Body.Seq, Tags: in.Body.Tags, Note: in.Body.Note, Actor: p.Actor}
	if b.Seq == 0 {
		b.Seq = run.Seq
	}
	made, err := trace.Mark(ctx, s.rt, s.store, b, s.opts.Clock())
	if errors.Is(err, bide.ErrConflict) {
		was, lerr := trace.Lookup(ctx, s.store, b.Name)
		if lerr != nil {
			return nil, errors.Join(err, lerr)
		}
		if was.RunID != b.RunID || in.Body.Seq != 0 && was.Seq != b.Seq || was.Note != b.Note || !slices.Equal(was.Tags, b.Tags) {
			return nil, bide.Errorf(bide.CodeConflict, "there is a bookmark %q already; choose another name", in.Body.Name)
		}
		made, err = was, nil // the same, made before
	}
	if err != nil {
		return nil, err
	}
	out := shownBookmark(ctx, *made)
	return ok(&out), nil
}

type deleteBookmark struct {
	Keyed
	Name string `path:"name" maxLength:"200"`
}

func (s *Server) deleteBookmark(ctx context.Context, in *deleteBookmark) (*struct{}, error) {
	name := auth.From(ctx).Scoped(in.Name)
	return nil, s.removeOnce(ctx, in.command(ctx, ""), "bookmark "+name, func() error {
		b, err := trace.Lookup(ctx, s.store, name)
		if err != nil {
			return err
		}
		if _, err := s.rt.Get(ctx, b.RunID); err == nil { // else its run is gone
			if _, err := s.sight(ctx, auth.Operate).run(ctx, b.RunID); err != nil {
				return err
			}
		}
		return trace.Unmark(ctx, s.store, name)
	})
}
