package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
)

const tagArtifacts = "artifacts"

func (s *Server) registerArtifacts() {
	register(s, operation{id: "put-artifact", method: http.MethodPost, path: "/v1/artifacts", tag: tagArtifacts, right: auth.Operate, status: http.StatusCreated, large: true,
		summary: "Keep a blob", about: "The body is the blob, whatever its type. It is kept under its SHA-256; kept again, it is left as it is."}, s.putArtifact)
	register(s, operation{id: "get-artifact", method: http.MethodGet, path: "/v1/artifacts/{sha256}", tag: tagArtifacts, right: auth.View, large: true, media: "application/octet-stream",
		summary: "A blob by its SHA-256"}, s.getArtifact)
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
	return ok(&api.Artifact{SHA256: sum, Size: size}), nil
}

type getArtifact struct {
	Conditional
	SHA256 string `path:"sha256" maxLength:"64" doc:"in hex"`
}

func (s *Server) getArtifact(ctx context.Context, in *getArtifact) (*huma.StreamResponse, error) {
	if s.opts.Artifacts == nil {
		return nil, errNoArtifacts()
	}
	blob, err := s.opts.Artifacts.Open(ctx, in.SHA256)
	if err != nil {
		return nil, err
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
