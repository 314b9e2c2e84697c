package ledger

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bide-dev/bide"
)

// Leaf is one entry of the log: a run had come to a record, or was deleted on purpose at
// it. Since every record carries the hash of the one before, the head fixes all records up to Seq.
type Leaf struct {
	RunID string
	Seq   int64
	Head  bide.Hash
	// Deleted says that the run was then deleted; Archive is the SHA-256 of the file it was
	// exported to before, or zero.
	Deleted bool
	Archive bide.Hash
}

// String returns the text that is hashed into the tree: run, number and head, and for a
// deletion the word deleted and the archive's hash.
func (l Leaf) String() string {
	s := fmt.Sprintf("%s %d %s", l.RunID, l.Seq, l.Head)
	if l.Deleted {
		s += " deleted"
		if l.Archive != (bide.Hash{}) {
			s += " " + l.Archive.String()
		}
	}
	return s
}

// ParseLeaf reads a leaf's text. It fails with ErrCorrupt unless the text is what String writes.
func ParseLeaf(text string) (l Leaf, err error) {
	f := strings.Split(text, " ")
	if len(f) < 3 || len(f) > 5 {
		return l, notALeaf(text)
	}
	l.RunID = f[0]
	l.Seq, err = strconv.ParseInt(f[1], 10, 64)
	if err != nil || l.Head.UnmarshalText([]byte(f[2])) != nil {
		return l, notALeaf(text)
	}
	l.Deleted = len(f) > 3
	if len(f) == 5 && l.Archive.UnmarshalText([]byte(f[4])) != nil || l.String() != text {
		return l, notALeaf(text)
	}
	return l, nil
}

func notALeaf(text string) error {
	return bide.Errorf(bide.CodeCorrupt, "%.100q is not an entry of a log", text)
}
