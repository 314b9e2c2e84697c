package file

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

var (
	errInjected = errors.New("injected fault")
	errStopped  = errors.New("the process has stopped")
)

// memDisk is a disk in memory that knows what was flushed, so that it can lose
// the rest, and that lets operations fail.
type memDisk struct {
	mu    sync.Mutex
	now   tree // what a process sees
	safe  tree // which files survive loss of power
	locks map[string]bool

	ops     int                             // operations that change something, so far
	fault   func(op int, what string) error // what is to become of one
	reading func(path string) error         // what is to become of a read
	torn    func(n int) int                 // how much of a write that fails is done
	traffic map[string]int                  // by kind of operation
	stopped bool                            // every operation fails
}

// tree is a set of files and directories; directories have no contents.
type tree map[string]*memFile

type memFile struct {
	dir       bool
	now, safe []byte
}

func newMemDisk() *memDisk {
	d := &memDisk{now: tree{}, safe: tree{}, locks: map[string]bool{}, torn: func(n int) int { return n / 2 }, traffic: map[string]int{}}
	for _, dir := range []string{"/", "/data"} {
		d.now[dir] = &memFile{dir: true}
		d.safe[dir] = d.now[dir]
	}
	return d
}

// change counts an operation and says what is to become of it. d.mu must be held.
func (d *memDisk) change(what string) error {
	if d.stopped {
		return errStopped
	}
	d.ops++
	d.traffic[what]++
	if d.fault != nil {
		return d.fault(d.ops, what)
	}
	return nil
}

// stopAt lets operation k fail, and all after it.
func (d *memDisk) stopAt(k int) {
	d.fault = func(op int, _ string) error {
		if op < k {
			return nil
		}
		d.stopped = true
		return errInjected
	}
}

// killed is the disk after the death of the process: what was written is there, flushed or not.
func (d *memDisk) killed(*rand.Rand) *memDisk {
	out := newMemDisk()
	out.now, out.safe = maps.Clone(d.now), maps.Clone(d.safe)
	copies := map[*memFile]*memFile{}
	for _, t := range []tree{out.now, out.safe} {
		for path, f := range t {
			if copies[f] == nil {
				copies[f] = &memFile{f.dir, slices.Clone(f.now), slices.Clone(f.safe)}
			}
			t[path] = copies[f]
		}
	}
	return out
}

// powerless is the disk after loss of power: only what was flushed is there.
func (d *memDisk) powerless(*rand.Rand) *memDisk {
	out := newMemDisk()
	for path, f := range d.safe {
		if d.safe.reaches(path) {
			out.now[path] = &memFile{f.dir, slices.Clone(f.safe), slices.Clone(f.safe)}
		}
	}
	out.safe = maps.Clone(out.now)
	return out
}

// torn is the disk after loss of power, when some of what was not flushed had been written.
func (d *memDisk) tornApart(r *rand.Rand) *memDisk {
	out := newMemDisk()
	for path := range d.now {
		if d.safe[path] == nil && r.IntN(2) == 0 {
			out.now[path] = d.now[path]
		}
	}
	for path, f := range d.safe {
		if d.now[path] != nil && r.IntN(2) == 0 {
			f = d.now[path]
		}
		out.now[path] = f
	}
	for path, f := range out.now {
		if !out.now.reaches(path) {
			delete(out.now, path)
			continue
		}
		b := slices.Clone(f.safe)
		for at := 0; at < len(f.now); at += 64 { // pieces of it
			if end := min(at+64, len(f.now)); r.IntN(2) == 0 {
				if len(b) < end {
					b = append(b, make([]byte, end-len(b))...)
				}
				copy(b[at:end], f.now[at:end])
			}
		}
		out.now[path] = &memFile{f.dir, b, slices.Clone(b)}
	}
	out.safe = maps.Clone(out.now)
	return out
}

// reaches reports whether all directories above a path are there.
func (t tree) reaches(path string) bool {
	for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
		if t[dir] == nil {
			return false
		}
	}
	return true
}

func notExist(op, path string) error { return &fs.PathError{Op: op, Path: path, Err: fs.ErrNotExist} }

func (d *memDisk) Open(path string, flags int) (diskFile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.now[path]
	creates := f == nil && flags&os.O_CREATE != 0
	if creates || f != nil && flags&os.O_TRUNC != 0 {
		if err := d.change("create"); err != nil {
			return nil, err
		}
	} else if d.stopped {
		return nil, errStopped
	}
	switch {
	case creates:
		if p := d.now[filepath.Dir(path)]; p == nil || !p.dir {
			return nil, notExist("open", path)
		}
		f = &memFile{}
		d.now[path] = f
	case f == nil || f.dir:
		return nil, notExist("open", path)
	case flags&os.O_TRUNC != 0:
		f.now = nil
	}
	return &memHandle{d, f, path}, nil
}

func (d *memDisk) Size(path string) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.now[path]; f != nil {
		return int64(len(f.now)), nil
	}
	return 0, notExist("stat", path)
}

func (d *memDisk) ReadDir(path string) (out []dirEntry, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now[path] == nil {
		return nil, notExist("readdir", path)
	}
	for p, f := range d.now {
		if filepath.Dir(p) == path && p != "/" {
			out = append(out, dirEntry{filepath.Base(p), f.dir})
		}
	}
	slices.SortFunc(out, func(a, b dirEntry) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

func (d *memDisk) MakeDir(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now[path] != nil {
		return nil
	}
	if err := d.change("mkdir"); err != nil {
		return err
	}
	d.now[path] = &memFile{dir: true}
	return nil
}

func (d *memDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change("rename"); err != nil {
		return err
	}
	if d.now[from] == nil {
		return notExist("rename", from)
	}
	d.now[to] = d.now[from]
	delete(d.now, from)
	return nil
}

func (d *memDisk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change("remove"); err != nil {
		return err
	}
	if d.now[path] == nil {
		return notExist("remove", path)
	}
	for p := range d.now {
		if filepath.Dir(p) == path {
			return &fs.PathError{Op: "remove", Path: path, Err: errors.New("directory not empty")}
		}
	}
	delete(d.now, path)
	return nil
}

func (d *memDisk) SyncDir(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change("syncdir"); err != nil {
		return err
	}
	in := func(p string, _ *memFile) bool { return filepath.Dir(p) == path && p != "/" }
	for p, f := range d.safe { // a directory that was removed takes along what it had, even if another has its name now
		if in(p, f) && f.dir && d.now[p] != f {
			maps.DeleteFunc(d.safe, func(q string, _ *memFile) bool { return strings.HasPrefix(q, p+"/") })
		}
	}
	maps.DeleteFunc(d.safe, in)
	for p, f := range d.now {
		if in(p, f) {
			d.safe[p] = f
		}
	}
	return nil
}

func (d *memDisk) LockToRead(path string) (io.Closer, error) { return d.Lock(path) }

func (d *memDisk) Lock(path string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locks[path] {
		return nil, &lockedError{"1234"}
	}
	if d.stopped {
		return nil, errStopped
	}
	d.locks[path] = true
	if d.now[path] == nil {
		d.now[path] = &memFile{}
	}
	return memLock{d, path}, nil
}

type memLock struct {
	disk *memDisk
	path string
}

func (l memLock) Close() error {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	delete(l.disk.locks, l.path)
	return nil
}

type memHandle struct {
	disk *memDisk
	file *memFile
	path string
}

func (h *memHandle) Close() error { return nil }

func (h *memHandle) ReadAt(b []byte, at int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.disk.reading != nil {
		if err := h.disk.reading(h.path); err != nil {
			return 0, err
		}
	}
	if at >= int64(len(h.file.now)) {
		return 0, io.EOF
	}
	n := copy(b, h.file.now[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memHandle) WriteAt(b []byte, at int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	err := h.disk.change("write")
	if errors.Is(err, errStopped) {
		return 0, err
	}
	if err != nil {
		b = b[:h.disk.torn(len(b))]
	}
	if need := int(at) + len(b); need > len(h.file.now) {
		h.file.now = append(h.file.now, make([]byte, need-len(h.file.now))...)
	}
	return copy(h.file.now[at:], b), err
}

func (h *memHandle) Truncate(size int64) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.disk.change("truncate"); err != nil {
		return err
	}
	h.file.now = slices.Clone(h.file.now[:size])
	return nil
}

func (h *memHandle) Sync() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.disk.change("sync"); err != nil {
		return err
	}
	h.file.safe = slices.Clone(h.file.now)
	return nil
}
