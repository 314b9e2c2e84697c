package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

// file appends lines to a file: the records, and the row of the run. The space
// is there beforehand: a flush is quicker when the file need not grow.
type file struct {
	*os.File
	lines map[*bide.Commit][]byte
	end   int64
	text  []byte
}

func rawFile(p *bench.Place, commits []*bide.Commit, group int) (took time.Duration, err error) {
	f, err := os.Create(filepath.Join(p.Dir, "raw"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := &file{File: f, lines: map[*bide.Commit][]byte{}}
	size := 0
	for _, c := range commits {
		if w.lines[c], err = lines(c); err != nil {
			return 0, err
		}
		size += len(w.lines[c])
	}
	if _, err := f.Write(make([]byte, size)); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	return writeAll(w, commits, group)
}

func lines(c *bide.Commit) (text []byte, err error) {
	for i := range c.Records {
		text = append(append(text, c.Records[i].Raw...), '\n')
	}
	row, err := json.Marshal(&c.Info)
	return append(append(text, row...), '\n'), err
}

func (f *file) write(group []*bide.Commit) error {
	f.text = f.text[:0]
	for _, c := range group {
		f.text = append(f.text, f.lines[c]...)
	}
	if _, err := f.WriteAt(f.text, f.end); err != nil {
		return err
	}
	f.end += int64(len(f.text))
	return syncData(f.File)
}
