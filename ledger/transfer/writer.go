package transfer

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
)

// Writer writes a file, for sources other than a store. Write runs, parents before their children, and then
// Close; nothing is checked on the way: Inspect and Import do that.
type Writer struct {
	w     *bufio.Writer
	hash  hash.Hash
	lines int64
	bytes int64
	text  bytes.Buffer
}

// NewWriter begins a file.
func NewWriter(w io.Writer, at time.Time) (*Writer, error) {
	out := newWriter(w)
	return out, out.line(line{Header: &Header{Format: Format, At: at.UTC().Truncate(time.Microsecond)}})
}

func newWriter(w io.Writer) *Writer {
	return &Writer{w: bufio.NewWriterSize(w, 256<<10), hash: sha256.New()}
}

// Run writes a run of which there are only records, from the first on.
func (w *Writer) Run(records []bide.Record) error {
	run, err := bide.Fold(func(yield func(bide.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if err := w.line(line{Run: &RunEntry{RunInfo: run.RunInfo}}); err != nil {
		return err
	}
	for _, r := range records {
		if err := w.record(r.Raw); err != nil {
			return err
		}
	}
	return w.line(line{RunEnd: &RunEnd{}})
}

func (w *Writer) record(raw []byte) error {
	return w.write([]byte(recordBegin), raw, []byte(recordEnd))
}

// blob writes what r has.
func (w *Writer) blob(entry *blobEntry, r io.Reader) error {
	chunk := make([]byte, chunkBytes)
	if err := w.line(line{Blob: entry}); err != nil {
		return err
	}
	for {
		n, err := io.ReadFull(r, chunk)
		if n > 0 {
			if err := w.line(line{Chunk: chunk[:n]}); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// Close writes the last line, which the signers sign, and returns the hash of all before.
func (w *Writer) Close(signers ...note.Signer) (bide.Hash, error) {
	t := &trailer{Lines: w.lines, SHA256: bide.Hash(w.hash.Sum(nil))}
	if len(signers) > 0 {
		signed, err := note.Sign(&note.Note{Text: t.noteText()}, signers...)
		if err != nil {
			return t.SHA256, fmt.Errorf("sign: %w", err)
		}
		t.Note = string(signed)
	}
	if err := w.line(line{End: t}); err != nil {
		return t.SHA256, err
	}
	return t.SHA256, w.w.Flush()
}

func (w *Writer) line(l line) error {
	w.text.Reset()
	enc := json.NewEncoder(&w.text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(l); err != nil {
		return err
	}
	return w.write(w.text.Bytes())
}

func (w *Writer) write(parts ...[]byte) error {
	w.lines++
	for _, part := range parts {
		w.bytes += int64(len(part))
		w.hash.Write(part)
		if _, err := w.w.Write(part); err != nil {
			return err
		}
	}
	return nil
}
