package main

import (
	"context"
	"os"
	"sync/atomic"

	"github.com/bide-dev/bide"
)

// crashing kills the process around its n-th commit, as a power cut would.
type crashing struct {
	bide.Store
	at, before int
	commits    atomic.Int64
}

func (c *crashing) Commit(ctx context.Context, commit *bide.Commit) error {
	n := int(c.commits.Add(1))
	if n == c.before {
		die()
	}
	err := c.Store.Commit(ctx, commit)
	if n == c.at {
		die()
	}
	return err
}

// die does not return.
func die() {
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {}
}
