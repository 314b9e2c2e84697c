package file

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/bide-dev/bide"
)

// snapshot is a run's state at a record, as the runtime gave it. It only saves
// work, so its file is not flushed: it says itself which record it belongs to and
// what its hash is, and one that does not hold true counts as none.
type snapshot struct {
	snapshotHeader
	body []byte
}

// snapshotHeader is the first line of the file; the rest is the body.
type snapshotHeader struct {
	Seq         int64     `json:"seq"`
	Head        bide.Hash `json:"head"`
	LedgerBytes int64     `json:"ledger_bytes"` // up to and with that record
	SHA256      bide.Hash `json:"sha256"`       // of the body
}

func (s *snapshot) text() ([]byte, error) {
	s.SHA256 = sha256.Sum256(s.body)
	header, err := json.Marshal(s.snapshotHeader)
	return append(append(header, '\n'), s.body...), err
}

// readSnapshot reads a run's snapshot; nil when there is none, or it is damaged.
func readSnapshot(d disk, dir string) (*snapshot, error) {
	path := filepath.Join(dir, snapshotName)
	text, err := readFile(d, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, explain("read", path, err)
	}
	header, body, _ := bytes.Cut(text, []byte("\n"))
	s := &snapshot{body: body}
	if json.Unmarshal(header, &s.snapshotHeader) != nil || s.SHA256 != sha256.Sum256(body) {
		return nil, nil
	}
	return s, nil
}
