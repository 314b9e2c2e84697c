package file

import (
	"bytes"
	"encoding/json"
	"hash/crc32"
	"strconv"
)

// A frame is a group of commits in the journal: a header line, which says how
// many bytes follow and what their checksum is, and then the lines of the
// group. It counts as a whole or not at all.
//
//	{"group":17,"synced":16,"bytes":812,"sum":"0f1e2d3c"}
type frame struct {
	group  int64 // from 1, without gaps over all segments
	synced int64 // the last group that was on the disk when this one was written
	body   []byte
}

type frameHeader struct {
	Group  int64  `json:"group"`
	Synced int64  `json:"synced"`
	Bytes  int    `json:"bytes"`
	Sum    string `json:"sum"`
}

const (
	frameStart = `{"group":`
	maxHeader  = 128
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame writes a frame; the body ends with the end of a line.
func appendFrame(b []byte, group, synced int64, body []byte) []byte {
	start := len(b)
	b = append(b, frameStart...)
	b = strconv.AppendInt(b, group, 10)
	b = append(b, `,"synced":`...)
	b = strconv.AppendInt(b, synced, 10)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	sum := crc32.Update(crc32.Checksum(b[start:], castagnoli), castagnoli, body)
	b = append(b, `,"sum":"`...)
	const hex = "0123456789abcdef"
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, hex[sum>>shift&15])
	}
	b = append(b, "\"}\n"...)
	return append(b, body...)
}

// parseFrame reads the frame that b begins with, and its length.
func parseFrame(b []byte) (f frame, size int, ok bool) {
	end := bytes.IndexByte(b[:min(len(b), maxHeader)], '\n')
	if end < 0 {
		return f, 0, false
	}
	var h frameHeader
	if json.Unmarshal(b[:end], &h) != nil || h.Bytes < 0 || h.Bytes > len(b)-end-1 {
		return f, 0, false
	}
	f = frame{h.Group, h.Synced, b[end+1 : end+1+h.Bytes]}
	size = end + 1 + h.Bytes
	return f, size, bytes.Equal(appendFrame(nil, f.group, f.synced, f.body), b[:size])
}

// gap is a piece of a segment that no frame could be read from.
type gap struct {
	from, to int
	frames   int // whole ones before it
}

// parseFrames reads a segment. Empty lines at the end are space that was filled
// beforehand; end is where they begin.
func parseFrames(b []byte) (frames []frame, gaps []gap, end int) {
	end = len(bytes.TrimRight(b, "\n")) // frames end with a line end, which the first parse takes along
	at := 0
	for at < end {
		if f, size, ok := parseFrame(b[at:]); ok {
			frames = append(frames, f)
			at += size
			continue
		}
		next := nextFrame(b, at)
		gaps = append(gaps, gap{at, next, len(frames)})
		at = next
	}
	return frames, gaps, max(end, at)
}

// nextFrame is where the next whole frame begins after at, or the end of b.
func nextFrame(b []byte, at int) int {
	for {
		i := bytes.Index(b[at:], []byte("\n"+frameStart))
		if i < 0 {
			return len(b)
		}
		at += i + 1
		if _, _, ok := parseFrame(b[at:]); ok {
			return at
		}
	}
}
