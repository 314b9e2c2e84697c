package main

import (
	"context"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
)

// crashing kills the process around one of its commits, as a power cut would.
type crashing struct {
	bide.Store
	kill bidetest.Kill
}

func (c *crashing) Commit(ctx context.Context, commit *bide.Commit) error {
	return c.kill.Around(func() error { return c.Store.Commit(ctx, commit) })
}
