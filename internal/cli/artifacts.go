package cli

import (
	"context"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/artifact/s3"
)

// openArtifacts opens the folder or bucket that an address names.
func openArtifacts(ctx context.Context, address string) (artifact.Store, error) {
	if strings.HasPrefix(address, "s3:") {
		return s3.Open(ctx, address, nil)
	}
	return artifact.OpenDir(address)
}

// large keeps results of effects that are too large for the ledger as artifacts.
func large(blobs artifact.Store, above int) *bide.Large {
	return &bide.Large{Above: above, Keep: func(ctx context.Context, value bide.JSON) (string, error) {
		sum, _, err := blobs.Put(ctx, strings.NewReader(string(value)))
		return sum, err
	}}
}
