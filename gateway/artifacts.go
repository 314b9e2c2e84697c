package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
)

const tagArtifacts = "artifacts"

func (s *Server) registerArtifacts() {
	register(s, operation{id: "put-artifact", method: http.MethodPost, path: "/v1/artifacts", tag: tagArtifacts, right: auth.Operate, status: http.StatusCreated, large: true,
		summary: "Keep a blob", about: "The body is the blob, whatever its type. It is kept under its SHA-256; kept again, it is left as it is. It is for those of the namespace."}, s.putArtifact)
	register(s, operation{id: "get-artifact", method: http.MethodGet, path: "/v1/artifacts/{sha256}", tag: tagArtifacts, right: auth.View, large: true, media: "application/octet-stream",
		summary: "A blob by its SHA-256", about: "One that was uploaded is for those of the namespace it was uploaded in; one that a tool kept, and every one for credentials that are limited to workflows or labels, for those who name a run that they see and whose effects gave it."}, s.getArtifact)
}

// errNoArtifacts says that the server was given no place for blobs.
func errNoArtifacts() error {
	return bide.Errorf(bide.CodeNotFound, "this server keeps no artifacts; give it a folder for them")
}

// putArtifact reads its body as it comes, not into memory.
type putArtifact struct {
	Keyed
	body io.Reader
}

// Resolve implements huma.Resolver.
func (in *putArtifact) Resolve(ctx huma.Context) []error {
	r, w := humago.Unwrap(ctx)
	in.body = http.MaxBytesReader(w, r.Body, ctx.Operation().MaxBodyBytes)
	return nil
}

func (s *Server) putArtifact(ctx context.Context, in *putArtifact) (*result[api.Artifact], error) {
	if s.opts.Artifacts == nil {
		return nil, errNoArtifacts()
	}
	sum, size, err := s.opts.Artifacts.Put(ctx, in.body)
	if err != nil {
		return nil, err
	}
	if err := s.share(ctx, auth.From(ctx), sum); err != nil {
		return nil, err
	}
	return ok(&api.Artifact{SHA256: sum, Size: size}), nil
}

type getArtifact struct {
	Conditional
	SHA256 string `path:"sha256" maxLength:"64" doc:"in hex"`
	Run    string `query:"run" maxLength:"200" doc:"a run whose effects gave the blob"`
}

// sharedKind is the kind of the documents that say to which namespaces a blob belongs, by its hash.
const sharedKind = "artifact"

// shared is such a document.
type shared struct {
	Namespaces []string `json:"namespaces"`
}

// share makes a blob one of a principal's namespace.
func (s *Server) share(ctx context.Context, p *auth.Principal, sum string) error {
	for {
		var in shared
		doc, err := s.store.Document(ctx, sharedKind, sum)
		switch {
		case errors.Is(err, bide.ErrNotFound):
			doc = &bide.Document{Kind: sharedKind, ID: sum}
		case err != nil:
			return err
		default:
			if err := json.Unmarshal(doc.Body, &in); err != nil {
				return bide.Errorf(bide.CodeCorrupt, "document of artifact %s: %w", sum, err)
			}
		}
		if slices.Contains(in.Namespaces, p.Namespace) {
			return nil
		}
		in.Namespaces = append(in.Namespaces, p.Namespace)
		if doc.Body, err = json.Marshal(in); err != nil {
			return err
		}
		doc.UpdatedAt = s.opts.Clock().UTC().Truncate(time.Microsecond)
		if _, err = s.store.PutDocument(ctx, *doc); !errors.Is(err, bide.ErrConflict) {
			return err
		}
	}
}

// shared reports whether a blob that was uploaded is one of the principal's namespace, or of others alone.
func (v *sight) shared(ctx context.Context, sum string) (mine, others bool, err error) {
	var of shared
	doc, err := v.s.store.Document(ctx, sharedKind, sum)
	if err == nil {
		err = json.Unmarshal(doc.Body, &of)
	}
	if err != nil && !errors.Is(err, bide.ErrNotFound) {
		return false, false, err
	}
	mine = slices.Contains(of.Namespaces, v.p.Namespace)
	return mine, !mine && len(of.Namespaces) > 0, nil
}

// seesArtifact fails with bide.ErrNotFound when a blob is not for the principal.
func (s *Server) seesArtifact(ctx context.Context, in *getArtifact) error {
	v := s.sight(ctx, auth.View)
	mine, others, err := v.shared(ctx, in.SHA256)
	if mine && !v.p.Limited() || err != nil {
		return err
	}
	if in.Run != "" && !others {
		if _, err := v.run(ctx, in.Run); err != nil {
			return err
		}
		given := false
		err := s.gifts(ctx, in.Run, func(text []byte) bool {
			given = bytes.Contains(text, []byte(in.SHA256))
			return !given
		})
		if given || err != nil {
			return err
		}
	}
	return bide.Errorf(bide.CodeNotFound, "there is no artifact %s here; one that a tool kept needs ?run= and the run whose effects gave it", in.SHA256)
}

// sums finds what may be the name of a blob.
var sums = regexp.MustCompile(`[0-9a-f]{64}`)

// gifts calls f with what the effects of a run gave, until it returns false.
func (s *Server) gifts(ctx context.Context, run string, f func(text []byte) bool) error {
	for rec, err := range s.rt.Ledger(ctx, run, 1) {
		if err != nil {
			return err
		}
		if rec.Kind == bide.KindEffectCompleted && !f(rec.Data) {
			return nil
		}
	}
	return nil
}

func (s *Server) getArtifact(ctx context.Context, in *getArtifact) (*huma.StreamResponse, error) {
	if s.opts.Artifacts == nil {
		return nil, errNoArtifacts()
	}
	blob, err := s.opts.Artifacts.Open(ctx, in.SHA256)
	if err != nil {
		return nil, err
	}
	if err := s.seesArtifact(ctx, in); err != nil {
		return nil, errors.Join(err, blob.Close())
	}
	etag := `"` + in.SHA256 + `"`
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer blob.Close()
		hctx.SetHeader("ETag", etag)
		hctx.SetHeader("Cache-Control", "private, immutable, max-age=31536000")
		if in.unchanged(etag) {
			hctx.SetStatus(http.StatusNotModified)
			return
		}
		hctx.SetHeader("Content-Type", "application/octet-stream")
		hctx.SetHeader("Content-Disposition", fmt.Sprintf("attachment; filename=%q", in.SHA256))
		hctx.SetStatus(http.StatusOK)
		if _, err := io.Copy(hctx.BodyWriter(), blob); err != nil {
			s.opts.Logger.WarnContext(ctx, "artifact", "sha256", in.SHA256, "err", err)
			panic(http.ErrAbortHandler) // the reader must see that it is not whole
		}
	}}, nil
}
