package transfer

import (
	"fmt"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/ledger"
)

// Format is the version of the format that this package writes and reads.
const Format = 1

// Header is the first line of a file.
type Header struct {
	Format int       `json:"bide_export"`
	At     time.Time `json:"at"`
	// Runs are the ids of the runs that were asked for; empty for the whole store.
	Runs []string `json:"runs,omitempty"`
}

// RunEntry begins a run: the lines with its records follow, and then one with RunEnd. Parents come before their children.
type RunEntry struct {
	bide.RunInfo
	// Proof shows what of the run was signed; nil when nothing was.
	Proof *ledger.RunProof `json:"proof,omitempty"`
	// DataKey is the data key of an encrypted run, wrapped: the file is of use only to who has the
	// wrapping key. Records and mail are then as they were stored.
	DataKey bide.JSON `json:"data_key,omitempty"`
}

// RunEnd ends a run.
type RunEnd struct {
	// Mail is what was sent to the run and is not yet taken. Of a store that is no bide.Mailer it is
	// only what the run waits for.
	Mail []bide.Message `json:"mail,omitempty"`
}

// commandEntry stands before the record with which a command was done.
type commandEntry struct {
	ID          string    `json:"id"`
	Fingerprint bide.Hash `json:"fingerprint"`
}

// blobEntry begins a blob: lines with chunks of it follow.
type blobEntry struct {
	SHA256 string `json:"sha256"` // of what the chunks hold
	// DataKey is the data key of an encrypted blob, wrapped: the chunks hold its ciphertext.
	DataKey bide.JSON `json:"data_key,omitempty"`
}

// missingBlob is a blob that records name and that was not to be had.
type missingBlob struct {
	SHA256 string `json:"sha256"`
}

// trailer is the last line: how many lines are before it and the hash of all their bytes, which may be signed.
type trailer struct {
	Lines  int64     `json:"lines"`
	SHA256 bide.Hash `json:"sha256"`
	Note   string    `json:"note,omitempty"` // signed note with the text of noteText
}

// noteText is what is signed of a file.
func (t *trailer) noteText() string { return fmt.Sprintf("bide export\n%d\n%s\n", t.Lines, t.SHA256) }

// line is any line but one with a record. Exactly one member is set.
type line struct {
	*Header
	Run      *RunEntry      `json:"run,omitempty"`
	Command  *commandEntry  `json:"command,omitempty"`
	RunEnd   *RunEnd        `json:"run_end,omitempty"`
	Blob     *blobEntry     `json:"blob,omitempty"`
	Chunk    []byte         `json:"chunk,omitempty"`
	Missing  *missingBlob   `json:"missing,omitempty"`
	Document *bide.Document `json:"document,omitempty"`
	End      *trailer       `json:"end,omitempty"`
}

const (
	recordBegin = `{"record":`
	recordEnd   = "}\n"
	chunkBytes  = 64 << 10
)
