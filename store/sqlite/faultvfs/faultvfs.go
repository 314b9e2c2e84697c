// Package faultvfs is a virtual file system for SQLite that lets tests and
// benchmarks of package sqlite see and disturb what reaches the disk: it counts
// flushes, delays them, and makes calls fail. Below it is the system's own file
// system, shared memory included, so that all the rest is real.
//
// It must not know the store: it sees files, not runs.
package faultvfs

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/bide-dev/bide/store/sqlite/internal/osfile"
)

// Op is a kind of call on a file.
type Op string

// The calls that can be disturbed.
const (
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpSync     Op = "sync"
	OpTruncate Op = "truncate"
)

// FS is a file system under a name, for sqlite.Options.VFS. It serves the main
// file and the write-ahead log of every database opened through it. Its methods may be called while
// databases are open.
type FS struct {
	name  string
	syncs atomic.Int64
	delay atomic.Int64

	mu   sync.Mutex
	hook func(op Op, file string) error
}

var numbers atomic.Int64

// Register returns a new file system with a name of its own. Unregister it when
// the databases opened through it are closed.
func Register() *FS {
	fs := &FS{name: fmt.Sprintf("fault-%d", numbers.Add(1))}
	vfs.Register(fs.name, fs)
	return fs
}

// Unregister forgets the name.
func (fs *FS) Unregister() { vfs.Unregister(fs.name) }

// Name is the name to open databases with.
func (fs *FS) Name() string { return fs.name }

// Syncs is how often a file was flushed so far.
func (fs *FS) Syncs() int64 { return fs.syncs.Load() }

// DelaySync makes every flush take at least d longer: a disk of known slowness.
func (fs *FS) DelaySync(d time.Duration) { fs.delay.Store(int64(d)) }

// Hook lets f see every call before it is made, with the path of the file; the write-ahead
// log's ends in "-wal". An error is what the call then gives, and nothing
// is done: an ErrorCode of package sqlite3, or an error of the system. Nil removes the hook.
// Calls may come from several goroutines at once.
func (fs *FS) Hook(f func(op Op, file string) error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.hook = f
}

// Fail lets every call of one of the kinds give err. Nil for err ends that.
func (fs *FS) Fail(err error, ops ...Op) {
	if err == nil {
		fs.Hook(nil)
		return
	}
	fs.Hook(func(op Op, _ string) error {
		for _, o := range ops {
			if o == op {
				return err
			}
		}
		return nil
	})
}

func (fs *FS) before(op Op, file string) error {
	fs.mu.Lock()
	hook := fs.hook
	fs.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(op, file)
}

// Open implements vfs.VFS.
func (fs *FS) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := vfsutil.WrapOpen(vfs.Find(""), name, flags)
	return fs.wrap(f, name, flags, err)
}

// OpenFilename implements vfs.VFSFilename.
func (fs *FS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := vfsutil.WrapOpenFilename(vfs.Find(""), name, flags)
	return fs.wrap(f, name.String(), flags, err)
}

func (fs *FS) wrap(f vfs.File, name string, flags vfs.OpenFlag, err error) (vfs.File, vfs.OpenFlag, error) {
	if err != nil || flags&(vfs.OPEN_MAIN_DB|vfs.OPEN_WAL) == 0 {
		return f, flags, err
	}
	return &file{File: osfile.File{File: f}, fs: fs, name: strings.Clone(name)}, flags, nil
}

// Delete implements vfs.VFS.
func (fs *FS) Delete(name string, syncDir bool) error { return vfs.Find("").Delete(name, syncDir) }

// Access implements vfs.VFS.
func (fs *FS) Access(name string, flags vfs.AccessFlag) (bool, error) {
	return vfs.Find("").Access(name, flags)
}

// FullPathname implements vfs.VFS.
func (fs *FS) FullPathname(name string) (string, error) { return vfs.Find("").FullPathname(name) }
