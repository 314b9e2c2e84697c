package file

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/bide-dev/bide"
)

// ledger is what is known in memory of a run's records. The file has the first
// of them; the others are on their way to it.
type ledger struct {
	size    int64    // bytes of all records, with their line ends
	filed   int64    // bytes of those that the file has
	synced  int64    // bytes of those that are on the disk
	pending [][]byte // the records after filed
	marks   []place  // some places in it, by number
}

// place is the place of a record: its number and where its line begins.
type place struct{ seq, offset int64 }

// markEvery is the distance of the marks that are kept, in records.
const markEvery = 64

// add puts a record, whose number is seq, at the end.
func (l *ledger) add(seq int64, raw []byte) {
	if seq%markEvery == 0 {
		l.mark(seq, l.size)
	}
	l.pending = append(l.pending, raw)
	l.size += int64(len(raw)) + 1
}

func (l *ledger) mark(seq, offset int64) {
	if i, found := slices.BinarySearchFunc(l.marks, seq, compareMark); !found {
		l.marks = slices.Insert(l.marks, i, place{seq, offset})
	}
}

func compareMark(m place, seq int64) int { return int(m.seq - seq) }

// before is the last mark at or before a record.
func (l *ledger) before(seq int64) place {
	i, found := slices.BinarySearchFunc(l.marks, seq, compareMark)
	switch {
	case found:
		return l.marks[i]
	case i > 0:
		return l.marks[i-1]
	}
	return place{seq: 1}
}

// written notes that the file has the first n of pending.
func (l *ledger) written(n int) {
	for _, raw := range l.pending[:n] {
		l.filed += int64(len(raw)) + 1
	}
	l.pending = slices.Clone(l.pending[n:]) // lets go of the others
}

// joinLines is the text of records as the file has it.
func joinLines(records [][]byte) []byte {
	size := 0
	for _, raw := range records {
		size += len(raw) + 1
	}
	b := make([]byte, 0, size)
	for _, raw := range records {
		b = append(append(b, raw...), '\n')
	}
	return b
}

// view is the part of a run's ledger that belongs to one position.
type view struct {
	id      string
	path    string // of the file
	info    bide.RunInfo
	filed   int64
	pending [][]byte
	from    place     // where to begin in the file, at or before the record wanted
	head    bide.Hash // of the record before the one wanted, when it is known
}

// read returns the records from seq on, at most limit, checked to be a chain
// that ends at the position. It also returns marks that it passed.
func (v *view) read(d disk, seq int64, limit int) (out [][]byte, marks []place, err error) {
	firstPending := v.info.Seq - int64(len(v.pending)) + 1
	if limit <= 0 || seq > v.info.Seq {
		return nil, nil, nil
	}
	last := v.info.Seq
	if int64(limit) <= last-seq {
		last = seq + int64(limit) // one more: it vouches for the one before
	}
	if seq < firstPending {
		out, marks, err = v.readFile(d, seq, min(last, firstPending-1))
		if err != nil {
			return nil, nil, err
		}
	}
	if last >= firstPending {
		out = append(out, v.pending[max(seq-firstPending, 0):last-firstPending+1]...)
	}
	if err := v.check(seq, out); err != nil {
		return nil, nil, err
	}
	return out[:min(len(out), limit)], marks, nil
}

// readFile reads records from the file.
func (v *view) readFile(d disk, from, to int64) (out [][]byte, marks []place, err error) {
	f, err := d.Open(v.path, os.O_RDONLY)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil, errDamaged(v.id, "%s is missing", v.path)
		}
		return nil, nil, explain("read", v.path, err)
	}
	defer f.Close()
	at := v.from
	in := bufio.NewReaderSize(io.NewSectionReader(f, at.offset, v.filed-at.offset), int(min(v.filed-at.offset, 64<<10)))
	for ; at.seq <= to; at.seq++ {
		raw, err := readRecord(in)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, nil, errDamaged(v.id, "%s is damaged at line %d, or was changed: it ends there; the run has %d records", v.path, at.seq, v.info.Seq)
		} else if err != nil {
			return nil, nil, explain("read", v.path, err)
		}
		if at.seq%markEvery == 0 {
			marks = append(marks, at)
		}
		if at.seq >= from {
			out = append(out, raw)
		}
		at.offset += int64(len(raw)) + 1
	}
	return out, marks, nil
}

// readRecord reads one record: a line, or more when the record itself has line ends.
func readRecord(in *bufio.Reader) (raw []byte, err error) {
	var s scanState
	for {
		text, err := in.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if raw == nil {
			raw = text
		} else {
			raw = append(raw, text...)
		}
		if next, err := in.Peek(len(recordStart)); err == nil && string(next) == recordStart {
			return raw[: len(raw)-1 : len(raw)-1], nil // or else it is damaged, and the chain will say so here
		}
		if s.scan(text); s.depth <= 0 || len(raw) > maxRecord {
			return raw[: len(raw)-1 : len(raw)-1], nil
		}
	}
}

// maxRecord bounds what is read in search of the end of a damaged record.
const maxRecord = 1 << 30

// scanState counts the brackets that are open.
type scanState struct {
	depth           int
	quoted, escaped bool
}

func (s *scanState) scan(b []byte) {
	for _, c := range b {
		switch {
		case s.escaped:
			s.escaped = false
		case s.quoted:
			s.escaped, s.quoted = c == '\\', c != '"'
		case c == '"':
			s.quoted = true
		case c == '{' || c == '[':
			s.depth++
		case c == '}' || c == ']':
			s.depth--
		}
	}
}

// check holds records, the first of which is number seq, to be a chain, and to
// end at the run's position when they reach so far.
func (v *view) check(seq int64, records [][]byte) error {
	var sum bide.Hash
	for i, raw := range records {
		at, prev, ok := link(raw)
		switch {
		case !ok:
			return errDamaged(v.id, "%s is damaged at line %d: that is no record", v.path, seq+int64(i))
		case at != seq+int64(i):
			return errDamaged(v.id, "%s is damaged at line %d: record %d is there", v.path, seq+int64(i), at)
		case i > 0 && prev != sum, i == 0 && v.head != sum && prev != v.head:
			return errDamaged(v.id, "%s is damaged at line %d, or was changed: the record after it does not follow", v.path, at-1)
		}
		sum = sha256.Sum256(raw)
	}
	if n := int64(len(records)); n > 0 && seq+n-1 == v.info.Seq && sum != v.info.Head {
		return errDamaged(v.id, "%s is damaged at line %d, or was changed: it is not the last record", v.path, v.info.Seq)
	}
	return nil
}

const (
	recordStart = `{"seq":`
	recordPrev  = `,"prev":"`
)

// link is what a record's text begins with: its number and the hash of the one before.
func link(raw []byte) (seq int64, prev bide.Hash, ok bool) {
	rest, ok := bytes.CutPrefix(raw, []byte(recordStart))
	digits, rest, found := bytes.Cut(rest, []byte(recordPrev))
	if !ok || !found || len(digits) > 19 || len(rest) < 2*len(prev) {
		return 0, prev, false
	}
	seq, err := strconv.ParseInt(string(digits), 10, 64)
	return seq, prev, err == nil && prev.UnmarshalText(rest[:2*len(prev)]) == nil
}

// lineAt is the number of the line at an offset of a file, for messages.
func lineAt(d disk, path string, offset int64) string {
	b, err := readRange(d, path, 0, offset)
	if err != nil {
		return "?"
	}
	return fmt.Sprint(bytes.Count(b, []byte("\n")) + 1)
}
