package file

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
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

const frameStart = `{"group":`

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maxHeader bounds the header line.
const maxHeader = 128

// buildFrame writes a frame whose body is made of pieces; the last ends with the
// end of a line. It uses the memory of buf, which may be nil, and returns it as well, perhaps grown.
func buildFrame(buf []byte, group, synced int64, body ...[]byte) (frame, grown []byte) {
	buf = append(buf[:0], make([]byte, maxHeader)...) // for the header, which goes right before the body
	for _, piece := range body {
		buf = append(buf, piece...)
	}
	var space [maxHeader]byte
	h := append(space[:0], frameStart...)
	h = strconv.AppendInt(h, group, 10)
	h = append(h, `,"synced":`...)
	h = strconv.AppendInt(h, synced, 10)
	h = append(h, `,"bytes":`...)
	h = strconv.AppendInt(h, int64(len(buf)-maxHeader), 10)
	sum := crc32.Update(crc32.Checksum(h, castagnoli), castagnoli, buf[maxHeader:])
	h = append(h, `,"sum":"`...)
	h = hex.AppendEncode(h, binary.BigEndian.AppendUint32(nil, sum))
	h = append(h, "\"}\n"...)
	start := maxHeader - len(h)
	copy(buf[start:], h)
	return buf[start:], buf
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
	again, _ := buildFrame(nil, f.group, f.synced, f.body)
	return f, size, bytes.Equal(again, b[:size])
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
