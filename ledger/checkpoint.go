package ledger

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/bide-dev/bide"
)

// Checkpoint is what a signed note says: the log had Size leaves with this root. Its text is
// that of a checkpoint of C2SP (tlog-checkpoint) with the time as an extension line.
type Checkpoint struct {
	Origin string    `json:"origin"` // the log's name
	Size   int64     `json:"size"`
	Root   tlog.Hash `json:"root"`
	At     time.Time `json:"at"`
	// Keys are those that signed it and were known to whoever read it, as KeyName writes them.
	Keys []string `json:"keys,omitempty"`
	// Unknown are the others that have signed it, as it says; whether they did was not checked.
	Unknown []string `json:"-"`
}

func (c *Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\ntime %s\n", c.Origin, c.Size, c.Root, c.At.UTC().Format(time.RFC3339Nano))
}

func (c *Checkpoint) sign(signers []note.Signer) (string, error) {
	msg, err := note.Sign(&note.Note{Text: c.text()}, signers...)
	if err != nil {
		return "", fmt.Errorf("sign checkpoint: %w", err)
	}
	return string(msg), nil
}

// errUnknownKeys says that a note is signed by none of the keys given.
var errUnknownKeys = errors.New("it is signed by none of the keys given")

// OpenCheckpoint reads a signed note. It fails with ErrCorrupt when it is not a checkpoint, a signature of
// a known key is wrong, or no known key has signed it.
func OpenCheckpoint(msg string, keys []note.Verifier) (*Checkpoint, error) {
	c, err := openNote(msg, keys)
	if err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "the checkpoint does not count: %w", err)
	}
	return c, nil
}

// openNote reads a note; with errUnknownKeys it returns what the note says as well.
func openNote(msg string, keys []note.Verifier) (*Checkpoint, error) {
	n, err := note.Open([]byte(msg), note.VerifierList(keys...))
	var unknown *note.UnverifiedNoteError
	switch {
	case errors.As(err, &unknown):
		n, err = unknown.Note, errUnknownKeys
	case err != nil:
		return nil, err
	}
	c, perr := parseCheckpoint(n.Text)
	if perr != nil {
		return nil, perr
	}
	for _, s := range n.Sigs {
		c.Keys = append(c.Keys, fmt.Sprintf("%s+%08x", s.Name, s.Hash))
	}
	for _, s := range n.UnverifiedSigs {
		c.Unknown = append(c.Unknown, fmt.Sprintf("%s+%08x", s.Name, s.Hash))
	}
	return c, err
}

func parseCheckpoint(text string) (*Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 5 {
		return nil, errors.New("it is not the text of a checkpoint")
	}
	c := &Checkpoint{Origin: lines[0]}
	var err error
	at, ok := strings.CutPrefix(lines[3], "time ")
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 1 || !ok {
		return nil, errors.New("it is not the text of a checkpoint")
	}
	if c.Root, err = tlog.ParseHash(lines[2]); err != nil {
		return nil, fmt.Errorf("its root: %w", err)
	}
	if c.At, err = time.Parse(time.RFC3339Nano, at); err != nil {
		return nil, fmt.Errorf("its time: %w", err)
	}
	if c.text() != text {
		return nil, errors.New("it is not written as checkpoints are")
	}
	return c, nil
}
