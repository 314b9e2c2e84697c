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
	"iter"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
)

// ReadOptions refines the reading of a file. Nil means the defaults.
type ReadOptions struct {
	// Keys are the public keys that count for proofs and for the signature of the file. Without any, signatures are not looked at.
	Keys []note.Verifier
	// Identities decrypt an encrypted file. Defaults to none.
	Identities []age.Identity
	// MaxLine is how many bytes a line may have; a longer one is refused, and memory does not grow
	// beyond it. Defaults to 64 MiB.
	MaxLine int
}

func (o *ReadOptions) withDefaults() (out ReadOptions) {
	if o != nil {
		out = *o
	}
	if out.MaxLine <= 0 {
		out.MaxLine = 64 << 20
	}
	return out
}

// reader reads a file line by line.
type reader struct {
	opts    ReadOptions
	r       *bufio.Reader
	hash    hash.Hash
	lines   int64 // read so far
	bytes   int64
	buf     []byte
	peeked  *line
	peekErr error
	command *commandEntry // stands before the record that comes
	signed  []string      // keys that have signed the file
	sum     bide.Hash     // of all lines but the last, once that was read
}

// ageMagic begins every file that is encrypted with age.
const ageMagic = "age-encryption.org/"

func newReader(r io.Reader, o ReadOptions) (*reader, error) {
	in := bufio.NewReaderSize(r, 256<<10)
	if encrypted(in) {
		plain, err := decrypt(in, o.Identities)
		if err != nil {
			return nil, err
		}
		in = bufio.NewReaderSize(plain, 256<<10)
	}
	return &reader{opts: o, r: in, hash: sha256.New()}, nil
}

func encrypted(in *bufio.Reader) bool {
	start, err := in.Peek(len(ageMagic))
	return err == nil && string(start) == ageMagic
}

func decrypt(in io.Reader, identities []age.Identity) (io.Reader, error) {
	if len(identities) == 0 {
		return nil, bide.Errorf(bide.CodeInvalidInput, "the file is encrypted; an identity of age is needed to read it")
	}
	plain, err := age.Decrypt(in, identities...)
	if err != nil {
		return nil, bide.Errorf(bide.CodeInvalidInput, "the file cannot be decrypted: %w", err)
	}
	return plain, nil
}

// Plain returns a file as it was before it was encrypted, and one that was not as it is. It fails with ErrInvalidInput when the
// identities do not decrypt it.
func Plain(r io.Reader, identities ...age.Identity) (io.Reader, error) {
	in := bufio.NewReaderSize(r, 256<<10)
	if !encrypted(in) {
		return in, nil
	}
	return decrypt(in, identities)
}

func (r *reader) corrupt(format string, args ...any) error {
	return bide.Errorf(bide.CodeCorrupt, "line %d: %w", r.lines, fmt.Errorf(format, args...))
}

// text reads the next line with its end; it is valid until the next call.
func (r *reader) text() ([]byte, error) {
	r.buf = r.buf[:0]
	for {
		part, err := r.r.ReadSlice('\n')
		r.buf = append(r.buf, part...)
		switch {
		case len(r.buf) > r.opts.MaxLine:
			return nil, bide.Errorf(bide.CodeInvalidInput, "line %d has more than %d bytes; raise the limit if you trust the file", r.lines+1, r.opts.MaxLine)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return nil, bide.Errorf(bide.CodeCorrupt, "the file ends after line %d without its last line: it was cut", r.lines)
		case err != nil:
			return nil, bide.Errorf(bide.CodeCorrupt, "after line %d: %w", r.lines, err)
		}
		r.lines++
		r.bytes += int64(len(r.buf))
		return r.buf, nil
	}
}

// next reads the next line that is no record.
func (r *reader) next() (*line, error) {
	if l, err := r.peeked, r.peekErr; l != nil || err != nil {
		r.peeked, r.peekErr = nil, nil
		return l, err
	}
	text, err := r.text()
	if err != nil {
		return nil, err
	}
	return r.parse(text)
}

func (r *reader) parse(text []byte) (*line, error) {
	l := &line{}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(l); err != nil {
		return nil, r.corrupt("it is not a line of an export: %w", err)
	}
	if l.End != nil {
		return l, r.end(l.End)
	}
	r.hash.Write(text)
	return l, nil
}

// end checks the last line, and that nothing follows it.
func (r *reader) end(t *trailer) error {
	r.sum = bide.Hash(r.hash.Sum(nil))
	if t.Lines != r.lines-1 || t.SHA256 != r.sum {
		return r.corrupt("the file was changed: its lines do not have the hash that its last line names")
	}
	if _, err := r.r.ReadByte(); !errors.Is(err, io.EOF) {
		return r.corrupt("something follows the last line")
	}
	if t.Note == "" || len(r.opts.Keys) == 0 {
		return nil
	}
	n, err := note.Open([]byte(t.Note), note.VerifierList(r.opts.Keys...))
	if err != nil {
		return r.corrupt("the signature of the file does not count: %w", err)
	}
	if n.Text != t.noteText() {
		return r.corrupt("the file was changed: it is not the one that was signed")
	}
	for _, s := range n.Sigs {
		r.signed = append(r.signed, fmt.Sprintf("%s+%08x", s.Name, s.Hash))
	}
	return nil
}

// header reads the first line.
func (r *reader) header() (*Header, error) {
	l, err := r.next()
	if err != nil {
		return nil, err
	}
	switch {
	case l.Header == nil || l.Format == 0:
		return nil, bide.Errorf(bide.CodeInvalidInput, "this is not an export of bide")
	case l.Format > Format:
		return nil, bide.Errorf(bide.CodeStoreTooNew, "the file has format %d, this program reads up to %d", l.Format, Format)
	}
	return l.Header, nil
}

// records yields the records of the run at work, each with the command that was done with it, if any.
// The text is the reader's until the next one.
func (r *reader) records() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for {
			text, err := r.text()
			if err != nil {
				r.peekErr = err
				yield(nil, err)
				return
			}
			raw, begins := bytes.CutPrefix(text, []byte(recordBegin))
			raw, ends := bytes.CutSuffix(raw, []byte(recordEnd))
			if !begins || !ends {
				l, err := r.parse(text)
				if err == nil && l.Command != nil && r.command == nil {
					r.command = l.Command
					continue
				}
				r.peeked, r.peekErr = l, err
				return
			}
			r.hash.Write(text)
			if !yield(bytes.Clone(raw), nil) {
				return
			}
			r.command = nil
		}
	}
}

// runEnd reads the line that ends the run at work.
func (r *reader) runEnd() (*RunEnd, error) {
	l, err := r.next()
	if err != nil {
		return nil, err
	}
	if l.RunEnd == nil || r.command != nil {
		return nil, r.corrupt("the run before is not ended")
	}
	return l.RunEnd, nil
}

// blob reads the chunks of a blob.
type blob struct {
	r    *reader
	rest []byte
	done bool
}

// Read implements io.Reader.
func (b *blob) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.done {
			return 0, io.EOF
		}
		l, err := b.r.next()
		if err != nil {
			return 0, err
		}
		if b.rest = l.Chunk; l.Chunk == nil {
			b.r.peeked, b.done = l, true
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// visitor takes what a file holds, in its order. What it does not read is read over.
type visitor interface {
	run(r *RunEntry, in *reader) error
	blob(b *blobEntry, content io.Reader) error
	missing(sum string)
	document(d *bide.Document) error
}

// walk reads a whole file.
func (r *reader) walk(v visitor) (*Header, error) {
	head, err := r.header()
	if err != nil {
		return nil, err
	}
	for {
		l, err := r.next()
		if err != nil {
			return head, err
		}
		switch {
		case l.Run != nil:
			err = v.run(l.Run, r)
		case l.Blob != nil:
			content := &blob{r: r}
			if err = v.blob(l.Blob, content); err == nil {
				_, err = io.Copy(io.Discard, content)
			}
		case l.Missing != nil:
			v.missing(l.Missing.SHA256)
		case l.Document != nil:
			err = v.document(l.Document)
		case l.End != nil:
			return head, nil
		default:
			err = r.corrupt("it is not expected here")
		}
		if err != nil {
			return head, err
		}
	}
}
