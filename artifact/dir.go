// Package artifact keeps blobs by the SHA-256 of their content, in a directory.
// It knows nothing of runs, tools or what a blob means.
package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/bide-dev/bide"
)

// Dir keeps each blob in a file under its hash. It may be used from many
// goroutines and processes at once: a blob is written beside its place, made durable and
// renamed, so that what is there under a hash is whole.
type Dir struct{ root *os.Root }

var _ Store = (*Dir)(nil)

// OpenDir opens a directory, and creates it when it is missing. Close it after use.
func OpenDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("open artifacts: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open artifacts: %w", err)
	}
	return &Dir{root: root}, nil
}

// Close ends the use of the directory.
func (d *Dir) Close() error { return d.root.Close() }

// Put keeps what it reads from r until the end and returns the SHA-256 of it, in
// hex, and its size in bytes. It is durable when Put returns. What is there
// already is not written again.
func (d *Dir) Put(ctx context.Context, r io.Reader) (sum string, size int64, err error) {
	tmp, name, err := d.temp()
	if err != nil {
		return "", 0, fmt.Errorf("keep artifact: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("keep artifact: %w", err), d.root.Remove(name))
		}
	}()
	h := sha256.New()
	size, err = io.Copy(io.MultiWriter(tmp, h), Reader(ctx, r))
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return "", 0, err
	}
	sum = hex.EncodeToString(h.Sum(nil))
	if info, err := d.root.Stat(place(sum)); err == nil && info.Size() == size {
		now := time.Now()
		if err := d.root.Chtimes(place(sum), now, now); err == nil { // it is used again; a sweep sees that
			return sum, size, d.root.Remove(name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", 0, err
		}
	}
	if err = d.root.MkdirAll(filepath.Dir(place(sum)), 0o700); err != nil {
		return "", 0, err
	}
	if err = d.root.Rename(name, place(sum)); err != nil {
		return "", 0, err
	}
	return sum, size, d.sync(filepath.Dir(place(sum)), "blobs", ".")
}

// Open returns a blob, or bide.ErrNotFound. Reading it to the end fails with
// bide.ErrCorrupt when the content is not that of the hash.
func (d *Dir) Open(_ context.Context, sum string) (io.ReadCloser, error) {
	if err := CheckSum(sum); err != nil {
		return nil, err
	}
	f, err := d.root.Open(place(sum))
	if errors.Is(err, fs.ErrNotExist) { // a sweep may have moved it aside, to put it back
		f, err = d.root.Open(filepath.Join(aside, sum))
	}
	if errors.Is(err, fs.ErrNotExist) {
		f, err = d.root.Open(place(sum))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, bide.Errorf(bide.CodeNotFound, "there is no artifact %s", sum)
	}
	if err != nil {
		return nil, fmt.Errorf("open artifact: %w", err)
	}
	return Checked(f, sum), nil
}

// place is where a blob is: blobs/ab/abcd….
func place(sum string) string { return filepath.Join("blobs", sum[:2], sum) }

// temp creates a file for a blob whose hash is not known yet.
func (d *Dir) temp() (*os.File, string, error) {
	if err := d.root.MkdirAll("tmp", 0o700); err != nil {
		return nil, "", err
	}
	name := filepath.Join("tmp", newName())
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	return f, name, err
}

// sync makes the entries of directories durable.
func (d *Dir) sync(dirs ...string) error {
	for _, name := range dirs {
		f, err := d.root.Open(name)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// reader reads until its context ends.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}
