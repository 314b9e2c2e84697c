//go:build !linux

package flush

import (
	"errors"
	"time"
)

func watch(time.Duration) error { return errors.New("flushes can be seen on Linux only") }
