package api

import (
	"strings"

	"github.com/bide-dev/bide"
)

// ProblemType begins the type of every problem; the code follows.
const ProblemType = "urn:bide:problem:"

// Codes of problems that are the gateway's and not bide's.
const (
	CodeBadRequest      bide.Code = "bad_request"      // the request cannot be read
	CodeUnauthenticated bide.Code = "unauthenticated"  // there are no credentials, or none that are known
	CodeNoRoute         bide.Code = "no_such_endpoint" // nothing is at the path
	CodeMethod          bide.Code = "method_not_allowed"
	CodeNotAcceptable   bide.Code = "not_acceptable"
	CodeTimeout         bide.Code = "timeout"
	CodeTooLarge        bide.Code = "too_large"
	CodeMedia           bide.Code = "unsupported_media_type"
	CodeTooMany         bide.Code = "too_many"
	CodeInternal        bide.Code = "internal"
	CodeUnavailable     bide.Code = "unavailable"
)

// Problem is an error as it travels (RFC 9457). Its type is ProblemType and its code.
type Problem struct {
	Type     string         `json:"type" format:"uri"`
	Title    string         `json:"title"`
	Status   int            `json:"status"`
	Detail   string         `json:"detail,omitempty"`
	Code     bide.Code      `json:"code" doc:"the last part of the type"`
	Run      string         `json:"run_id,omitempty"`
	Wait     string         `json:"wait_id,omitempty"`
	Faults   []bide.Fault   `json:"faults,omitempty" doc:"everything that is wrong, with its place"`
	Decision *bide.Decision `json:"decision,omitempty" doc:"with already_decided: who answered, when and what"`
}

// NewProblem makes a problem.
func NewProblem(status int, code bide.Code, detail string) *Problem {
	return &Problem{Type: ProblemType + string(code), Title: strings.ReplaceAll(string(code), "_", " "), Status: status, Code: code, Detail: detail}
}

// Err makes the problem the error that it was.
func (p *Problem) Err() *bide.Error {
	return &bide.Error{Code: p.Code, Message: p.Detail, Run: p.Run, Wait: p.Wait, Faults: p.Faults, Decision: p.Decision}
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Err().Error() }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType makes a media type that of a problem.
func (p *Problem) ContentType(string) string { return "application/problem+json" }
