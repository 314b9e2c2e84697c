package artifact

import (
	"encoding/hex"
	"hash"
	"io"

	"github.com/google/uuid"

	"github.com/bide-dev/bide"
)

// checked is a blob that is held against its hash at the end.
type checked struct {
	f    io.ReadCloser
	want string
	hash hash.Hash
}

// Read implements io.Reader.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.f.Read(p)
	c.hash.Write(p[:n])
	if err == io.EOF && hex.EncodeToString(c.hash.Sum(nil)) != c.want {
		return n, bide.Errorf(bide.CodeCorrupt, "artifact %s was changed where it is kept", c.want)
	}
	return n, err
}

// Close implements io.Closer.
func (c *checked) Close() error { return c.f.Close() }

func newName() string { return uuid.NewString() }
