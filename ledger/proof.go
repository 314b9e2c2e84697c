package ledger

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/bide-dev/bide"
)

// RunProof is all that is needed, besides a public key, to show that a run's records up to one of them
// were signed: a leaf, its way to the root, and the checkpoint. As JSON it is a small file.
type RunProof struct {
	Leaf       string           `json:"leaf"` // as Leaf.String writes it
	Index      int64            `json:"index"`
	Path       tlog.RecordProof `json:"path"`       // RFC 6962 inclusion proof
	Checkpoint string           `json:"checkpoint"` // signed note
}

// RecordProof shows that one record was signed: it, the records that lead from it to the
// head that a leaf names, and the proof of that leaf. Whoever gets it can read those records.
type RecordProof struct {
	RunProof
	Records []string `json:"records"` // stored text, the one to prove first
}

// Prove returns the proof of a run's newest leaf. It fails with ErrNotFound when no checkpoint speaks of the run.
func (e *Evidence) Prove(runID string) (*RunProof, error) {
	if leaves := e.Of(runID); len(leaves) > 0 {
		return e.prove(leaves[len(leaves)-1])
	}
	return nil, bide.Errorf(bide.CodeNotFound, "no checkpoint speaks of run %s yet; write one and try again", runID)
}

func (e *Evidence) prove(leaf Signed) (*RunProof, error) {
	stored, err := e.all()
	if err != nil {
		return nil, err
	}
	path, err := tlog.ProveRecord(int64(len(e.hashes)), leaf.Index, stored)
	if err != nil {
		return nil, fmt.Errorf("prove leaf %d: %w", leaf.Index, err)
	}
	return &RunProof{Leaf: leaf.String(), Index: leaf.Index, Path: path, Checkpoint: e.Note}, nil
}

// Check returns the leaf that the proof shows and the checkpoint that it is in. It fails with ErrCorrupt
// when the proof does not hold under one of the keys.
func (p *RunProof) Check(keys []note.Verifier) (Signed, *Checkpoint, error) {
	c, err := OpenCheckpoint(p.Checkpoint, keys)
	if err != nil {
		return Signed{}, nil, err
	}
	leaf, err := ParseLeaf(p.Leaf)
	if err != nil {
		return Signed{}, nil, err
	}
	if err := tlog.CheckRecord(p.Path, c.Size, c.Root, p.Index, tlog.RecordHash([]byte(p.Leaf))); err != nil {
		return Signed{}, nil, bide.Errorf(bide.CodeCorrupt, "the proof does not lead to the root that was signed: %w", err)
	}
	return Signed{leaf, p.Index}, c, nil
}

// ProveRecord returns the proof of one record, by the oldest leaf that speaks for it; records are the stored
// text of the run's records from it on. It fails with ErrNotFound when no checkpoint speaks for it.
func (e *Evidence) ProveRecord(runID string, seq int64, records iter.Seq2[bide.Record, error]) (*RecordProof, error) {
	leaves := e.Of(runID)
	i := slices.IndexFunc(leaves, func(l Signed) bool { return l.Seq >= seq })
	if i < 0 || seq < 1 {
		return nil, bide.Errorf(bide.CodeNotFound, "no checkpoint speaks for record %d of run %s; write one and try again", seq, runID)
	}
	leaf := leaves[i]
	run, err := e.prove(leaf)
	if err != nil {
		return nil, err
	}
	p := &RecordProof{RunProof: *run}
	for rec, err := range records {
		if err != nil {
			return nil, err
		}
		p.Records = append(p.Records, string(rec.Raw))
		if rec.Seq == leaf.Seq {
			break
		}
	}
	return p, nil
}

// Check returns the record that the proof shows, with the leaf and the checkpoint. It fails with ErrCorrupt
// when the records do not lead to the leaf, or the leaf not to the checkpoint.
func (p *RecordProof) Check(keys []note.Verifier) (rec bide.Record, leaf Signed, c *Checkpoint, err error) {
	leaf, c, err = p.RunProof.Check(keys)
	if err != nil {
		return rec, leaf, nil, err
	}
	var before bide.Record
	for i, raw := range p.Records {
		r, err := bide.ParseRecord([]byte(raw))
		if err != nil {
			return rec, leaf, nil, err
		}
		if i == 0 {
			rec = r
		} else if r.Prev != before.Hash || r.Seq != before.Seq+1 {
			return rec, leaf, nil, bide.Errorf(bide.CodeCorrupt, "record %d does not follow record %d", r.Seq, before.Seq)
		}
		before = r
	}
	if len(p.Records) == 0 || before.Seq != leaf.Seq || before.Hash != leaf.Head {
		return rec, leaf, nil, bide.Errorf(bide.CodeCorrupt, "the records do not lead to record %d that was signed", leaf.Seq)
	}
	return rec, leaf, c, nil
}

// ParseProof reads a proof's file: of a record when it has records, and otherwise of a run.
func ParseProof(text []byte) (*RecordProof, error) {
	p := &RecordProof{}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, bide.Errorf(bide.CodeCorrupt, "this is not a proof: %w", err)
	}
	return p, nil
}
