package bidetest

import (
	"os"
	"sync/atomic"
)

// Kill ends the process around one of its commits, as kill -9 or a power cut would:
// nothing is closed and no deferred function runs. A store for tests embeds the
// real one and has its Commit go through Around. It may be used from many goroutines.
type Kill struct {
	Before int // the commit before which the process ends, counted from 1; 0 for none
	After  int // the commit after which it ends; 0 for none
	n      atomic.Int64
}

// Around calls commit and counts it. It does not return from the commit whose turn it is.
func (k *Kill) Around(commit func() error) error {
	n := int(k.n.Add(1))
	if n == k.Before {
		die()
	}
	err := commit()
	if n == k.After {
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
