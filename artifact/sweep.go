package artifact

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"
)

// A blob that is to go is first moved aside. If its time says then that it was put again meanwhile, it comes back; and a
// Put that does not find it at its place writes it anew. So nobody needs a lock, in this process or another.

const aside = "aside"

// Sweep implements Store. What is being written, in the folder tmp, is not looked at unless it is a day old.
func (d *Dir) Sweep(ctx context.Context, before time.Time, keep Keep) (out Swept, err error) {
	if err := CheckAge(before); err != nil {
		return out, err
	}
	if err := d.comeBack(); err != nil {
		return out, err
	}
	err = fs.WalkDir(d.root.FS(), "blobs", func(name string, e fs.DirEntry, err error) error {
		sum := filepath.Base(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || e.IsDir():
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case CheckSum(sum) != nil || !e.Type().IsRegular():
			return nil
		}
		return d.sweep(ctx, sum, before, keep, &out)
	})
	return out, errors.Join(err, d.abandoned())
}

// sweep removes one blob, unless something speaks against it.
func (d *Dir) sweep(ctx context.Context, sum string, before time.Time, keep Keep, out *Swept) error {
	info, err := d.root.Stat(place(sum))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	stays := !info.ModTime().Before(before)
	if !stays {
		if stays, err = keep(ctx, sum); err != nil {
			return err
		}
	}
	if stays {
		out.Kept++
		return nil
	}
	if err := d.root.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	if err := d.root.Rename(place(sum), filepath.Join(aside, sum)); err != nil {
		return err
	}
	if info, err = d.root.Stat(filepath.Join(aside, sum)); err != nil {
		if errors.Is(err, fs.ErrNotExist) { // another sweep has put it back
			return nil
		}
		return err
	}
	if !info.ModTime().Before(before) {
		out.Kept++
		return d.root.Rename(filepath.Join(aside, sum), place(sum))
	}
	out.Removed, out.Bytes = out.Removed+1, out.Bytes+info.Size()
	return d.root.Remove(filepath.Join(aside, sum))
}

// comeBack puts back what a sweep that was cut off had moved aside.
func (d *Dir) comeBack() error {
	left, err := fs.ReadDir(d.root.FS(), aside)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range left {
		if err := d.root.MkdirAll(filepath.Dir(place(e.Name())), 0o700); err != nil {
			return err
		}
		if err := d.root.Rename(filepath.Join(aside, e.Name()), place(e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// abandoned removes what a Put that died a day ago has left.
func (d *Dir) abandoned() error {
	left, err := fs.ReadDir(d.root.FS(), "tmp")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range left {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			if err := d.root.Remove(filepath.Join("tmp", e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
