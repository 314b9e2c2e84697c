// Package osfile wraps the files of a virtual file system of SQLite, keeping
// all that SQLite needs of a file on disk: locks, shared memory, hints. It must
// not know why they are wrapped.
package osfile

import (
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// File is a file whose methods another type overrides by embedding it. Beyond vfs.File
// it has the methods that the system's files have.
type File struct{ vfs.File }

var (
	_ vfs.FileUnwrap             = File{}
	_ vfs.FileLockState          = File{}
	_ vfs.FileHasMoved           = File{}
	_ vfs.FileSizeHint           = File{}
	_ vfs.FilePersistWAL         = File{}
	_ vfs.FilePowersafeOverwrite = File{}
	_ vfs.FileSharedMemory       = File{}
)

// DeviceCharacteristics leaves out the atomic batches of writes that some file
// systems offer: a log has no use for them, and they would pass by WriteAt.
func (f File) DeviceCharacteristics() vfs.DeviceCharacteristic {
	return f.File.DeviceCharacteristics() &^ vfs.IOCAP_BATCH_ATOMIC
}

// Unwrap implements vfs.FileUnwrap.
func (f File) Unwrap() vfs.File { return f.File }

// LockState implements vfs.FileLockState.
func (f File) LockState() vfs.LockLevel { return vfsutil.WrapLockState(f.File) }

// HasMoved implements vfs.FileHasMoved.
func (f File) HasMoved() (bool, error) { return vfsutil.WrapHasMoved(f.File) }

// SizeHint implements vfs.FileSizeHint.
func (f File) SizeHint(size int64) error { return vfsutil.WrapSizeHint(f.File, size) }

// PersistWAL implements vfs.FilePersistWAL.
func (f File) PersistWAL() bool { return vfsutil.WrapPersistWAL(f.File) }

// SetPersistWAL implements vfs.FilePersistWAL.
func (f File) SetPersistWAL(keep bool) { vfsutil.WrapSetPersistWAL(f.File, keep) }

// PowersafeOverwrite implements vfs.FilePowersafeOverwrite.
func (f File) PowersafeOverwrite() bool { return vfsutil.WrapPowersafeOverwrite(f.File) }

// SetPowersafeOverwrite implements vfs.FilePowersafeOverwrite.
func (f File) SetPowersafeOverwrite(psow bool) { vfsutil.WrapSetPowersafeOverwrite(f.File, psow) }

// SharedMemory implements vfs.FileSharedMemory.
func (f File) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(f.File) }
