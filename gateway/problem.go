package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
)

// statuses says with which HTTP status each code travels.
func statuses() map[bide.Code]int {
	return map[bide.Code]int{
		bide.CodeNotFound:        http.StatusNotFound,
		bide.CodeExists:          http.StatusConflict,
		bide.CodeConflict:        http.StatusConflict,
		bide.CodeFenced:          http.StatusConflict,
		bide.CodeKeyReused:       http.StatusConflict,
		bide.CodeCommandReused:   http.StatusUnprocessableEntity,
		bide.CodeAlreadyDecided:  http.StatusConflict,
		bide.CodeExpired:         http.StatusGone,
		bide.CodeInvalidAnswer:   http.StatusUnprocessableEntity,
		bide.CodeArgsChanged:     http.StatusPreconditionFailed,
		bide.CodeForbidden:       http.StatusForbidden,
		bide.CodeInvalidInput:    http.StatusUnprocessableEntity,
		bide.CodeInvalidWorkflow: http.StatusUnprocessableEntity,
		bide.CodeUnknownWorkflow: http.StatusNotFound,
		bide.CodeWrongStatus:     http.StatusConflict,
		bide.CodeDiverged:        http.StatusConflict,
		bide.CodeCorrupt:         http.StatusInternalServerError,
		bide.CodeStoreLocked:     http.StatusServiceUnavailable,
		bide.CodeStoreReadOnly:   http.StatusServiceUnavailable,
		bide.CodeStoreFull:       http.StatusInsufficientStorage,
		bide.CodeStoreTooNew:     http.StatusInternalServerError,
		bide.CodeStoreForeign:    http.StatusInternalServerError,
		bide.CodeStoreClosed:     http.StatusServiceUnavailable,

		api.CodeBadRequest:      http.StatusBadRequest,
		api.CodeUnauthenticated: http.StatusUnauthorized,
		api.CodeNoRoute:         http.StatusNotFound,
		api.CodeMethod:          http.StatusMethodNotAllowed,
		api.CodeNotAcceptable:   http.StatusNotAcceptable,
		api.CodeTimeout:         http.StatusServiceUnavailable,
		api.CodeTooLarge:        http.StatusRequestEntityTooLarge,
		api.CodeMedia:           http.StatusUnsupportedMediaType,
		api.CodeTooMany:         http.StatusTooManyRequests,
		api.CodeInternal:        http.StatusInternalServerError,
		api.CodeUnavailable:     http.StatusServiceUnavailable,
	}
}

// newProblem makes a problem of a code.
func newProblem(code bide.Code, detail string) *api.Problem {
	status, ok := statuses()[code]
	if !ok {
		status = http.StatusInternalServerError
	}
	return api.NewProblem(status, code, detail)
}

// problemOf makes a problem of an error. What is not meant for a client is not said.
func (s *Server) problemOf(ctx context.Context, err error) *api.Problem {
	var p *api.Problem
	var e *bide.Error
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &large):
		return newProblem(api.CodeTooLarge, "the body of the request is larger than the limit")
	case errors.As(err, &e):
		p = newProblem(e.Code, e.Message)
		if e.Err != nil && p.Status < http.StatusInternalServerError {
			p.Detail = strings.TrimPrefix(p.Detail+": "+e.Err.Error(), ": ")
		}
		p.Run, p.Wait, p.Faults, p.Decision = e.Run, e.Wait, e.Faults, e.Decision
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return newProblem(api.CodeTimeout, "the request took too long; if it was a change, send it again with the same Idempotency-Key")
	default:
		p = newProblem(api.CodeInternal, "something went wrong in the server; its log says what")
	}
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

// refuse writes a problem outside of an operation.
func refuse(w http.ResponseWriter, p *api.Problem) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a reader that is gone needs no word
}
