package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/problem"
)

// Keys of an operation's metadata.
const (
	metaRight  = "right"  // auth.Right
	metaStream = "stream" // bool
)

// operation declares one operation of the API.
type operation struct {
	id, method, path string
	tag, summary     string
	about            string
	right            auth.Right // empty: for everybody
	status           int        // of success. Defaults to 200.
	stream           bool       // answers for as long as the client listens
	large            bool       // may have the body of an artifact, and its time
	long             bool       // takes as long as it takes; what it transfers must not stand still (see paced)
	media            string     // of the answer. Defaults to JSON.
}

// artifactTime is how long the transfer of an artifact may take.
const artifactTime = 10 * time.Minute

// none is the input of operations without any.
type none struct{}

// register adds an operation.
func register[I, O any](s *Server, op operation, do func(ctx context.Context, in *I) (*O, error)) {
	if op.status == 0 {
		op.status = http.StatusOK
	}
	limit, read := s.opts.BodyBytes, s.opts.RequestTime
	if op.large {
		limit, read = s.opts.ArtifactBytes, artifactTime
	}
	h := huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Tags: []string{op.tag}, Summary: op.summary, Description: op.about,
		DefaultStatus: op.status, MaxBodyBytes: limit, BodyReadTimeout: read, RejectUnknownQueryParameters: true,
		Metadata:    map[string]any{metaRight: op.right, metaStream: op.stream},
		Middlewares: huma.Middlewares{s.account(op), authorize(op.right)},
		Responses:   map[string]*huma.Response{"default": s.problemResponse()},
	}
	if op.media != "" {
		h.Responses[strconv.Itoa(op.status)] = &huma.Response{Description: http.StatusText(op.status),
			Content: map[string]*huma.MediaType{op.media: {Schema: &huma.Schema{Type: huma.TypeString}}}}
	}
	if op.right != "" {
		h.Security = []map[string][]string{{"token": {}}}
	}
	huma.Register(s.api, h, func(ctx context.Context, in *I) (*O, error) {
		if !op.stream && !op.large && !op.long {
			var stop context.CancelFunc
			ctx, stop = context.WithTimeout(ctx, s.opts.RequestTime)
			defer stop()
		}
		out, err := do(ctx, in)
		if err != nil {
			return nil, s.problemOf(ctx, err)
		}
		return out, nil
	})
}

func (s *Server) problemResponse() *huma.Response {
	schema := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[api.Problem](), true, "Problem")
	return &huma.Response{Description: "A problem (RFC 9457)", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: schema}}}
}

// authorize lets nobody reach an operation without its right.
func authorize(right auth.Right) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if right != "" {
			if err := auth.Check(ctx.Context(), right); err != nil {
				_, w := humago.Unwrap(ctx)
				problem.Write(w, err)
				return
			}
		}
		next(ctx)
	}
}

// newAPI makes the description that operations are added to.
func newAPI(mux *http.ServeMux, version string) huma.API {
	registry := huma.NewMapRegistry("#/components/schemas/", schemaName)
	registry.RegisterTypeAlias(reflect.TypeFor[bide.Vars](), reflect.TypeFor[map[string]any]())
	registry.RegisterTypeAlias(reflect.TypeFor[bide.Hash](), reflect.TypeFor[string]())
	registry.RegisterTypeAlias(reflect.TypeFor[bide.Duration](), reflect.TypeFor[string]())
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: json.Unmarshal}
	return humago.New(mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "bide", Version: version,
				Description: "Durable workflows over HTTP. Times are RFC 3339 in UTC, durations such as 1h30m. Every changing call takes an Idempotency-Key: sent again with it, a change is made once and answered as the first time."},
			Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{
				"token": {Type: "http", Scheme: "bearer", Description: "a token"},
			}},
		},
		Formats: map[string]huma.Format{"application/json": format, "json": format}, DefaultFormat: "application/json",
		Transformers: []huma.Transformer{asProblem},
	})
}

// schemaName names the schema of a type: as it is called, and outside of the kernel and api with its package.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := huma.DefaultSchemaNamer(t, hint)
	switch pkg := path.Base(t.PkgPath()); {
	case t == reflect.TypeFor[bide.Wait]():
		return "RunWait" // a wait as a run has it
	case t.Name() == "" || pkg == "bide" || pkg == "api" || pkg == "gateway" || strings.EqualFold(pkg, name):
		return name
	default:
		return strings.ToUpper(pkg[:1]) + pkg[1:] + name
	}
}

// Operation is one operation of the API and what it needs.
type Operation struct {
	ID, Method, Path string
	Right            auth.Right // empty: for everybody
	Stream           bool
}

// Operations lists all operations of the API, by path and method.
func (s *Server) Operations() (out []Operation) {
	for _, item := range s.api.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete, item.Patch, item.Head} {
			if op != nil {
				right, _ := op.Metadata[metaRight].(auth.Right)
				stream, _ := op.Metadata[metaStream].(bool)
				out = append(out, Operation{ID: op.OperationID, Method: op.Method, Path: op.Path, Right: right, Stream: stream})
			}
		}
	}
	slices.SortFunc(out, func(a, b Operation) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
	})
	return out
}

// Keyed is the input of every operation that changes something.
type Keyed struct {
	Key string `header:"Idempotency-Key" maxLength:"200" doc:"makes the change idempotent: sent again with the same key, it is made once and gives the first result"`
}

// command says who makes a change, why, and under which id.
func (k *Keyed) command(ctx context.Context, reason string) bide.Command {
	p := auth.From(ctx)
	return bide.Command{ID: p.Scoped(k.Key), Actor: p.Actor, Groups: p.Groups, Reason: reason}
}

// Paged is the input of listings.
type Paged struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"at most this many"`
	Cursor string `query:"cursor" maxLength:"500" doc:"next of the page before"`
}

// Conditional is the input of what has an ETag.
type Conditional struct {
	IfNoneMatch string `header:"If-None-Match" doc:"an ETag: when nothing has changed since, the answer is 304 without a body"`
}

// tag is the ETag of a run's state: its position.
func tag(run *bide.RunInfo) string {
	return `W/"` + strconv.FormatInt(run.Seq, 10) + "-" + run.Head.String()[:16] + `"`
}

// unchanged reports whether a client has what the tag is of.
func (c *Conditional) unchanged(tag string) bool {
	for _, one := range strings.Split(c.IfNoneMatch, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

// answer is a body with an ETag; with a 304, without.
type answer[T any] struct {
	Status int
	ETag   string `header:"ETag"`
	Body   *T
}

// tagged is what a conditional request gets.
func tagged[T any](c *Conditional, etag string, body *T) *answer[T] {
	if c.unchanged(etag) {
		return &answer[T]{Status: http.StatusNotModified, ETag: etag}
	}
	return &answer[T]{Status: http.StatusOK, ETag: etag, Body: body}
}

// result is an answer with a body.
type result[T any] struct{ Body *T }

func ok[T any](body *T) *result[T] { return &result[T]{Body: body} }
