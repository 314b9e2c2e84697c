package postgres_test

import (
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/store/postgres"
	"github.com/bide-dev/bide/storetest"
)

func TestDelete(t *testing.T) {
	storetest.Delete(t, func(t *testing.T) bide.Store { return bide.Must(postgres.Open(t.Context(), pgtest.Start(t), nil)) })
}
