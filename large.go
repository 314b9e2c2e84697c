package bide

import (
	"context"
	"fmt"
)

// Large keeps results of effects that are above a size outside of the store of runs. In their place the ledger and the
// vars have a LargeResult, which names them by their hash; workflows pass it on, and handlers load what it names.
type Large struct {
	// Above is the size in bytes, as JSON, from which on a result is kept elsewhere; more than zero. Limits.ValueBytes
	// bounds what stays.
	Above int
	// Keep keeps a value, durably when it returns, and gives the SHA-256 of its text in hex. An error fails the attempt.
	Keep func(ctx context.Context, value JSON) (sha256 string, err error)
}

// LargeResult stands for a result that is kept elsewhere.
type LargeResult struct {
	SHA256    string `json:"sha256"`
	Bytes     int    `json:"bytes"`
	MediaType string `json:"media_type"` // application/json
}

// offload puts a reference in the place of a large result.
func (l *Large) offload(ctx context.Context, res *result) {
	if l == nil || l.Keep == nil || res.fail != nil || res.wait != nil || len(res.value) <= l.Above {
		return
	}
	sum, err := l.Keep(ctx, res.value)
	if err != nil {
		res.value, res.writes = nil, nil
		res.fail = &Failure{Code: FailureTooLarge, Message: fmt.Sprintf("the large result could not be kept: %v", err)}
		return
	}
	if res.value, err = encodeOwn(LargeResult{sum, len(res.value), "application/json"}); err != nil {
		res.fail = &Failure{Code: FailureNotJSON, Message: err.Error()}
	}
}
