package file

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
)

// Limits of the space that is filled beforehand: the disk is flushed faster when a file need not grow.
const (
	minFill   = 64 << 10
	maxFill   = 1 << 20
	fillBelow = 8 << 10 // larger groups gain nothing from it
)

// keepMemory is the largest buffer that is kept for the next group.
const keepMemory = 8 << 20

// journal is the write-ahead journal: a commit is durable once its group is in
// it. It is a directory of segments, each named after its first group, of which the last
// one grows; those before it go when all that is in them has reached the other
// files. It is guarded by Store.turn.
type journal struct {
	disk disk
	dir  string
	full bool // flush every group

	file   diskFile // the segment that grows; nil until the next group
	path   string
	end    int64        // of the last group in it
	filled int64        // of the space that it has
	failed bool         // there may be something after end
	group  int64        // the last group
	synced int64        // the last group that is on the disk
	old    []string     // segments before
	size   atomic.Int64 // bytes of groups in all segments
	memory []byte       // reused
	blank  []byte       // what space is filled with
}

const segmentSuffix = ".jsonl"

// segmentName is the name of the segment that begins with a group.
func segmentName(first int64) string { return fmt.Sprintf("%016d%s", first, segmentSuffix) }

// append adds a group, whose body is made of pieces. After an error
// it is not there, unless undoing it fails as well, which is tried again then before the next group.
func (j *journal) append(body [][]byte) (group int64, err error) {
	if err := j.ready(); err != nil {
		return 0, err
	}
	frame, grown := buildFrame(j.memory, j.group+1, j.synced, body...)
	if j.memory = grown; cap(grown) > keepMemory {
		j.memory = nil
	}
	if err := j.write(frame); err != nil {
		return 0, errors.Join(err, j.undo())
	}
	size := int64(len(frame))
	j.end += size
	j.size.Add(size)
	j.group++
	if j.full {
		j.synced = j.group
	}
	return j.group, nil
}

// ready sees to a segment that can take a group.
func (j *journal) ready() error {
	if j.file != nil {
		return j.undo()
	}
	path := filepath.Join(j.dir, segmentName(j.group+1))
	f, err := j.disk.Open(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	if err := j.disk.SyncDir(j.dir); err != nil {
		return errors.Join(err, f.Close())
	}
	j.file, j.path, j.end, j.filled, j.failed = f, path, 0, 0, false
	return nil
}

// write puts a frame after the last one.
func (j *journal) write(frame []byte) error {
	j.failed = true // until all of it is done
	if _, err := j.file.WriteAt(frame, j.end); err != nil {
		return err
	}
	if j.full {
		j.fill(j.end + int64(len(frame)))
		if err := j.file.Sync(); err != nil {
			return err
		}
	}
	j.failed = false
	return nil
}

// fill adds empty lines after a small group that ends outside of the space that
// there is. If there is no room for them, the group does without.
func (j *journal) fill(end int64) {
	if end <= j.filled {
		return
	}
	j.filled = end
	if end-j.end >= fillBelow {
		return
	}
	more := min(max(end, minFill), maxFill)
	if int64(len(j.blank)) < more {
		j.blank = bytes.Repeat([]byte("\n"), int(more))
	}
	if _, err := j.file.WriteAt(j.blank[:more], end); err == nil {
		j.filled = end + more
	}
}

// undo removes what a failed write may have left.
func (j *journal) undo() error {
	if !j.failed {
		return nil
	}
	if err := j.file.Truncate(j.end); err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	j.filled = j.end
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	j.failed = false
	return nil
}

// rotate ends the segment that grows and returns all there are, and their
// size. Groups that come later are in others.
func (j *journal) rotate() (segments []string, size int64, err error) {
	if j.file != nil {
		if err := j.undo(); err != nil {
			return nil, 0, err
		}
		if j.synced < j.group {
			if err := j.file.Sync(); err != nil {
				return nil, 0, err
			}
			j.synced = j.group
		}
		_ = j.file.Close() // all of it is on the disk
		j.old = append(j.old, j.path)
		j.file = nil
	}
	return append([]string(nil), j.old...), j.size.Load(), nil
}

// drop removes segments whose contents have reached the other files.
func (j *journal) drop(segments []string, size int64) error {
	for _, path := range segments {
		if err := j.disk.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	j.old = j.old[len(segments):]
	j.size.Add(-size)
	return nil
}

// flush makes groups durable up to one.
func (j *journal) flush(group int64) error {
	if j.synced >= group || j.file == nil {
		return nil
	}
	if err := j.undo(); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.synced = j.group
	return nil
}

// close gives up the segment that grows.
func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}
