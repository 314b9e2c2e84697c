package ledger_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/ledger"
)

// tampered is a store in which somebody has changed one run, as it is stored.
type tampered struct {
	ledgertest.Store
	run     string
	records [][]byte
	row     *bide.RunInfo // when not nil, in place of the run's row
}

func (s *tampered) Records(ctx context.Context, id string, from int64, limit int) ([][]byte, error) {
	if id != s.run {
		return s.Store.Records(ctx, id, from, limit)
	}
	from = min(max(from, 1), int64(len(s.records))+1)
	return s.records[from-1 : min(from-1+int64(limit), int64(len(s.records)))], nil
}

func (s *tampered) Load(ctx context.Context, id string, have bide.Position) (*bide.Stored, error) {
	stored, err := s.Store.Load(ctx, id, have)
	if err == nil && id == s.run {
		stored.Snapshot, stored.Records = nil, s.records[min(have.Seq, int64(len(s.records))):]
		if s.row != nil {
			stored.Position = s.row.Position()
		}
	}
	return stored, err
}

func (s *tampered) Runs(ctx context.Context, q bide.RunQuery) (*bide.RunPage, error) {
	page, err := s.Store.Runs(ctx, q)
	if err == nil && s.row != nil {
		for i := range page.Runs {
			if page.Runs[i].ID == s.run {
				page.Runs[i] = *s.row
			}
		}
	}
	return page, err
}

// recordFields are the fields of a record's text.
var recordFields = []string{"seq", "prev", "at", "kind", "step", "node", "command", "actor", "reason", "sealed", "data"}

// flip changes one field of a record's text, so that it is still JSON, or reports that it has none.
func flip(raw []byte, field string) ([]byte, bool) {
	at := bytes.Index(raw, []byte(`"`+field+`":`))
	if field != "seq" {
		at = bytes.Index(raw, []byte(`,"`+field+`":`)) + 1
	}
	if at < 0 || at == 0 && field != "seq" {
		return nil, false
	}
	out := bytes.Clone(raw)
	from := at + len(field) + 3
	for i := from; i < len(out); i++ {
		switch c := out[i]; {
		case c >= '0' && c < '9', c >= 'a' && c < 'f':
			out[i]++
			return out, true
		case c == '9':
			out[i] = '8'
			return out, true
		case c == ',' && field != "data" && field != "sealed":
			return nil, false
		}
	}
	return nil, false
}

// drop removes one field of a record's text.
func drop(raw []byte, field string) ([]byte, bool) {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || m[field] == nil {
		return nil, false
	}
	delete(m, field)
	return write(m), true
}

// swap exchanges a field with that of another record.
func swap(raw, other []byte, field string) ([]byte, bool) {
	var m, o map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || json.Unmarshal(other, &o) != nil || bytes.Equal(m[field], o[field]) || o[field] == nil {
		return nil, false
	}
	m[field] = o[field]
	return write(m), true
}

// write makes a record's text of its fields, in their order.
func write(m map[string]json.RawMessage) []byte {
	var parts []string
	for _, name := range recordFields {
		if m[name] != nil {
			parts = append(parts, fmt.Sprintf("%q:%s", name, m[name]))
		}
	}
	return []byte("{" + strings.Join(parts, ",") + "}")
}

var (
	seqField  = regexp.MustCompile(`^\{"seq":\d+`)
	prevField = regexp.MustCompile(`"prev":"[0-9a-f]{64}"`)
)

// rechain numbers records anew and gives each the hash of the one before, as somebody would who can write to the store.
func rechain(records [][]byte) (out [][]byte) {
	var prev [32]byte
	for i, raw := range records {
		raw = seqField.ReplaceAll(raw, fmt.Appendf(nil, `{"seq":%d`, i+1))
		raw = prevField.ReplaceAll(raw, fmt.Appendf(nil, `"prev":"%x"`, prev))
		prev = sha256.Sum256(raw)
		out = append(out, raw)
	}
	return out
}

// rowOf is a row that fits the records, as far as the records can be read.
func rowOf(row bide.RunInfo, records [][]byte) *bide.RunInfo {
	run, err := bide.Fold(func(yield func(bide.Record, error) bool) {
		for _, raw := range records {
			if !yield(bide.ParseRecord(raw)) {
				return
			}
		}
	})
	if err == nil {
		row = run.RunInfo
	}
	row.Seq, row.Head = int64(len(records)), bide.Hash{}
	if len(records) > 0 {
		row.Head = sha256.Sum256(records[len(records)-1])
	}
	return &row
}

// attack is one change to a run's records: the place that a fault must name.
type attack struct {
	name    string
	records [][]byte
	rewrite bool // chain and row were made to fit
	from    int64
	to      int64
}

// attacks are all changes of the matrix to a run's records.
func attacks(records [][]byte) (out []attack) {
	n := int64(len(records))
	add := func(name string, from, to int64, changed [][]byte) {
		out = append(out, attack{name, changed, false, from, to},
			attack{name + ", the chain made to fit", rechain(changed), true, from, max(n, int64(len(changed)))})
	}
	for i := range records {
		at := int64(i) + 1
		replace := func(name string, text []byte, ok bool) {
			if ok {
				changed := slices.Clone(records)
				changed[i] = text
				add(fmt.Sprintf("%s of record %d", name, at), at, at, changed)
			}
		}
		for _, field := range recordFields {
			text, ok := flip(records[i], field)
			replace("flip "+field, text, ok)
			text, ok = drop(records[i], field)
			replace("delete "+field, text, ok)
			text, ok = swap(records[i], records[(i+1)%len(records)], field)
			replace("swap "+field, text, ok)
		}
		replace("cut the text", records[i][:len(records[i])-3], true)
		replace("append to the text", append(bytes.Clone(records[i]), ' '), true)
		add(fmt.Sprintf("delete record %d", at), at, n, slices.Delete(slices.Clone(records), i, i+1))
		if i+1 < len(records) {
			changed := slices.Clone(records)
			changed[i], changed[i+1] = changed[i+1], changed[i]
			add(fmt.Sprintf("swap records %d and %d", at, at+1), at, at+1, changed)
		}
		add(fmt.Sprintf("truncate to %d", i), at, n, slices.Clone(records[:i]))
		add(fmt.Sprintf("double record %d", at), at, n+1, slices.Insert(slices.Clone(records), i, records[i]))
	}
	add("append a record", n+1, n+1, append(slices.Clone(records), records[n-1]))
	return out
}

// The matrix: every change to every record of an ended and of a waiting run is found, where it is.
func TestEveryChangeToARecordIsFoundAndPlaced(t *testing.T) {
	for _, kind := range append([]string{"sealed"}, ledgertest.Kinds...) {
		t.Run(kind, func(t *testing.T) {
			w, _, key := sealed(t, kind)
			stored := w.Store // as it is stored
			if s, ok := w.Store.(bide.Sealing); ok {
				stored = s.Stored().(ledgertest.Store)
			}
			if rep := verify(t, w.Store, &ledger.VerifyOptions{Keys: []note.Verifier{key}}); !rep.OK() || !rep.Signed || len(rep.Unsigned) > 0 {
				t.Fatalf("the store as it is: %+v", rep)
			}
			for _, id := range []string{"done", "parent", "failed"} {
				records, err := stored.Records(ctx, id, 1, 1000)
				if err != nil {
					t.Fatal(err)
				}
				run, err := w.RT.Get(ctx, id)
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range attacks(records) {
					if slices.EqualFunc(a.records, records, bytes.Equal) {
						continue // the chain made to fit gave what was there
					}
					s := &tampered{Store: stored, run: id, records: a.records}
					if a.rewrite {
						s.row = rowOf(run.RunInfo, a.records)
					}
					found(t, s, key, id, a) // for what is encrypted, this is without its key
					if kind == "sealed" {
						found(t, ledgertest.Seal(t, s), key, id, a)
					}
				}
			}
		})
	}
}

// found checks that verifying names a record from a.from to a.to.
func found(t *testing.T, s ledgertest.Store, key note.Verifier, id string, a attack) {
	t.Helper()
	rep := verify(t, s, &ledger.VerifyOptions{Keys: []note.Verifier{key}, Runs: []string{id}})
	for _, f := range rep.Faults {
		if f.RunID == id && f.From <= a.to && a.from <= f.To {
			return
		}
	}
	for _, u := range rep.Unsigned { // what was added at the end is said to be unsigned
		if a.rewrite && rep.OK() && u.RunID == id && a.from <= u.From {
			return
		}
	}
	t.Errorf("%s, %s: found %v and unsigned %v, want a fault in records %d to %d", id, a.name, rep.Faults, rep.Unsigned, a.from, a.to)
}

// What a store keeps beside the records is held against them: every field of a run's row, and its open waits.
func TestEveryChangeToARowIsFound(t *testing.T) {
	w, _, key := sealed(t, "mem")
	page, err := w.Store.Runs(ctx, bide.RunQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range page.Runs {
		if row.ID != "parent" {
			continue
		}
		records, err := w.Store.Records(ctx, row.ID, 1, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func(r *bide.RunInfo){
			"workflow":   func(r *bide.RunInfo) { r.Workflow = "other" },
			"version":    func(r *bide.RunInfo) { r.Version = "2" },
			"definition": func(r *bide.RunInfo) { r.Definition = "0" },
			"status":     func(r *bide.RunInfo) { r.Status = bide.StatusCompleted },
			"node":       func(r *bide.RunInfo) { r.Node = "end" },
			"step":       func(r *bide.RunInfo) { r.Step++ },
			"key":        func(r *bide.RunInfo) { r.Key = "k" },
			"session":    func(r *bide.RunInfo) { r.Session = "" },
			"actor":      func(r *bide.RunInfo) { r.Actor = "mallory" },
			"parent":     func(r *bide.RunInfo) { r.Parent = "done" },
			"root":       func(r *bide.RunInfo) { r.Root = "done" },
			"origin":     func(r *bide.RunInfo) { r.Origin = "done" },
			"labels":     func(r *bide.RunInfo) { r.Labels = nil },
			"created_at": func(r *bide.RunInfo) { r.CreatedAt = r.CreatedAt.Add(1000) },
			"updated_at": func(r *bide.RunInfo) { r.UpdatedAt = r.UpdatedAt.Add(1000) },
			"ended_at":   func(r *bide.RunInfo) { r.EndedAt = r.CreatedAt },
			"wake_at":    func(r *bide.RunInfo) { r.WakeAt = r.CreatedAt },
			"seq":        func(r *bide.RunInfo) { r.Seq-- },
			"head":       func(r *bide.RunInfo) { r.Head[0]++ },
		} {
			changed := row
			change(&changed)
			rep := verify(t, &tampered{Store: w.Store, run: row.ID, records: records, row: &changed}, &ledger.VerifyOptions{Keys: []note.Verifier{key}})
			if len(rep.Faults) != 1 || rep.Faults[0].RunID != row.ID {
				t.Errorf("%s changed: found %v, want one fault of the run", name, rep.Faults)
			}
		}
	}
}

// unwaited is a store whose open waits somebody has removed.
type unwaited struct{ ledgertest.Store }

func (unwaited) Waits(context.Context, bide.WaitQuery) (*bide.WaitPage, error) {
	return &bide.WaitPage{}, nil
}

func TestARemovedWaitIsFound(t *testing.T) {
	w, _, _ := sealed(t, "mem")
	rep := verify(t, unwaited{w.Store}, nil)
	var got []string
	for _, f := range rep.Faults {
		got = append(got, f.RunID)
	}
	slices.Sort(got)
	if len(got) != 4 || got[0] != "asking" || !slices.Contains(got, "held") || !slices.Contains(got, "parent") {
		t.Errorf("found faults in %q, want the four runs that wait", got)
	}
}

// snapshots is a store in which somebody has changed a snapshot.
type snapshots struct{ ledgertest.Store }

func (s snapshots) Load(ctx context.Context, id string, have bide.Position) (*bide.Stored, error) {
	stored, err := s.Store.Load(ctx, id, have)
	if err == nil {
		stored.Snapshot = bytes.Replace(stored.Snapshot, []byte("text text"), []byte("next text"), 1)
	}
	return stored, err
}

func TestAChangedSnapshotIsFound(t *testing.T) {
	for _, kind := range ledgertest.Kinds {
		s := ledgertest.Open(t, kind)
		rt := bide.Must(bide.New(s, &bide.Options{SnapshotBytes: 2000}))
		wf := bide.Workflow{ID: "w", Version: "1", Entry: "n", Nodes: bide.Nodes{"n": func(r *bide.Run) (bide.StepPlan, error) {
			if r.Step > 30 {
				return bide.Do(bide.Ask("?", nil)).ThenComplete(nil), nil
			}
			return bide.Do(bide.Tell("x")).Then("n").Set("a", strings.Repeat("text ", 40)), nil
		}}}
		if _, err := rt.Run(ctx, wf, nil, &bide.StartOptions{RunID: "r"}); err != nil {
			t.Fatal(err)
		}
		if stored, err := s.Load(ctx, "r", bide.Position{}); err != nil || stored.Snapshot == nil {
			t.Fatalf("%s: the run has no snapshot: %v", kind, err)
		}
		if rep := verify(t, s, nil); !rep.OK() {
			t.Errorf("%s: as it is: %v", kind, rep.Faults)
		}
		if rep := verify(t, snapshots{s}, nil); len(rep.Faults) != 1 || rep.Faults[0].RunID != "r" {
			t.Errorf("%s: %v, want one fault", kind, rep.Faults)
		}
	}
}
