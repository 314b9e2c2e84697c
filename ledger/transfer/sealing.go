package transfer

import (
	"context"

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
