package file_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/file"
	"github.com/bide-dev/bide/storetest"
)

// put writes a file and the directories above it.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tree lists the files under a directory.
func tree(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			path, err = filepath.Rel(dir, path)
			out = append(out, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAPersonFindsTheRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet", "there")
	s := open(t, dir, nil)
	c := storetest.NewChain("order-42")
	first, second := c.Next(2), c.Next(1)
	first.Opened = []bide.Wait{{ID: "order-42.1", Kind: bide.WaitQuestion, Message: "Pay <now> & here?", Schema: bide.JSON(`{"type":"string"}`)}}
	first.Snapshot = []byte(`{"vars":{}}`)
	first.Send = []bide.Message{{ID: "m", Key: "evt:session:s:hello", Payload: bide.JSON(`1`)}}
	for _, commit := range []*bide.Commit{first, second} {
		if err := s.Commit(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	doc := bide.Document{Kind: "flow", ID: "Hello/world", Body: bide.JSON(`{"n": 1.0}`), UpdatedAt: first.Info.CreatedAt}
	if _, err := s.PutDocument(t.Context(), doc); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{"documents/flow/!hello%2fworld.json", "feed.jsonl", "lock", "mail.jsonl", "runs/order-42/ledger.jsonl", "runs/order-42/run.json", "runs/order-42/snapshot.jsonl", "store.json"}
	if got := tree(t, dir); !slices.Equal(got, want) {
		t.Errorf("the store has the files %q, want %q", got, want)
	}
	ledger, err := os.ReadFile(filepath.Join(dir, "runs/order-42/ledger.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSuffix(ledger, []byte("\n")), []byte("\n"))
	if len(lines) != 3 || sha256.Sum256(lines[2]) != second.Info.Head {
		t.Errorf("the ledger has %d lines, the last with the hash %x, want 3 and %s", len(lines), sha256.Sum256(lines[len(lines)-1]), second.Info.Head)
	}
	text, err := os.ReadFile(filepath.Join(dir, "runs/order-42/run.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"\n    \"run_id\": \"order-42\",\n", `"Pay <now> & here?"`, `"seq": 3`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("run.json does not have %q:\n%s", part, text)
		}
	}
	text, err = os.ReadFile(filepath.Join(dir, want[0]))
	if err != nil {
		t.Fatal(err)
	}
	if s := "{\n  \"kind\": \"flow\",\n  \"id\": \"Hello/world\",\n  \"rev\": 1,\n  \"updated_at\": \"2030-01-02T03:04:05.678901Z\",\n  \"body\": {\"n\": 1.0}\n}\n"; string(text) != s {
		t.Errorf("the document's file is\n%s\nwant\n%s", text, s)
	}
}

func TestADirectoryWithOtherThingsIsLeftAlone(t *testing.T) {
	for _, path := range []string{"letter.txt", "runs/mine/notes.txt", "journal/x", ".git/config", "sub/dir/file"} {
		dir := t.TempDir()
		put(t, filepath.Join(dir, path), "mine")
		_, err := file.Open(t.Context(), dir, nil)
		if !errors.Is(err, bide.ErrStoreForeign) || !strings.Contains(err.Error(), dir) {
			t.Errorf("Open of a directory with %s = %v, want code %s and %s", path, err, bide.CodeStoreForeign, dir)
		}
		if got := tree(t, dir); !slices.Equal(got, []string{path}) {
			t.Errorf("Open left %q in a directory with %s", got, path)
		}
	}
}

func TestAPathThatCannotBeAStoreIsExplained(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "file"), "text")
	put(t, filepath.Join(dir, "strange", "store.json"), "hello")
	put(t, filepath.Join(dir, "newer", "store.json"), `{"format":"bide file store","version":99}`)
	for _, test := range []struct {
		path string
		opts *file.Options
		want bide.Code // empty: an ordinary error
		say  string
	}{
		{"", nil, bide.CodeInvalidInput, "store/mem"},
		{filepath.Join(dir, "file"), nil, "", filepath.Join(dir, "file")},
		{filepath.Join(dir, "strange"), nil, bide.CodeStoreForeign, "store.json"},
		{filepath.Join(dir, "newer"), nil, bide.CodeStoreTooNew, "99"},
		{dir, &file.Options{Durability: "none"}, bide.CodeInvalidInput, `"full"`},
	} {
		_, err := file.Open(t.Context(), test.path, test.opts)
		var e *bide.Error
		code := bide.Code("")
		if errors.As(err, &e) {
			code = e.Code
		}
		if err == nil || code != test.want || !strings.Contains(err.Error(), test.say) {
			t.Errorf("Open(%q) = %v (code %q), want code %q and mention of %s", test.path, err, code, test.want, test.say)
		}
	}
}

func TestStrangersInTheStoreAreLeftAloneAndNamed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	c := storetest.NewChain("run")
	if err := s.Commit(t.Context(), c.Next(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	strangers := []string{"notes.txt", "journal/readme", "journal/0000000000000007.jsonl.bak", "runs/README.md", "runs/Capital/ledger.jsonl", "runs/empty/notes.txt", "runs/a%2/x"}
	for _, path := range strangers {
		put(t, filepath.Join(dir, path), "mine")
	}
	var log bytes.Buffer
	s = open(t, dir, &file.Options{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	if err := s.Commit(t.Context(), c.Next(1)); err != nil {
		t.Errorf("Commit = %v", err)
	}
	page, err := s.Runs(t.Context(), bide.RunQuery{})
	if err != nil || len(page.Runs) != 1 {
		t.Errorf("Runs = %v, %v, want one run", page, err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	for _, path := range strangers {
		if text, err := os.ReadFile(filepath.Join(dir, path)); err != nil || string(text) != "mine" {
			t.Errorf("%s has %q, %v now", path, text, err)
		}
		name := filepath.Join(dir, path)
		if strings.HasPrefix(path, "runs/") && strings.Count(path, "/") > 1 {
			name = filepath.Dir(name)
		}
		if !named(t, log.String(), name) {
			t.Errorf("the log does not name %s:\n%s", name, &log)
		}
	}
}

func named(t *testing.T, log, path string) bool {
	t.Helper()
	for line := range strings.Lines(log) {
		var entry struct{ File string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		if entry.File == path {
			return true
		}
	}
	return false
}

func TestRunsKeepApartWhateverTheirIds(t *testing.T) {
	dir := t.TempDir()
	ids := []string{"order", "Order", "ORDER", "!order", "con", "CON", "com1", "nul", "..", ".", "a/b", `a\b`, "a:b", "ünï", "%2e", "-", strings.Repeat("X", 100)}
	s := open(t, dir, nil)
	want := map[string]bide.Position{}
	for _, id := range ids {
		c := storetest.NewChain(id).Next(2)
		if err := s.Commit(t.Context(), c); err != nil {
			t.Errorf("Commit(%q) = %v", id, err)
		}
		want[id] = c.Info.Position()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, nil)
	storetest.CheckTold(t, s, want)
	folders, err := os.ReadDir(filepath.Join(dir, "runs"))
	if err != nil || len(folders) != len(ids) {
		t.Errorf("there are %d folders, %v, want %d", len(folders), err, len(ids))
	}
	lower := map[string]bool{}
	for _, f := range folders {
		lower[strings.ToLower(f.Name())] = true
	}
	if len(lower) != len(ids) {
		t.Errorf("%d folders differ in more than capitals, want %d", len(lower), len(ids))
	}
	for _, id := range []string{strings.Repeat("X", 128), strings.Repeat("x", 256)} {
		if err := s.Commit(t.Context(), storetest.NewChain(id).Next(1)); !errors.Is(err, bide.ErrInvalidInput) {
			t.Errorf("Commit to a run whose id has %d letters = %v, want code %s", len(id), err, bide.CodeInvalidInput)
		}
	}
}
