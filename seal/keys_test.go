package seal_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/seal"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/worker"
)

func TestAKeyringIsReadFromWhereItIsKept(t *testing.T) {
	text := "# the new one\n" + line(t, "new") + "\n" + line(t, "old")
	path := filepath.Join(t.TempDir(), "keyring")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KEYRING_OF_TEST", text)
	for _, source := range []string{"file:" + path, "env:KEYRING_OF_TEST", "command:cat " + path} {
		k, err := seal.OpenKeyring(ctx, source)
		if err != nil || strings.Join(k.IDs(), " ") != "new old" {
			t.Errorf("OpenKeyring(%q) = %v, %v; want the keys new and old", source, k, err)
		}
	}
}

func TestAKeyringThatCannotBeUsedSaysWhyAndShowsNoKey(t *testing.T) {
	good := strings.Fields(line(t, "k"))[1]
	t.Setenv("KEYRING_OF_TEST", "")
	for source, want := range map[string]string{
		"env:KEYRING_OF_TEST": "not set", "file:/no/such": "no such file", "command:false": "exit status 1",
		"vault:x": "file:PATH", "env:": "file:PATH", "command: ": "no program",
	} {
		if _, err := seal.OpenKeyring(ctx, source); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), source) {
			t.Errorf("OpenKeyring(%q) = %v, want an error with %q", source, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "no key", "# none\n": "no key", "k": "line 1", "k " + good + " more": "line 1", "k!x " + good: "line 1",
		"k " + good + "\nk " + good: `two keys "k"`, "k " + good[:20]: "32 bytes", "ok " + good + "\nk ?" + good[1:]: "line 2",
	} {
		_, err := seal.ParseKeyring([]byte(text))
		wantErr(t, "ParseKeyring", err, bide.ErrInvalidInput)
		if err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), good[4:16])) {
			t.Errorf("ParseKeyring(%q) = %v, want an error with %q and without the key", text, err, want)
		}
	}
	_, err := seal.NewKey("a b")
	wantErr(t, "NewKey", err, bide.ErrInvalidInput)
}

func TestAMissingOrWrongKeyIsNamedAndNothingIsLost(t *testing.T) {
	inner := mem.New()
	mine := line(t, "mine")
	s := sealed(t, inner, mine)
	run, err := runtime(t, s, nil).Run(ctx, ask, "x", &bide.StartOptions{RunID: "r"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(ctx, &bide.Commit{Send: []bide.Message{{ID: "m", To: "r", Key: bide.EventKey(bide.ScopeRun, "r", "n"), Payload: bide.JSON(`1`)}}}); err != nil {
		t.Fatal(err)
	}
	for name, keyring := range map[string]string{"missing": line(t, "other"), "wrong": line(t, "mine")} {
		other := sealed(t, inner, keyring)
		rt := runtime(t, other, nil)
		for what, do := range map[string]func() error{
			"Get":    func() error { _, err := rt.Get(ctx, "r"); return err },
			"Tick":   func() error { _, err := rt.Tick(ctx, "r"); return err },
			"Resume": func() error { _, err := rt.Resume(ctx, "r", run.Waits[0].ID, "seven"); return err },
			"Send":   func() error { return rt.Send(ctx, bide.Event{ScopeID: "r", Name: "n"}) },
			"Fork":   func() error { _, err := rt.Fork(ctx, "r", 1, nil); return err },
			"Shred":  func() error { _, err := rt.Shred(ctx, "r"); return err },
			"Rewrap": func() error {
				_, err := other.Rewrap(ctx, nil)
				if name == "wrong" { // it cannot be known before a key is needed
					return other.HasKey(ctx, "mine")
				}
				return err
			},
		} {
			err := do()
			wantErr(t, what+" with a key that is "+name, err, bide.ErrSealed)
			if err != nil && !strings.Contains(err.Error(), `"mine"`) {
				t.Errorf("%s with a key that is %s = %v, want the id of the key", what, name, err)
			}
		}
		page, err := rt.Waits(ctx, bide.WaitQuery{})
		if err != nil || len(page.Waits) != 1 || !strings.Contains(page.Waits[0].Message, "encrypted") {
			t.Errorf("Waits with a key that is %s = %+v, %v; want one that says so", name, page, err)
		}
		if _, err := rt.Verify(ctx, "r"); err != nil {
			t.Errorf("Verify with a key that is %s = %v, want the chain to hold", name, err)
		}
	}
	rt := runtime(t, sealed(t, inner, mine), nil)
	if _, err := rt.Resume(ctx, "r", run.Waits[0].ID, "seven"); err != nil {
		t.Fatal(err)
	}
	if run, err = rt.Tick(ctx, "r"); err != nil || string(run.Output) != `"seven"` {
		t.Errorf("with the key again: %v, %v; want the run to complete", run, err)
	}
}

func TestAWorkerWithoutTheKeySetsRunsAsideUntilItIsBack(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "bide.db")
	keys := ring(t, line(t, "k"))
	refused := make(chan string, 100)
	open := func(k seal.Keys) *engine.Engine {
		log := slog.New(slog.NewTextHandler(lines(refused), nil))
		e, err := engine.Open(ctx, url, &engine.Options{Workflows: []bide.Workflow{ask}, Keys: k, Worker: worker.Options{Poll: 10 * time.Millisecond, Logger: log}})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	shut := func(e *engine.Engine) {
		if err := e.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	store, err := engine.OpenStore(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	s, err := seal.New(ctx, store, keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bide.Must(bide.New(s, nil)).Start(ctx, ask, "x", &bide.StartOptions{RunID: "r"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	e := open(ring(t, line(t, "other")))
	if said := <-refused; !strings.Contains(said, `wrapping key \"k\"`) {
		t.Errorf("the worker says %s, want the id of the key", said)
	}
	shut(e) // which waits for what is driven
	e = open(ring(t, line(t, "third")))
	page, err := e.Runs(ctx, bide.RunQuery{SetAside: true})
	if err != nil || len(page.Runs) != 1 || !strings.Contains(page.Runs[0].SetAside, `encrypted: the wrapping key "k" is not in the keyring`) {
		t.Errorf("set aside are %+v, %v; want the run, with the key's name", page, err)
	}
	shut(e)
	e = open(keys)
	defer shut(e)
	for rec, err := range e.Watch(ctx, "r", 1) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.Kind == bide.KindWaitOpened {
			return
		}
	}
}

// lines passes on what is logged as long as there is room.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default:
	}
	return len(p), nil
}

func TestNewKeysWrapWhatIsNewAndRewrapTheRest(t *testing.T) {
	inner := mem.New()
	old, fresh := line(t, "old"), line(t, "new")
	rt := runtime(t, sealed(t, inner, old), nil)
	for _, id := range []string{"a", "b", "c"} {
		ended(t, rt, id, "seven")
	}
	both := sealed(t, inner, fresh+old)
	rt = runtime(t, both, nil)
	ended(t, rt, "d", "seven")
	before, err := both.Rewrap(ctx, &seal.RewrapOptions{DryRun: true})
	if err != nil || before.Before["old"] == 0 || before.Before["new"] == 0 || before.After["old"] != before.Before["old"] {
		t.Fatalf("Rewrap as a dry run = %+v, %v; want blocks of both keys, and none changed", before, err)
	}
	if again, err := both.Rewrap(ctx, &seal.RewrapOptions{DryRun: true}); err != nil || again.Before["old"] != before.Before["old"] {
		t.Errorf("a dry run changed something: %+v, %v", again, err)
	}
	heads := map[string]bide.Hash{}
	for _, id := range []string{"a", "b", "c", "d"} {
		run, err := rt.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		heads[id] = run.Head
	}
	done, err := both.Rewrap(ctx, nil)
	if err != nil || done.After["old"] != 0 || done.After["new"] != before.Before["old"]+before.Before["new"] {
		t.Fatalf("Rewrap = %+v, %v; want all blocks under new", done, err)
	}
	rt = runtime(t, sealed(t, inner, fresh), nil)
	for id, head := range heads {
		run, err := rt.Get(ctx, id)
		if err != nil || string(run.Output) != `"seven"` || run.Head != head {
			t.Errorf("run %s with the new key alone = %v, %v; want it unchanged", id, run, err)
		}
	}
	_, err = runtime(t, sealed(t, inner, old), nil).Get(ctx, "a")
	wantErr(t, "Get with the old key alone", err, bide.ErrSealed)
}
