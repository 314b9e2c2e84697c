package bide

import (
	"bytes"
	"encoding/base64"
	"time"
)

// readText reads the text that writeText writes, several times faster than a JSON
// decoder. It reports false for any other text, which may still be a record. Data is
// taken as it stands: Decode checks it.
func (r *Record) readText(raw []byte) bool {
	t := text{raw, true}
	t.skip(`{"seq":`)
	r.Seq = t.number()
	t.skip(`,"prev":"`)
	if err := r.Prev.UnmarshalText(t.until('"')); err != nil {
		return false
	}
	t.skip(`,"at":"`)
	if err := r.At.UnmarshalText(t.until('"')); err != nil || r.At.Location() != time.UTC {
		return false
	}
	t.skip(`,"kind":"`)
	r.Kind = Kind(t.until('"'))
	if t.has(`,"step":`) {
		r.Step = t.number()
	}
	for _, f := range [...]struct {
		name  string
		value *string
	}{{`,"node":"`, &r.Node}, {`,"command":"`, &r.Command}, {`,"actor":"`, &r.Actor}, {`,"reason":"`, &r.Reason}} {
		if t.has(f.name) {
			*f.value = string(t.until('"'))
		}
	}
	if t.has(`,"sealed":"`) {
		var err error
		if r.Sealed, err = base64.StdEncoding.AppendDecode(nil, t.until('"')); err != nil {
			return false
		}
	}
	if t.has(`,"data":`) {
		end := len(t.rest) - 1
		if end < 1 || t.rest[end] != '}' {
			return false
		}
		r.Data, t.rest = JSON(t.rest[:end]), t.rest[end:]
	}
	return t.ok && string(t.rest) == "}"
}

// text is text that is being read; ok turns false at the first thing that is not as expected.
type text struct {
	rest []byte
	ok   bool
}

func (t *text) has(s string) bool {
	if !bytes.HasPrefix(t.rest, []byte(s)) {
		return false
	}
	t.rest = t.rest[len(s):]
	return true
}

func (t *text) skip(s string) { t.ok = t.has(s) && t.ok }

// number reads a positive decimal number without leading zeros.
func (t *text) number() (n int64) {
	digits := 0
	for digits < len(t.rest) && digits < 18 && t.rest[digits]-'0' <= 9 {
		n = 10*n + int64(t.rest[digits]-'0')
		digits++
	}
	t.ok = t.ok && digits > 0 && t.rest[0] != '0'
	t.rest = t.rest[digits:]
	return n
}

// until reads up to a byte, which is skipped; what needs unescaping, or is not ASCII, is not expected.
func (t *text) until(end byte) []byte {
	i := bytes.IndexByte(t.rest, end)
	if i < 0 {
		t.ok = false
		return nil
	}
	out := t.rest[:i]
	for _, c := range out {
		t.ok = t.ok && c >= ' ' && c < 0x7f && c != '\\'
	}
	t.rest = t.rest[i+1:]
	return out
}
