package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"time"

	"github.com/bide-dev/bide"
)

// Store keeps blobs by the SHA-256 of their content: Dir in a directory, artifact/s3 in a bucket.
type Store interface {
	// Put keeps what it reads from r until the end and returns the SHA-256 of it, in hex, and its size in
	// bytes. It is durable when Put returns. What is there already is kept once.
	Put(ctx context.Context, r io.Reader) (sum string, size int64, err error)
	// Open returns a blob, or bide.ErrNotFound. Reading it to the end fails with bide.ErrCorrupt when the content is not that of the hash.
	Open(ctx context.Context, sum string) (io.ReadCloser, error)
	// Sweep removes the blobs that were last put before a time, at least MinAge ago, and that keep does not want
	// kept. A blob that is put again meanwhile stays. Cut off, it is done by calling it again.
	Sweep(ctx context.Context, before time.Time, keep Keep) (Swept, error)
	// Close ends the use of the store.
	Close() error
}

// Keep reports whether a blob is still needed. It is asked right before the blob would be removed.
type Keep func(ctx context.Context, sum string) (bool, error)

// Swept is what a Sweep did.
type Swept struct {
	Removed int64 `json:"removed"`
	Bytes   int64 `json:"bytes"` // of the removed
	Kept    int64 `json:"kept"`
}

// MinAge is how long ago a blob must have been put for a Sweep to remove it: who has put one needs time to say where it is used.
const MinAge = time.Hour

// CheckAge fails with bide.ErrInvalidInput when a time is less than MinAge ago.
func CheckAge(before time.Time) error {
	if age := time.Since(before); age < MinAge {
		return bide.Errorf(bide.CodeInvalidInput, "blobs that were put %s ago may be about to be used; the least age is %s", age.Round(time.Second), MinAge)
	}
	return nil
}

// CheckSum fails with bide.ErrInvalidInput when a text is not a SHA-256 in hex.
func CheckSum(sum string) error {
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size || hex.EncodeToString(raw) != sum {
		return bide.Errorf(bide.CodeInvalidInput, "%.100q is not a SHA-256 in hex", sum)
	}
	return nil
}

// Checked returns a blob whose reading fails with bide.ErrCorrupt at its end when it is not what its hash says.
func Checked(blob io.ReadCloser, sum string) io.ReadCloser {
	return &checked{f: blob, want: sum, hash: sha256.New()}
}

// Reader returns a reader that fails when ctx ends.
func Reader(ctx context.Context, r io.Reader) io.Reader { return reader{ctx, r} }
