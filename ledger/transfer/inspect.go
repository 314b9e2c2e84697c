package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"regexp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/ledger"
)

// Content is what a file holds, and what is wrong with it.
type Content struct {
	Header
	Runs      int64 `json:"runs_found"`
	Records   int64 `json:"records"`
	Artifacts int64 `json:"artifacts"`
	Documents int64 `json:"documents"`
	Sealed    int64 `json:"sealed,omitempty"`  // runs that are encrypted: what their records hold was not looked at
	Missing   int64 `json:"missing,omitempty"` // blobs that records name and that are not in the file
	Bytes     int64 `json:"bytes"`             // after decryption
	// SHA256 is the hash of what was read, after decryption, but for the last line; zero for a file that is cut.
	SHA256 bide.Hash `json:"sha256,omitzero"`
	// Keys have signed the file as a whole.
	Keys []string `json:"keys,omitempty"`
	// SignedRuns are those for which a checkpoint that counts speaks, up to its record.
	SignedRuns int64 `json:"signed_runs"`
	// Unsigned are the records that neither a checkpoint nor the signature of the file speaks for.
	Unsigned []ledger.Span  `json:"unsigned,omitempty"`
	Faults   []ledger.Fault `json:"faults,omitempty"`
	// Broken is where the file cannot be read any further; nil when it was read to its end.
	Broken error `json:"-"`
}

// OK reports whether nothing is wrong with the file.
func (c *Content) OK() bool { return len(c.Faults) == 0 && c.Broken == nil }

// Inspect reads a whole file without a store and checks all of it: the hash of the file, every run's
// records as ledger.CheckRun does, its row and its proof, and every blob. each, when not nil, is given every
// run as its records give it; nil for one that is at fault or encrypted. It fails with ErrInvalidInput when this is no
// export, cannot be decrypted or has a line above the limit; any other fault is in the content.
func Inspect(r io.Reader, opts *ReadOptions, each func(info bide.RunInfo, run *bide.Run)) (*Content, error) {
	in, err := newReader(r, opts.withDefaults())
	if err != nil {
		return nil, err
	}
	i := &inspector{in: in, out: &Content{}, each: each, seen: map[string]bool{}}
	head, err := in.walk(i)
	if head == nil {
		return nil, err
	}
	i.out.Header, i.out.Bytes, i.out.Keys, i.out.SHA256, i.out.Broken = *head, in.bytes, in.signed, in.sum, err
	if len(in.signed) > 0 {
		i.out.Unsigned = nil
	}
	return i.out, nil
}

type inspector struct {
	in   *reader
	out  *Content
	each func(bide.RunInfo, *bide.Run)
	seen map[string]bool
}

// runID is what ids of runs look like: no name of a file or place can be one.
var runID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,200}$`)

func (i *inspector) run(r *RunEntry, in *reader) error {
	if !runID.MatchString(r.ID) {
		return in.corrupt("%.100q is not an id of a run", r.ID)
	}
	if i.seen[r.ID] {
		return in.corrupt("run %s is in the file twice", r.ID)
	}
	i.seen[r.ID] = true
	leaves, faults := i.proof(r)
	want := r.Position()
	checked, err := ledger.CheckRun(r.ID, in.records(), &want, leaves, nil)
	if err != nil {
		return err
	}
	if _, err := in.runEnd(); err != nil {
		return err
	}
	i.out.Runs++
	i.out.Records += checked.Seq
	if checked.Sealed {
		i.out.Sealed++
	}
	faults = append(faults, checked.Faults...)
	if len(in.opts.Keys) > 0 && checked.SignedTo < checked.Seq {
		i.out.Unsigned = append(i.out.Unsigned, ledger.Span{RunID: r.ID, From: checked.SignedTo + 1, To: checked.Seq})
	}
	if checked.SignedTo > 0 && len(faults) == 0 {
		i.out.SignedRuns++
	}
	if checked.Run != nil && !ledger.SameInfo(r.RunInfo, checked.Run.RunInfo) {
		faults = append(faults, ledger.Fault{RunID: r.ID, Message: "its row is not what the records give"})
	}
	i.out.Faults = append(i.out.Faults, faults...)
	if i.each != nil {
		run := checked.Run
		if len(faults) > 0 {
			run = nil
		}
		i.each(r.RunInfo, run)
	}
	return nil
}

// proof returns what a run's proof shows under the keys.
func (i *inspector) proof(r *RunEntry) ([]ledger.Signed, []ledger.Fault) {
	if len(i.in.opts.Keys) == 0 || r.Proof == nil {
		return nil, nil
	}
	leaf, _, err := r.Proof.Check(i.in.opts.Keys)
	switch {
	case err != nil:
		return nil, []ledger.Fault{{RunID: r.ID, Message: "its proof does not count: " + err.Error()}}
	case leaf.RunID != r.ID:
		return nil, []ledger.Fault{{RunID: r.ID, Message: "its proof is that of run " + leaf.RunID}}
	}
	return []ledger.Signed{leaf}, nil
}

func (i *inspector) blob(b *blobEntry, content io.Reader) error {
	h := sha256.New()
	if _, err := io.Copy(h, content); err != nil {
		return err
	}
	if hex.EncodeToString(h.Sum(nil)) != b.SHA256 {
		i.out.Faults = append(i.out.Faults, ledger.Fault{Message: "artifact " + b.SHA256 + " was changed"})
	}
	i.out.Artifacts++
	return nil
}

func (i *inspector) missing(string) { i.out.Missing++ }

func (i *inspector) document(*bide.Document) error {
	i.out.Documents++
	return nil
}
