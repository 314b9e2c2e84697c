package tool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"sync"

	"github.com/bide-dev/bide"
)

// Artifacts keeps blobs; package artifact has one in a directory.
type Artifacts interface {
	// Put keeps what r has and returns its SHA-256 in hex and its size.
	Put(ctx context.Context, r io.Reader) (sum string, size int64, err error)
	// Open returns a blob by its SHA-256.
	Open(ctx context.Context, sum string) (io.ReadCloser, error)
}

// Artifact names a blob.
type Artifact struct {
	Name   string `json:"name"` // what it is: request, response, result
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
	// Lost means that only the hash is known: no Artifacts were given, or they
	// failed after the call had been made.
	Lost bool `json:"lost,omitempty"`
}

// recorder keeps the evidence of one attempt.
type recorder struct {
	keep Artifacts
	mu   sync.Mutex
	list []Artifact
}

// Keep puts on record what is sent to the outside, before it is sent, or what
// came back. Secrets must not be in it. An error means that it could not be kept: what was not sent yet
// should then not be.
func (req *Request) Keep(ctx context.Context, name string, content []byte) error {
	if req.evidence == nil {
		return nil
	}
	return req.evidence.add(ctx, name, content)
}

func (rec *recorder) add(ctx context.Context, name string, content []byte) error {
	sum := sha256.Sum256(content)
	a := Artifact{Name: name, SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(content)), Lost: true}
	var err error
	if rec.keep != nil {
		if _, _, err = rec.keep.Put(context.WithoutCancel(ctx), bytes.NewReader(content)); err == nil {
			a.Lost = false
		} else {
			err = bide.Errorf(bide.CodeStoreFull, "the evidence of the call could not be kept: %w", err)
		}
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.list = append(rec.list, a)
	return err
}

func (rec *recorder) all() []Artifact {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return append([]Artifact(nil), rec.list...)
}
