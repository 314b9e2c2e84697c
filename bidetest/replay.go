package bidetest

import (
	"bufio"
	"bytes"
	"io"
	"iter"
	"testing"

	"github.com/bide-dev/bide"
)

// Replays fails the test when wf decides otherwise than a recorded ledger says,
// and names the first step that differs. Records come from Runtime.Ledger or ReadLedger.
func Replays(t testing.TB, wf bide.Workflow, records iter.Seq2[bide.Record, error]) {
	t.Helper()
	d, err := bide.Replay(wf, records)
	switch {
	case err != nil:
		t.Errorf("replay of workflow %s: %v", wf.ID, err)
	case d != nil:
		t.Errorf("workflow %s version %s decides otherwise than recorded: %s", wf.ID, wf.Version, d)
	}
}

// WriteLedger writes records one per line, as they are stored, with their data when they are encrypted.
func WriteLedger(w io.Writer, records iter.Seq2[bide.Record, error]) error {
	for rec, err := range records {
		if err != nil {
			return err
		}
		if _, err := w.Write(append(bytes.Clone(rec.Text()), '\n')); err != nil {
			return err
		}
	}
	return nil
}

// ReadLedger reads what WriteLedger wrote. Whether the chain holds is checked
// by whoever folds or replays the records.
func ReadLedger(r io.Reader) iter.Seq2[bide.Record, error] {
	return func(yield func(bide.Record, error) bool) {
		lines := bufio.NewReader(r)
		for {
			line, err := lines.ReadBytes('\n')
			if text := bytes.TrimRight(line, "\n"); len(text) > 0 {
				rec, perr := bide.ParseRecord(text)
				if !yield(rec, perr) || perr != nil {
					return
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(bide.Record{}, err)
				return
			}
		}
	}
}
