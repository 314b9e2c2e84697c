package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData flushes what is in a file, but not its times.
func syncData(f *os.File) error { return os.NewSyscallError("fdatasync", unix.Fdatasync(int(f.Fd()))) }
