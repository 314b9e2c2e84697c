package gateway

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/problem"
)

// problemOf makes a problem of an error, and writes down what is the server's fault.
func (s *Server) problemOf(ctx context.Context, err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return problem.New(api.CodeTimeout, "the request took too long; if it was a change, send it again with the same Idempotency-Key")
	}
	p := problem.Of(err)
	if p.Status >= http.StatusInternalServerError {
		s.opts.Logger.ErrorContext(ctx, "request failed", "code", string(p.Code), "err", err)
	}
	return p
}

// asProblem makes problems of what huma itself refuses: it is a transformer of answers.
func asProblem(_ huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	codes := map[int]bide.Code{
		http.StatusBadRequest: api.CodeBadRequest, http.StatusRequestEntityTooLarge: api.CodeTooLarge, http.StatusNotAcceptable: api.CodeNotAcceptable,
		http.StatusUnsupportedMediaType: api.CodeMedia, http.StatusRequestTimeout: api.CodeTimeout, http.StatusUnprocessableEntity: bide.CodeInvalidInput,
	}
	code, known := codes[e.Status]
	if !known {
		code = api.CodeInternal
	}
	p := api.NewProblem(e.Status, code, e.Detail)
	for _, d := range e.Errors {
		p.Faults = append(p.Faults, bide.Fault{Path: d.Location, Message: d.Message})
	}
	return p, nil
}
