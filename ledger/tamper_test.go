package ledger_test

import (
	"bytes"
	"context"
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
	return slices.Clone(s.records[from-1 : min(from-1+int64(limit), int64(len(s.records)))]), nil
}

func (s *tampered) Load(ctx context.Context, id string, have bide.Position) (*bide.Stored, error) {
	stored, err := s.Store.Load(ctx, id, have)
	if err == nil && id == s.run {
		stored.Snapshot, stored.Records = nil, slices.Clone(s.records[min(have.Seq, int64(len(s.records))):])
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
			tried := map[string]bool{}
			for _, id := range []string{"done", "parent", "held"} {
				records, err := stored.Records(ctx, id, 1, 1000)
				if err != nil {
					t.Fatal(err)
				}
				run, err := w.RT.Get(ctx, id)
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range ledgertest.Attacks(records) {
					tried[a.Op+" "+a.Field] = true
					s := &tampered{Store: stored, run: id, records: a.Records}
					if a.Rewrite {
						s.row = ledgertest.RowOf(run.RunInfo, a.Records)
					}
					found(t, s, key, id, &a) // for what is encrypted, this is without its key
					if kind == "sealed" {
						found(t, ledgertest.Seal(t, s), key, id, &a)
					}
				}
			}
			for _, op := range ledgertest.Ops {
				for _, field := range ledgertest.Fields {
					if kind == "sealed" && field == "data" || kind != "sealed" && field == "sealed" {
						continue // a record has one of the two
					}
					if !tried[op.Name+" "+field] && op.Name+field != "truncatestep" { // of one digit: that is delete
						t.Errorf("no record had its %s changed by %s", field, op.Name)
					}
				}
			}
		})
	}
}

// found checks that verifying names a record from a.From to a.To.
func found(t *testing.T, s ledgertest.Store, key note.Verifier, id string, a *ledgertest.Attack) {
	t.Helper()
	rep := verify(t, s, &ledger.VerifyOptions{Keys: []note.Verifier{key}, Runs: []string{id}})
	for _, f := range rep.Faults {
		if f.RunID == id && f.From <= a.To && a.From <= f.To {
			return
		}
	}
	for _, u := range rep.Unsigned { // what was added at the end is said to be unsigned
		if a.Rewrite && rep.OK() && u.RunID == id && a.From <= u.From {
			return
		}
	}
	t.Errorf("%s, %s: found %v and unsigned %v, want a fault in records %d to %d", id, a.Name, rep.Faults, rep.Unsigned, a.From, a.To)
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
