package seal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"filippo.io/age"

	"github.com/bide-dev/bide"
)

// A blob is a file of age: chunks of 64 KiB, each authenticated with its position and whether it is the last. The file's
// key is in a stanza of our own, an envelope of the blob's data key.

const stanzaType = "bide"

// ofBlob binds an envelope to what it is: the key of a blob's file.
var ofBlob = belonging("artifact")

// lock wraps the key of a file with a data key. It implements age.Recipient.
type lock struct{ key *dataKey }

// Wrap implements age.Recipient.
func (l lock) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	return []*age.Stanza{{Type: stanzaType, Body: l.key.seal(fileKey, ofBlob)}}, nil
}

// identity opens the envelope with the key of a file. It implements age.Identity.
type identity func(envelope []byte) (fileKey []byte, err error)

// Unwrap implements age.Identity.
func (open identity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != stanzaType {
		return nil, age.ErrIncorrectIdentity
	}
	return open(stanzas[0].Body)
}

// decrypt returns the content of a file. Reading it fails with bide.ErrCorrupt when the file was changed, and with the
// error of r when that fails.
func decrypt(r io.Reader, id identity) (io.Reader, error) {
	in := &source{r: r}
	out, err := age.Decrypt(in, id)
	if err != nil {
		return nil, in.why(err)
	}
	return &plaintext{out, in}, nil
}

// source remembers why reading it failed.
type source struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// why is the error of the source, or else says that what it has was changed.
func (s *source) why(err error) error {
	switch {
	case s.err != nil:
		return s.err
	case locked(err), errors.Is(err, bide.ErrCorrupt):
		return err
	}
	return bide.Errorf(bide.CodeCorrupt, "what is encrypted was changed: %w", err)
}

// plaintext is the content of a file.
type plaintext struct {
	r  io.Reader
	in *source
}

// Read implements io.Reader.
func (p *plaintext) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = p.in.why(err)
	}
	return n, err
}

// content is what is put. At its end it asks what to make of it, once.
type content struct {
	r    io.Reader
	hash hash.Hash
	size int64
	last func(sum string) error
	end  error
}

func newHash() hash.Hash { return sha256.New() }

func (c *content) sum() string { return hex.EncodeToString(c.hash.Sum(nil)) }

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	if c.end != nil {
		return 0, c.end
	}
	n, err := c.r.Read(p)
	c.hash.Write(p[:n])
	c.size += int64(n)
	if errors.Is(err, io.EOF) {
		if err = c.last(c.sum()); err == nil {
			err = io.EOF
		}
	}
	c.end = err
	return n, err
}

// sniff reports whether what r has is a file that a data key locks, and gives back what it read.
func sniff(r io.Reader) (io.Reader, bool, error) {
	in := bufio.NewReader(r)
	mark := []byte("age-encryption.org/v1\n-> " + stanzaType + "\n")
	start, err := in.Peek(len(mark))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	return in, bytes.Equal(start, mark), nil
}
