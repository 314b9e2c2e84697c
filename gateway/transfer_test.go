package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/transfer"
	"github.com/bide-dev/bide/seal"
	"github.com/bide-dev/bide/store/mem"
)

// fetch is a workflow whose only effect gives a blob.
func fetch(s *server, sum string) bide.Workflow {
	s.rt.Handle("fetch", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		return bide.Completed(map[string]string{"sha256": sum}), nil
	})
	return bide.Workflow{ID: "fetch", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Call("fetch", nil).As("page")).ThenCompleteWith("page"), nil
	}}}
}

// keeping returns a server with some runs, one of which names a blob that a tool kept.
func keeping(t *testing.T) (s *server, names map[string]string, sum string) {
	t.Helper()
	blobs, sum := onePage(t)
	s = newServer(t, &gateway.Options{Artifacts: blobs, Workflows: []bide.Workflow{broken()}})
	names = s.fixtures()
	names["fetched"] = bide.Must(s.rt.Run(t.Context(), fetch(s, sum), nil, nil)).ID
	return s, names, sum
}

// onePage returns artifacts with a page among them, and its hash.
func onePage(t *testing.T) (blobs *artifact.Dir, sum string) {
	t.Helper()
	blobs = bide.Must(artifact.OpenDir(t.TempDir()))
	sum, _, err := blobs.Put(t.Context(), strings.NewReader("a page"))
	if err != nil {
		t.Fatal(err)
	}
	return blobs, sum
}

// What the run of an encrypted store says of a blob is read as the run says it, not as it is kept.
func TestABlobOfARunIsReachedOnAnEncryptedStore(t *testing.T) {
	keys := bide.Must(seal.ParseKeyring([]byte(bide.Must(seal.NewKey("one")))))
	blobs, sum := onePage(t)
	s := serverOver(t, bide.Must(seal.New(t.Context(), mem.New(), keys, nil)), &gateway.Options{Artifacts: blobs})
	run := bide.Must(s.rt.Run(t.Context(), fetch(s, sum), nil, nil))
	if got := s.ask("viewer", http.MethodGet, "/v1/artifacts/"+sum+"?run="+run.ID, ""); string(got.Body) != "a page" {
		t.Errorf("the blob = %d %s", got.Status, got.Body)
	}
	file := s.ask("viewer", http.MethodGet, "/v1/export?artifacts=true&run="+run.ID, "")
	if content := bide.Must(transfer.Inspect(bytes.NewReader(file.Body), nil, nil)); !content.OK() || content.Artifacts != 1 {
		t.Errorf("the export = %+v, want the blob in it", content)
	}
}

// Several runs with their blobs and flows move from one server to another, where one goes on; sent again, nothing changes.
func TestRunsMoveFromServerToServer(t *testing.T) {
	from, names, sum := keeping(t)
	path := "/v1/export?artifacts=true&documents=flow&documents=bookmark&run=" + names["waiting"] + "&run=" + names["done"] + "&run=" + names["fetched"]
	file := from.ask("viewer", http.MethodGet, path, "")
	if file.Status != http.StatusOK {
		t.Fatalf("export = %d %s", file.Status, file.Body)
	}
	to := serverOver(t, mem.New(), nil)
	at := "/v1/import?live=true&artifacts=true&documents=flow&documents=bookmark"
	got := to.ask("admin", http.MethodPost, at, string(file.Body))
	want := map[string]string{"runs": "3", "known": "0", "live": "1", "history": "0", "artifacts": "1", "documents": "1", "left": "0"}
	for field, value := range want {
		if have := got.field(t, field); have != value {
			t.Errorf("%s = %s, want %s, in %s", field, have, value, got.Body)
		}
	}
	again := to.ask("admin", http.MethodPost, at, string(file.Body))
	if again.field(t, "runs") != "0" || again.field(t, "known") != "3" || again.field(t, "records") != "0" {
		t.Errorf("sent again = %d %s, want nothing new", again.Status, again.Body)
	}
	if got := to.ask("approver", http.MethodPost, "/v1/waits/"+names["wait"]+"/answer", `{"answer":"approve"}`); got.Status != http.StatusOK {
		t.Fatalf("answer = %d %s", got.Status, got.Body)
	}
	if run := to.tick(names["waiting"]); run.Status != bide.StatusCompleted {
		t.Errorf("the run that goes on is %s", run.Status)
	}
	if got := to.ask("viewer", http.MethodGet, "/v1/artifacts/"+sum+"?run="+names["fetched"], ""); string(got.Body) != "a page" {
		t.Errorf("the blob = %d %s", got.Status, got.Body)
	}
	if got := to.ask("viewer", http.MethodGet, "/v1/bookmarks", ""); got.field(t, "bookmarks.0.name") != "marked" {
		t.Errorf("the bookmarks are %s", got.Body)
	}

	history := serverOver(t, mem.New(), nil)
	got = history.ask("admin", http.MethodPost, "/v1/import?from=the+old+site", string(file.Body))
	if got.field(t, "history") != "1" || got.field(t, "left") == "0" {
		t.Errorf("as history = %d %s", got.Status, got.Body)
	}
	if got := history.ask("viewer", http.MethodGet, "/v1/runs?q=is:set-aside", ""); !strings.Contains(got.field(t, "runs.0.set_aside"), "the old site") {
		t.Errorf("the history is %s", got.Body)
	}
}

// The whole store is one file as well: with the runs of all namespaces.
func TestAnExportOfAllIsTheWholeStore(t *testing.T) {
	s, _, _ := keeping(t)
	file := s.ask("admin", http.MethodGet, "/v1/export?all=true&artifacts=true&documents=flow", "")
	content, err := transfer.Inspect(bytes.NewReader(file.Body), nil, nil)
	if err != nil || !content.OK() || content.Runs != 6 || content.Artifacts != 1 || content.Documents != 1 {
		t.Errorf("the export = %+v, %v; want all 6 runs, the blob and the flow", content, err)
	}
}

// What is not for a principal is in no file for it: blobs that its runs only name, flows and bookmarks of others.
func TestAnExportHoldsWhatThePrincipalMaySee(t *testing.T) {
	s, names, sum := keeping(t)
	thief := s.start("operator@acme", `{"workflow":"approval","input":{"amount":1,"sha256":"`+sum+`"}}`)
	if got := s.ask("author@other", "POST", "/v1/workflows", `{"source":"bide: 1\nflow: secret\nsteps: [{say: hi}]"}`); got.Status != http.StatusCreated {
		t.Fatalf("publish = %d %s", got.Status, got.Body)
	}
	mine := s.ask("operator@acme", "POST", "/v1/artifacts", "of acme").field(t, "sha256")
	owner := s.start("operator@acme", `{"workflow":"approval","input":{"amount":1,"sha256":"`+mine+`"}}`)
	for _, c := range []struct {
		who, runs                   string
		blobs, missing, docs, count int64
	}{
		{"viewer@acme", "run=" + thief.ID, 0, 1, 1, 1},
		{"viewer@acme", "run=" + owner.ID + "&run=" + thief.ID, 1, 1, 1, 2},
		{"viewer", "run=" + names["fetched"], 1, 0, 2, 1},
	} {
		file := s.ask(c.who, http.MethodGet, "/v1/export?artifacts=true&documents=flow&documents=bookmark&"+c.runs, "")
		content, err := transfer.Inspect(bytes.NewReader(file.Body), nil, nil)
		if err != nil || !content.OK() {
			t.Fatalf("%s of %s = %d %s, %v", c.runs, c.who, file.Status, file.Body, err)
		}
		if content.Runs != c.count || content.Artifacts != c.blobs || content.Missing != c.missing || content.Documents != c.docs {
			t.Errorf("%s of %s = %+v, want %+v", c.runs, c.who, content, c)
		}
		if strings.Contains(string(file.Body), "secret") {
			t.Errorf("%s has the flow of another namespace", c.who)
		}
	}
}

// A file at fault changes nothing, whatever is wrong with it; nor does one that nobody has signed who should have.
func TestAFileAtFaultIsNotImported(t *testing.T) {
	from, names, _ := keeping(t)
	file := string(from.ask("viewer", http.MethodGet, "/v1/export?run="+names["done"], "").Body)
	s := serverOver(t, mem.New(), &gateway.Options{ImportBytes: int64(len(file)) + 100})
	for what, c := range map[string]struct {
		file   string
		status int
		code   string
	}{
		"cut":       {file[:len(file)-200], 422, "corrupt"},
		"changed":   {strings.Replace(file, "reject", "accept", 1), 422, "corrupt"},
		"continued": {file + file[:50], 422, "corrupt"},
		"too large": {file + strings.Repeat("x", 200), 413, "too_large"},
	} {
		if got := s.ask("admin", http.MethodPost, "/v1/import", c.file); got.Status != c.status || got.field(t, "code") != c.code {
			t.Errorf("a file that is %s = %d %s, want %d", what, got.Status, got.Body, c.status)
		}
	}
	_, public, err := ledger.GenerateKey("ops")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.ask("viewer", http.MethodGet, "/v1/runs", ""); got.field(t, "runs") != "[]" {
		t.Errorf("there are runs: %s", got.Body)
	}
	signed := s.ask("admin", http.MethodPost, "/v1/import?public="+strings.ReplaceAll(strings.TrimSpace(public), "+", "%2B"), file)
	if signed.Status != http.StatusOK {
		t.Errorf("a file without signatures, and a key = %d %s; want it imported, as bide import does", signed.Status, signed.Body)
	}
}

// impatient is a store that fails when a deadline is set on a commit, and after some commits.
type impatient struct {
	*mem.Store
	left int
}

func (f *impatient) Commit(ctx context.Context, c *bide.Commit) error {
	if _, set := ctx.Deadline(); set && strings.HasPrefix(c.RunID, "moved") {
		return errors.New("an import has a deadline")
	}
	if f.left--; f.left < 0 {
		return errors.New("the disk is gone")
	}
	return f.Store.Commit(ctx, c)
}

// An import that is cut off anywhere is finished by sending the file again, and until then nobody takes a run of it.
func TestAnImportThatWasCutOffIsFinishedBySendingItAgain(t *testing.T) {
	from := newServer(t, nil)
	for i := range 3 {
		from.start("operator", fmt.Sprintf(`{"workflow":"approval","input":{"amount":%d},"run_id":"moved%d"}`, i, i))
	}
	if got := from.ask("operator", http.MethodPost, "/v1/runs", `{"workflow":"approval","input":{"amount":3},"run_id":"moved3"}`); got.Status != http.StatusCreated {
		t.Fatalf("start = %d %s", got.Status, got.Body)
	}
	file := string(from.ask("admin", http.MethodGet, "/v1/export?all=true", "").Body)
	takes := bide.ClaimQuery{Owner: "w", Now: time.Now().Add(time.Minute), Limit: 10, Workflows: []bide.WorkflowVersion{{ID: "approval", Version: from.doc.Version()}}}
	for n := 0; ; n++ {
		store := &impatient{Store: mem.New(), left: 1000}
		s := serverOver(t, store, nil)
		store.left = n
		first := s.ask("admin", http.MethodPost, "/v1/import?live=true", file)
		if store.left >= 0 {
			if first.field(t, "live") != "4" {
				t.Errorf("the import = %d %s", first.Status, first.Body)
			}
			if due, err := store.Claim(t.Context(), takes); err != nil || len(due) != 1 {
				t.Errorf("a worker takes %v, %v; want the run that has not come to its question", due, err)
			}
			return
		}
		if first.Status != http.StatusInternalServerError || strings.Contains(string(first.Body), "disk") {
			t.Errorf("cut off at commit %d = %d %s", n, first.Status, first.Body)
		}
		if left, err := store.Claim(t.Context(), takes); err != nil || len(left) > 0 {
			t.Errorf("cut off at commit %d, a worker takes %v, %v", n, left, err)
		}
		store.left = 1000
		again := s.ask("admin", http.MethodPost, "/v1/import?live=true", file)
		if again.Status != http.StatusOK {
			t.Fatalf("cut off at commit %d, and again = %d %s", n, again.Status, again.Body)
		}
		rep, err := ledger.VerifyStore(t.Context(), store, nil)
		if err != nil || !rep.OK() || rep.Runs != 4 {
			t.Errorf("cut off at commit %d, and again: %+v, %v; want 4 whole runs", n, rep, err)
		}
		if got := s.ask("viewer", http.MethodGet, "/v1/waits", ""); got.field(t, "waits.2.run_id") == "null" {
			t.Errorf("cut off at commit %d, and again, the inbox is %s", n, got.Body)
		}
	}
}

// slow is a store whose commits take a while.
type slow struct{ *mem.Store }

func (s slow) Commit(ctx context.Context, c *bide.Commit) error {
	if c.RunID == "moved" {
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return s.Store.Commit(ctx, c)
}

// An import takes as long as it takes, but what does not send its file any more is cut off, and nothing of it is imported.
func TestAnImportHasTimeWhileItComes(t *testing.T) {
	from := newServer(t, nil)
	from.start("operator", `{"workflow":"approval","input":{"amount":1},"run_id":"moved"}`)
	file := from.ask("viewer", http.MethodGet, "/v1/export?run=moved", "").Body
	s := serverOver(t, slow{mem.New()}, &gateway.Options{RequestTime: time.Second, WriteTime: 500 * time.Millisecond})
	addr, _ := s.listening()
	send := func(body io.Reader) (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/v1/import", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer admin")
		return http.DefaultClient.Do(req)
	}
	r, w := io.Pipe()
	go func() {
		_, err := w.Write(file[:len(file)/2]) // and no more
		if err != nil {
			t.Error(err)
		}
	}()
	if resp, err := send(r); err == nil {
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("half a file = %s", resp.Status)
		}
		resp.Body.Close()
	}
	r.Close()
	if got := s.ask("viewer", http.MethodGet, "/v1/runs", ""); got.field(t, "runs") != "[]" {
		t.Errorf("half a file was imported: %s", got.Body)
	}
	resp, err := send(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"runs":1`) {
		t.Errorf("the import = %s %s, %v", resp.Status, body, err)
	}
}

// stopped is a store whose first commit of an import waits until it may go on.
type stopped struct {
	*mem.Store
	entered, open chan struct{}
}

func (h *stopped) Commit(ctx context.Context, c *bide.Commit) error {
	if c.RunID == "moved" {
		close(h.entered)
		<-h.open
	}
	return h.Store.Commit(ctx, c)
}

// One file is imported at a time; who comes with another one is told so, and nothing of it is imported.
func TestOneFileIsImportedAtATime(t *testing.T) {
	from := newServer(t, nil)
	from.ask("operator", http.MethodPost, "/v1/runs", `{"workflow":"approval","input":{"amount":1},"run_id":"moved"}`)
	file := string(from.ask("viewer", http.MethodGet, "/v1/export?run=moved", "").Body)
	store := &stopped{mem.New(), make(chan struct{}), make(chan struct{})}
	s := serverOver(t, store, nil)
	first := make(chan *reply, 1)
	go func() { first <- s.ask("admin", http.MethodPost, "/v1/import", file) }()
	<-store.entered
	if got := s.ask("admin", http.MethodPost, "/v1/import", file); got.Status != http.StatusConflict || got.field(t, "code") != "conflict" {
		t.Errorf("a second file = %d %s, want 409", got.Status, got.Body)
	}
	close(store.open)
	if got := <-first; got.Status != http.StatusOK || got.field(t, "runs") != "1" {
		t.Errorf("the first file = %d %s", got.Status, got.Body)
	}
	if got := s.ask("admin", http.MethodPost, "/v1/import", file); got.field(t, "known") != "1" {
		t.Errorf("the file after that = %d %s", got.Status, got.Body)
	}
}

// A sweep removes what nothing names, and leaves what records name.
func TestASweepRemovesWhatNothingNames(t *testing.T) {
	dir := t.TempDir()
	blobs := bide.Must(artifact.OpenDir(dir))
	sum, _, err := blobs.Put(t.Context(), strings.NewReader("named"))
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, &gateway.Options{Artifacts: blobs})
	bide.Must(s.rt.Run(t.Context(), fetch(s, sum), nil, nil))
	if _, _, err := blobs.Put(t.Context(), strings.NewReader("forgotten")); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-3 * time.Hour)
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			err = os.Chtimes(path, old, old)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ body, removed, kept string }{
		{`{"older":"4h"}`, "0", "2"}, {`{"older":"2h","dry_run":true}`, "1", "1"}, {`{"older":"2h"}`, "1", "1"}, {`{"older":"2h"}`, "0", "1"},
	} {
		if got := s.ask("admin", http.MethodPost, "/v1/artifacts/sweep", c.body); got.field(t, "removed") != c.removed || got.field(t, "kept") != c.kept {
			t.Errorf("sweep %s = %d %s, want %s removed and %s kept", c.body, got.Status, got.Body, c.removed, c.kept)
		}
	}
	if got := newServer(t, nil).ask("admin", http.MethodPost, "/v1/compact", ""); got.Status != http.StatusConflict || got.field(t, "code") != "wrong_status" {
		t.Errorf("compacting a store that needs none = %d %s", got.Status, got.Body)
	}
}
