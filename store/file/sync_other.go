//go:build !linux

package file

import "os"

// syncData flushes a file.
func syncData(f *os.File) error { return f.Sync() }
