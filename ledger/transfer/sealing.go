package transfer

import (
	"context"
	"io"

	"github.com/bide-dev/bide"
)

// sealing is a store that is encrypted. Runs leave it and come into it as they are stored, with their data
// keys wrapped as they are.
type sealing interface {
	bide.Sealing
	OpenRecord(ctx context.Context, runID string, rec *bide.Record) error
	ExportKey(ctx context.Context, runID string) (bide.JSON, error)
	ImportKey(ctx context.Context, key bide.JSON) error
	SealWaits(ctx context.Context, key bide.JSON, waits []bide.Wait) ([]bide.Wait, error)
	SealMail(ctx context.Context, key bide.JSON, mail []bide.Message) ([]bide.Message, error)
}

// sealedArtifacts are blobs that are encrypted. They leave as they are kept, with their data keys wrapped as they are, and
// are encrypted anew where they come in.
type sealedArtifacts interface {
	OpenStored(ctx context.Context, sum string) (r io.ReadCloser, name string, key bide.JSON, err error)
	Unseal(ctx context.Context, key bide.JSON, r io.Reader) (io.Reader, error)
}
