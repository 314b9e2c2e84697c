package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/transfer"
	"github.com/bide-dev/bide/store/mem"
)

// goOn lets the imported runs go on to their ends.
func goOn(t *testing.T, s ledgertest.Store) {
	t.Helper()
	w := ledgertest.New(t, s)
	w.Clock.Set(ledgertest.Start.Add(time.Hour))
	children, err := s.Runs(ctx, bide.RunQuery{Parent: "parent"})
	if err != nil || len(children.Runs) != 1 {
		t.Fatalf("children = %v, %v", children, err)
	}
	if run := w.Finish("parent", children.Runs[0].ID); run.Status != bide.StatusCompleted {
		t.Errorf("the parent is %s after its child has ended, want completed", run.Status)
	}
	if child := w.ToChild("asking"); w.Finish("asking", child).Status != bide.StatusCompleted {
		t.Error("the run that asked did not complete")
	}
	// A command that was applied before is known to the new store.
	again, err := w.RT.Start(ctx, ledgertest.Order, "x", &bide.StartOptions{RunID: "done", Command: bide.Command{ID: "start-done", Actor: "eve", Reason: "a customer"},
		Session: "s1", Labels: map[string]string{"team": "a"}})
	if err != nil || again.ID != "done" {
		t.Errorf("the start sent again = %v, %v; want the run that is there", again, err)
	}
	decided, err := w.RT.Get(ctx, "failed")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.RT.Resume(ctx, "failed", decided.ID+".1", "yes", bide.Command{ID: "answer-failed", Actor: "bob"}); err != nil {
		t.Errorf("the answer sent again = %v, want the first result", err)
	}
	if _, err := w.RT.Unpause(ctx, "held"); err != nil {
		t.Error(err)
	}
	verified(t, s)
}

func TestRunsMoveBetweenAllStoresAndGoOn(t *testing.T) {
	for _, from := range append([]string{"sealed"}, ledgertest.Kinds...) {
		w, _, key := filled(t, from)
		file := export(t, w.Store, nil)
		for _, to := range append([]string{"sealed"}, ledgertest.Kinds...) {
			if from == "sealed" && to != from {
				continue // it takes a key; see below
			}
			t.Run(from+" to "+to, func(t *testing.T) {
				s := ledgertest.Open(t, to)
				opts := &transfer.ImportOptions{Live: true, ReadOptions: transfer.ReadOptions{Keys: []note.Verifier{key}}}
				out, err := transfer.Import(ctx, s, bytes.NewReader(file), opts)
				if err != nil || out.Runs != 8 || out.Live != 4 {
					t.Fatalf("Import = %+v, %v; want 8 runs, 4 of them live", out, err)
				}
				same(t, s, w.Store)
				verified(t, s)
				if !bytes.Equal(records(t, s), records(t, w.Store)) {
					t.Error("the records are not those of the store that they come from")
				}
				again, err := transfer.Import(ctx, s, bytes.NewReader(file), opts)
				if err != nil || again.Runs != 0 || again.Known != 8 || again.Records != 0 {
					t.Errorf("Import again = %+v, %v; want nothing new", again, err)
				}
				goOn(t, s)
				if out, err := transfer.Import(ctx, s, bytes.NewReader(file), opts); err != nil || out.Known != 8 {
					t.Errorf("Import after they went on = %+v, %v; want nothing new", out, err)
				}
			})
			t.Run(from+" copied to "+to, func(t *testing.T) {
				s := ledgertest.Open(t, to)
				if out, err := transfer.Copy(ctx, w.Store, s, nil); err != nil || out.Runs != 8 {
					t.Fatalf("Copy = %+v, %v; want 8 runs", out, err)
				}
				same(t, s, w.Store)
				if out, err := transfer.Copy(ctx, w.Store, s, nil); err != nil || out.Runs != 0 || out.Known != 8 {
					t.Errorf("Copy again = %+v, %v; want nothing new", out, err)
				}
				goOn(t, s)
			})
		}
	}
}

// records are the records of all runs, by id.
func records(t *testing.T, s bide.Store) (out []byte) {
	t.Helper()
	page, err := s.Runs(ctx, bide.RunQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(page.Runs, func(a, b bide.RunInfo) int { return strings.Compare(a.ID, b.ID) })
	for _, r := range page.Runs {
		raws, err := s.Records(ctx, r.ID, 1, 1000)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, bytes.Join(raws, []byte("\n"))...)
	}
	return out
}

func TestHistoryIsReadAndNotTouched(t *testing.T) {
	for _, kind := range ledgertest.Kinds {
		t.Run(kind, func(t *testing.T) {
			w, _, _ := filled(t, "mem")
			// A run of one record, too.
			if _, err := w.RT.Start(ctx, ledgertest.Part, nil, &bide.StartOptions{RunID: "fresh"}); err != nil {
				t.Fatal(err)
			}
			s := ledgertest.Open(t, kind)
			out, err := transfer.Import(ctx, s, bytes.NewReader(export(t, w.Store, nil)), &transfer.ImportOptions{From: "the old site"})
			if err != nil || out.History != 5 || out.Live != 0 {
				t.Fatalf("Import = %+v, %v; want 5 runs as history", out, err)
			}
			if err := s.Heartbeat(ctx, "w", time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			claims, err := s.Claim(ctx, bide.ClaimQuery{Owner: "w", Now: time.Now().Add(24 * time.Hour), Limit: 100, Workflows: []bide.WorkflowVersion{{ID: "order", Version: "1"}, {ID: "part", Version: "1"}}})
			if err != nil || len(claims) > 0 {
				t.Errorf("Claim = %v, %v; want nothing to do", claims, err)
			}
			waits, err := s.Waits(ctx, bide.WaitQuery{})
			if err != nil || len(waits.Waits) > 0 {
				t.Errorf("Waits = %v, %v; want none for people to answer", waits, err)
			}
			aside, err := s.Runs(ctx, bide.RunQuery{SetAside: true})
			if err != nil || len(aside.Runs) != 5 || aside.Runs[0].SetAside != ledger.HistoryReason("the old site") {
				t.Errorf("set aside = %v, %v", aside, err)
			}
			verified(t, s)
		})
	}
}

// cutOff is a store that fails from its nth write on; with applied, that one write takes place all the same.
type cutOff struct {
	ledgertest.Store
	left    int
	applied bool
}

var errCutOff = bide.Errorf(bide.CodeStoreFull, "cut off")

func (s *cutOff) write(do func() error) error {
	if s.left--; s.left >= 0 {
		return do()
	}
	if s.applied && s.left == -1 {
		if err := do(); err != nil {
			return err
		}
	}
	return errCutOff
}

func (s *cutOff) Commit(ctx context.Context, c *bide.Commit) error {
	return s.write(func() error { return s.Store.Commit(ctx, c) })
}

func (s *cutOff) SetAside(ctx context.Context, id, reason string) error {
	return s.write(func() error { return s.Store.SetAside(ctx, id, reason) })
}

// Cut off at every write in turn, before it or right after it took place, an import and a copy leave nothing that a
// worker takes, and are finished by doing them again.
func TestAnImportThatWasCutOffIsFinished(t *testing.T) {
	w, _, _ := filled(t, "mem")
	file := export(t, w.Store, nil)
	for name, put := range map[string]func(to ledgertest.Store) error{
		"import": func(to ledgertest.Store) error {
			_, err := transfer.Import(ctx, to, bytes.NewReader(file), &transfer.ImportOptions{Live: true})
			return err
		},
		"copy": func(to ledgertest.Store) error {
			_, err := transfer.Copy(ctx, w.Store, to, nil)
			return err
		},
	} {
		for _, applied := range []bool{false, true} {
			for n := 0; ; n++ {
				s := mem.New()
				err := put(&cutOff{s, n, applied})
				if err == nil {
					if n < 20 {
						t.Errorf("%s: it took %d writes", name, n)
					}
					break
				}
				if !errors.Is(err, errCutOff) {
					t.Fatalf("%s cut off at write %d: %v", name, n, err)
				}
				if err := put(s); err != nil {
					t.Fatalf("%s again after write %d: %v", name, n, err)
				}
				same(t, s, w.Store)
				goOn(t, s)
			}
		}
	}
}

func TestAnotherRunUnderTheSameIDIsNotOverwritten(t *testing.T) {
	w, _, _ := filled(t, "mem")
	file := export(t, w.Store, nil)
	s := mem.New()
	other := ledgertest.New(t, s)
	other.Clock.Advance(time.Hour)
	other.Start("asking", "another")
	if _, err := transfer.Import(ctx, s, bytes.NewReader(file), nil); !errors.Is(err, bide.ErrExists) {
		t.Errorf("Import = %v, want ErrExists", err)
	}
	// The same run that went on at the other place: the file has more than the store, and the store does not follow.
	s2 := mem.New()
	if _, err := transfer.Import(ctx, s2, bytes.NewReader(file), &transfer.ImportOptions{Live: true}); err != nil {
		t.Fatal(err)
	}
	w.Answer("asking", "yes")
	if _, err := transfer.Import(ctx, s2, bytes.NewReader(export(t, w.Store, nil)), nil); !errors.Is(err, bide.ErrExists) {
		t.Errorf("Import of a run that went on = %v, want ErrExists", err)
	}
}

func TestALongRunIsMovedInBatches(t *testing.T) {
	s := mem.New()
	rt := bide.Must(bide.New(s, &bide.Options{TickSteps: 1 << 20}))
	wf := bide.Workflow{ID: "long", Version: "1", Entry: "n", Nodes: bide.Nodes{"n": func(r *bide.Run) (bide.StepPlan, error) {
		n, err := bide.Get[int](r.Vars, "n")
		if n == 3500 {
			return bide.Do(bide.Ask("?", nil)).ThenComplete(n), err
		}
		return bide.Go("n").Set("n", n+1), err
	}}}
	want, err := rt.Run(ctx, wf, nil, &bide.StartOptions{RunID: "long"})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range ledgertest.Kinds {
		to := ledgertest.Open(t, kind)
		if out, err := transfer.Copy(ctx, s, to, nil); err != nil || out.Records != want.Seq {
			t.Fatalf("%s: Copy = %+v, %v; want %d records", kind, out, err, want.Seq)
		}
		same(t, to, s)
		verified(t, to)
	}
}

func TestMailThatARunWaitsForGoesAlong(t *testing.T) {
	w := ledgertest.New(t, mem.New())
	w.Start("r", "x")
	child := w.ToChild("r")
	w.Answer(child, "made") // the parent is told, and nobody has driven it since
	s := mem.New()
	if _, err := transfer.Copy(ctx, w.Store, s, nil); err != nil {
		t.Fatal(err)
	}
	to := ledgertest.New(t, s)
	if run := to.Tick("r"); run.Node != "wait" {
		t.Errorf("the run is at %s, want at the node after its child's end", run.Node)
	}
}

func TestArtifactsAndDocumentsGoAlongWhenAsked(t *testing.T) {
	from, err := artifact.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := artifact.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	big := strings.Repeat("evidence ", 50_000)
	sum, _, err := from.Put(ctx, strings.NewReader(big))
	if err != nil {
		t.Fatal(err)
	}
	lost := strings.Repeat("0", 64)
	s := mem.New()
	rt := bide.Must(bide.New(s, nil))
	wf := bide.Workflow{ID: "w", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Complete([]any{map[string]string{"sha256": sum}, map[string]string{"sha256": lost}, map[string]string{"sha256": sum}}), nil
	}}}
	if _, err := rt.Run(ctx, wf, nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"flow", "token"} {
		if _, err := s.PutDocument(ctx, bide.Document{Kind: kind, ID: "x", Body: bide.JSON(`{"a":"<b>"}`), UpdatedAt: ledgertest.Start}); err != nil {
			t.Fatal(err)
		}
	}
	file := export(t, s, &transfer.ExportOptions{Artifacts: from, Documents: []string{"flow", "token"}})
	content, err := transfer.Inspect(bytes.NewReader(file), nil, nil)
	if err != nil || !content.OK() || content.Artifacts != 1 || content.Missing != 1 || content.Documents != 2 {
		t.Fatalf("Inspect = %+v, %v", content, err)
	}
	into := mem.New()
	out, err := transfer.Import(ctx, into, bytes.NewReader(file), &transfer.ImportOptions{Artifacts: to, Documents: []string{"flow"}})
	if err != nil || out.Artifacts != 1 || out.Documents != 1 || out.Left != 1 {
		t.Fatalf("Import = %+v, %v; want one artifact, one document and one left", out, err)
	}
	r, err := to.Open(ctx, sum)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); string(got) != big || err != nil {
		t.Errorf("the artifact has %d bytes, %v", len(got), err)
	}
	if d, err := into.Document(ctx, "flow", "x"); err != nil || string(d.Body) != `{"a":"<b>"}` {
		t.Errorf("the document is %v, %v", d, err)
	}
	if _, err := into.Document(ctx, "token", "x"); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("the token came along: %v", err)
	}
}

func TestAnEncryptedFileIsForItsRecipients(t *testing.T) {
	w, _, key := filled(t, "mem")
	me, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file := export(t, w.Store, &transfer.ExportOptions{Recipients: []age.Recipient{me.Recipient()}})
	if bytes.Contains(file, []byte("order")) {
		t.Error("the file can be read without a key")
	}
	opts := &transfer.ReadOptions{Identities: []age.Identity{me}, Keys: []note.Verifier{key}}
	content, err := transfer.Inspect(bytes.NewReader(file), opts, nil)
	if err != nil || !content.OK() || content.Runs != 8 || content.SignedRuns != 8 {
		t.Errorf("Inspect = %+v, %v", content, err)
	}
	plain, err := io.ReadAll(bide.Must(transfer.Plain(bytes.NewReader(file), me)))
	if again, ierr := transfer.Inspect(bytes.NewReader(plain), nil, nil); err != nil || ierr != nil || !again.OK() || again.SHA256 != content.SHA256 || again.SHA256 == (bide.Hash{}) {
		t.Errorf("the file as it was before it was encrypted is %+v, %v, %v; want the hash %s", again, err, ierr, content.SHA256)
	}
	if same, err := io.ReadAll(bide.Must(transfer.Plain(bytes.NewReader(plain)))); err != nil || !bytes.Equal(same, plain) {
		t.Errorf("a file that was not encrypted does not stay as it is, %v", err)
	}
	if _, err := transfer.Plain(bytes.NewReader(file), other); !errors.Is(err, bide.ErrInvalidInput) {
		t.Errorf("Plain with another's identity = %v, want ErrInvalidInput", err)
	}
	for name, ids := range map[string][]age.Identity{"no identity": nil, "another's": {other}} {
		if _, err := transfer.Inspect(bytes.NewReader(file), &transfer.ReadOptions{Identities: ids}, nil); !errors.Is(err, bide.ErrInvalidInput) {
			t.Errorf("Inspect with %s = %v, want ErrInvalidInput", name, err)
		}
	}
	for _, at := range []int{len(file) / 2, len(file) - 1} {
		changed := bytes.Clone(file)
		changed[at] ^= 1
		if content, err := transfer.Inspect(bytes.NewReader(changed), opts, nil); err == nil && content.OK() {
			t.Errorf("a change at byte %d was not found", at)
		}
	}
	if content, err := transfer.Inspect(bytes.NewReader(file[:len(file)-20]), opts, nil); err == nil && content.OK() {
		t.Error("a cut was not found")
	}
}

func TestATreeIsExportedAlone(t *testing.T) {
	w, _, _ := filled(t, "mem")
	file := export(t, w.Store, &transfer.ExportOptions{Runs: []string{"parent"}})
	var ids []string
	content, err := transfer.Inspect(bytes.NewReader(file), nil, func(info bide.RunInfo, run *bide.Run) {
		ids = append(ids, info.ID)
		if run == nil || run.Seq != info.Seq {
			t.Errorf("run %s was not read: %v", info.ID, run)
		}
	})
	if err != nil || !content.OK() || len(ids) != 2 || ids[0] != "parent" || slices.Contains(ids, "failed") {
		t.Errorf("Inspect = %+v, %v with runs %q", content, err, ids)
	}
	if _, err := transfer.Export(ctx, w.Store, io.Discard, &transfer.ExportOptions{Runs: []string{"nobody"}}); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("Export of nothing = %v, want ErrNotFound", err)
	}
}

// Encrypted blobs leave as they are kept, with their keys, and are encrypted anew where they come in.
func TestEncryptedArtifactsMoveEncrypted(t *testing.T) {
	folder := func() *artifact.Dir {
		d, err := artifact.OpenDir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
	s := ledgertest.Seal(t, ledgertest.Open(t, "mem"))
	from := s.Artifacts(folder())
	secret := strings.Repeat("the recipe ", 10_000)
	sum, _, err := from.Put(ctx, strings.NewReader(secret))
	if err != nil {
		t.Fatal(err)
	}
	wf := bide.Workflow{ID: "w", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Complete(map[string]string{"sha256": sum}), nil
	}}}
	if _, err := bide.Must(bide.New(s, nil)).Run(ctx, wf, nil, &bide.StartOptions{RunID: "r"}); err != nil {
		t.Fatal(err)
	}
	file := export(t, s, &transfer.ExportOptions{Artifacts: from})
	if bytes.Contains(file, []byte("recipe")) || bytes.Contains(file, []byte(sum)) {
		t.Error("the file shows the blob or its name")
	}
	if content, err := transfer.Inspect(bytes.NewReader(file), nil, nil); err != nil || !content.OK() || content.Artifacts != 1 {
		t.Errorf("Inspect without keys = %+v, %v", content, err)
	}
	read := func(a artifact.Store) {
		t.Helper()
		r, err := a.Open(ctx, sum)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got, err := io.ReadAll(r); string(got) != secret || err != nil {
			t.Errorf("the blob has %d bytes, %v", len(got), err)
		}
	}
	other := ledgertest.Seal(t, ledgertest.Open(t, "mem"))
	to := other.Artifacts(folder())
	if done, err := transfer.Import(ctx, other, bytes.NewReader(file), &transfer.ImportOptions{Artifacts: to}); err != nil || done.Artifacts != 1 {
		t.Fatalf("Import = %+v, %v", done, err)
	}
	read(to)
	if _, err := transfer.Import(ctx, other, bytes.NewReader(file), &transfer.ImportOptions{Artifacts: folder()}); !errors.Is(err, bide.ErrSealed) {
		t.Errorf("Import into plain artifacts = %v, want ErrSealed", err)
	}
	third := ledgertest.Seal(t, ledgertest.Open(t, "mem"))
	last := third.Artifacts(folder())
	if _, err := transfer.Copy(ctx, other, third, &transfer.CopyOptions{FromArtifacts: to, ToArtifacts: last}); err != nil {
		t.Fatal(err)
	}
	read(last)
	// What is encrypted as a blob and was changed in the file is refused.
	bad := bytes.Replace(file, []byte(`"chunk":"`), []byte(`"chunk":"AAAA`), 1)
	if content, err := transfer.Inspect(bytes.NewReader(bad), nil, nil); err != nil || content.OK() {
		t.Errorf("Inspect of a changed file = %+v, %v", content, err)
	}
}

// dying is a store that dies at a commit: before it or, with after, when it is done.
type dying struct {
	ledgertest.Store
	left  int
	after bool
}

var errDied = errors.New("the process died")

func (d *dying) Commit(ctx context.Context, c *bide.Commit) error {
	d.left--
	if d.left < 0 || d.left == 0 && !d.after {
		return errDied
	}
	err := d.Store.Commit(ctx, c)
	if d.left == 0 {
		return errDied
	}
	return err
}

// mortalBlobs die at a Put.
type mortalBlobs struct {
	artifact.Store
	left *int
}

func (m mortalBlobs) Put(ctx context.Context, r io.Reader) (string, int64, error) {
	if *m.left--; *m.left <= 0 {
		return "", 0, errDied
	}
	return m.Store.Put(ctx, r)
}

// A copy is cut off at every commit and every blob in turn, and done again: all runs and their blobs are there, once, and the
// first store is as it was.
func TestACopyThatIsCutOffAnywhereIsFinished(t *testing.T) {
	source := ledgertest.Open(t, "mem")
	w := ledgertest.New(t, source)
	w.Fill()
	fromDir, err := artifact.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer fromDir.Close()
	sum, _, err := fromDir.Put(ctx, strings.NewReader("evidence"))
	if err != nil {
		t.Fatal(err)
	}
	wf := bide.Workflow{ID: "w", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Complete(map[string]string{"sha256": sum}), nil
	}}}
	if _, err := w.RT.Run(ctx, wf, nil, &bide.StartOptions{RunID: "naming"}); err != nil {
		t.Fatal(err)
	}
	for _, after := range []bool{false, true} {
		for n, done := 1, false; !done; n++ {
			if n > 200 {
				t.Fatal("the copy does not end")
			}
			toDir, err := artifact.OpenDir(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			inner := ledgertest.Open(t, "mem")
			d := &dying{inner, n, after}
			_, err = transfer.Copy(ctx, source, d, &transfer.CopyOptions{FromArtifacts: fromDir, ToArtifacts: mortalBlobs{toDir, &d.left}})
			done = err == nil
			if !done && !errors.Is(err, errDied) {
				t.Fatal(err)
			}
			if _, err := transfer.Copy(ctx, source, inner, &transfer.CopyOptions{FromArtifacts: fromDir, ToArtifacts: toDir}); err != nil {
				t.Fatalf("cut off at %d, again: %v", n, err)
			}
			same(t, inner, source)
			verified(t, inner)
			r, err := toDir.Open(ctx, sum)
			if err != nil {
				t.Fatalf("cut off at %d: the blob = %v", n, err)
			}
			r.Close()
			aside, err := inner.Runs(ctx, bide.RunQuery{SetAside: true})
			if err != nil || len(aside.Runs) > 0 {
				t.Errorf("cut off at %d: %v, %v are set aside", n, aside, err)
			}
			toDir.Close()
		}
	}
	verified(t, source)
}

// What was sent to a run before it waits for it goes along as well.
func TestMailThatARunDoesNotWaitForYetGoesAlong(t *testing.T) {
	for _, kind := range append([]string{"sealed"}, ledgertest.Kinds...) {
		t.Run(kind, func(t *testing.T) {
			w := ledgertest.New(t, ledgertest.Open(t, kind))
			w.Start("r", "x")
			if err := w.RT.Send(ctx, bide.Event{Scope: bide.ScopeRun, ScopeID: "r", Name: "shipped", ID: "early", Payload: "today"}); err != nil {
				t.Fatal(err)
			}
			s := ledgertest.Open(t, kind)
			if _, err := transfer.Copy(ctx, w.Store, s, nil); err != nil {
				t.Fatal(err)
			}
			to := ledgertest.New(t, s)
			to.Clock.Advance(time.Minute)
			child := to.ToChild("r")
			to.Answer(child, "made it")
			if run := to.Tick("r"); run.Status != bide.StatusCompleted {
				t.Errorf("the run is %s at %s, want it completed by the event of before", run.Status, run.Node)
			}
		})
	}
}
