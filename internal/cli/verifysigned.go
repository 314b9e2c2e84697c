package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/bide-dev/bide/ledger"
)

// signatures are the files that verify holds signatures against.
type signatures struct{ public, seen, identity string }

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// verifySigned checks runs, or the whole store, with their checkpoints.
func (a *app) verifySigned(cmd *cobra.Command, out *output, refs []string, s *signatures) error {
	_, l, err := a.evidence(cmd)
	if err != nil {
		return err
	}
	o := &ledger.VerifyOptions{}
	if o.Keys, err = publicKeys(s.public); err != nil {
		return err
	}
	if s.seen != "" {
		text, err := os.ReadFile(s.seen)
		if err != nil {
			return err
		}
		o.Seen = string(text)
	}
	for _, ref := range refs {
		id, err := resolve(cmd.Context(), l, ref)
		if err != nil {
			return err
		}
		o.Runs = append(o.Runs, id)
	}
	rep, err := ledger.VerifyStore(cmd.Context(), l.store, o)
	if err != nil {
		return err
	}
	if err := out.value(rep, func(w io.Writer) error { return drawReport(w, rep) }); err != nil {
		return err
	}
	if !rep.OK() {
		return &problem{code: exitIntegrity, what: plural(len(rep.Faults), "fault") + " found", why: rep.Faults[0].String()}
	}
	if !rep.Signed {
		a.say("No checkpoint has signed any of it.")
	}
	return nil
}

func drawReport(w io.Writer, r *ledger.Report) error {
	newest := ""
	if r.Checkpoint != nil {
		newest = fmt.Sprintf("%s, %d leaves, signed by %v", r.Checkpoint.At.Format("2006-01-02 15:04:05 MST"), r.Checkpoint.Size, r.Checkpoint.Keys)
	}
	err := fields(w, [2]string{"runs", itoa(r.Runs)}, [2]string{"records", itoa(r.Records)}, [2]string{"deleted on record", itoa(r.Deleted)}, [2]string{"encrypted, chain alone", itoa(r.Sealed)},
		[2]string{"checkpoints", itoa(r.Checkpoints)}, [2]string{"newest", newest}, [2]string{"signed", yesNo(r.Signed)})
	if err != nil {
		return err
	}
	rows := [][]string{}
	for _, f := range r.Faults {
		rows = append(rows, []string{"wrong", f.String()})
	}
	for _, u := range r.Unsigned {
		rows = append(rows, []string{"not signed yet", fmt.Sprintf("run %s, records %d to %d", u.RunID, u.From, u.To)})
	}
	return table(w, []string{"FOUND", "WHERE"}, rows)
}

// verifyFile checks an export or a proof.
func (a *app) verifyFile(cmd *cobra.Command, path string, s *signatures) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	start := make([]byte, len(proofBegin))
	_, err = io.ReadFull(f, start)
	f.Close()
	if err == nil && bytes.Equal(start, []byte(proofBegin)) {
		return a.verifyProof(cmd, path, s)
	}
	content, err := inspectFile(path, s.public, s.identity, nil)
	if err != nil {
		return err
	}
	out, err := a.output(cmd)
	if err != nil {
		return err
	}
	if err := out.value(content, func(io.Writer) error { return nil }); err != nil {
		return err
	}
	return a.content(path, content)
}

// proofBegin is how the file of a proof begins.
const proofBegin = `{"leaf":`

func (a *app) verifyProof(cmd *cobra.Command, path string, s *signatures) error {
	if s.public == "" {
		return usage("bide verify --help", "--public names the file with the public key that the proof is held against")
	}
	keys, err := publicKeys(s.public)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	p, err := ledger.ParseProof(text)
	if err != nil {
		return err
	}
	if len(p.Records) == 0 {
		leaf, c, err := p.RunProof.Check(keys)
		if err != nil {
			return err
		}
		a.say("Run %s had the record %d with the hash %s by %s, signed by %v.", leaf.RunID, leaf.Seq, leaf.Head, c.At.Format("2006-01-02 15:04:05 MST"), c.Keys)
		return nil
	}
	rec, leaf, c, err := p.Check(keys)
	if err != nil {
		return err
	}
	out, err := a.output(cmd)
	if err != nil {
		return err
	}
	a.say("Record %d of run %s was there by %s, signed by %v.", rec.Seq, leaf.RunID, c.At.Format("2006-01-02 15:04:05 MST"), c.Keys)
	return out.value(rec, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, string(rec.Raw))
		return err
	})
}
