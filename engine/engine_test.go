package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/engine"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/ledger"
)

var double = bide.Workflow{ID: "double", Version: "1", Entry: "ask", Nodes: bide.Nodes{
	"ask": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Ask("Double it?", nil)).Then("do"), nil
	},
	"do": func(r *bide.Run) (bide.StepPlan, error) {
		n, err := bide.Input[int](r)
		return bide.Do(bide.Call("double", n).As("out")).ThenCompleteWith("out"), err
	},
}}

func options() *engine.Options {
	return &engine.Options{
		Workflows: []bide.Workflow{double},
		Handlers:  map[string]bide.Handler{"double": bide.Typed(func(_ context.Context, n int) (int, error) { return 2 * n, nil })},
	}
}

func open(t *testing.T, url string) *engine.Engine {
	t.Helper()
	e, err := engine.Open(t.Context(), url, options())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// last waits for the end of a run and returns it.
func last(t *testing.T, e *engine.Engine, id string, kind bide.Kind) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for rec, err := range e.Watch(ctx, id, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.Kind == kind {
			return
		}
	}
	t.Fatalf("no record %s came", kind)
}

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestRunsProceedByThemselvesAndOverRestarts(t *testing.T) {
	for scheme, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "bide.db") },
		"file":     func(t *testing.T) string { return "file:" + t.TempDir() },
		"postgres": func(t *testing.T) string { return pgtest.Start(t) },
	} {
		t.Run(scheme, func(t *testing.T) { proceed(t, url(t)) })
	}
}

func proceed(t *testing.T, url string) {
	e := open(t, url)
	run := asking(t, e)
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	e = open(t, url)
	run, err := e.Get(t.Context(), run.ID)
	if err != nil || run.Status != bide.StatusWaiting {
		t.Fatalf("after the restart: %v, %v", run, err)
	}
	if _, err := e.Resume(t.Context(), run.ID, run.Waits[0].ID, "yes"); err != nil {
		t.Fatal(err)
	}
	last(t, e, run.ID, bide.KindRunCompleted)
	if run, err = e.Get(t.Context(), run.ID); err != nil || string(run.Output) != "42" {
		t.Errorf("output %s, %v, want 42", run.Output, err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAnAnswerFromAnotherStoreHandleIsFound(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "bide.db")
	e := open(t, url)
	defer func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	store, err := engine.OpenStore(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	client, err := bide.New(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	run, err := client.Start(t.Context(), double, 4, nil)
	if err != nil {
		t.Fatal(err)
	}
	last(t, e, run.ID, bide.KindWaitOpened)
	if run, err = client.Get(t.Context(), run.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Resume(t.Context(), run.ID, run.Waits[0].ID, "yes"); err != nil {
		t.Fatal(err)
	}
	last(t, e, run.ID, bide.KindRunCompleted)
}

func TestAStoreThatIsOpenedForReadingTakesNoWrites(t *testing.T) {
	for scheme, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "bide.db") },
		"file":     func(t *testing.T) string { return "file:" + t.TempDir() },
		"postgres": func(t *testing.T) string { return pgtest.Start(t) },
	} {
		t.Run(scheme, func(t *testing.T) { lookOnly(t, url(t)) })
	}
	for _, url := range []string{"mem:", "nothing"} {
		if _, err := engine.OpenReadOnly(t.Context(), url); !errors.Is(err, bide.ErrInvalidInput) {
			t.Errorf("OpenReadOnly(%q) = %v, want ErrInvalidInput", url, err)
		}
	}
}

// asking starts a run and returns it when it asks.
func asking(t *testing.T, e *engine.Engine) *bide.Run {
	t.Helper()
	run, err := e.Start(t.Context(), double, 21, nil)
	if err != nil {
		t.Fatal(err)
	}
	last(t, e, run.ID, bide.KindWaitOpened)
	return run
}

func lookOnly(t *testing.T, url string) {
	e := open(t, url)
	run := asking(t, e)
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	store, err := engine.OpenReadOnly(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	rt, err := bide.New(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	if run, err = rt.Get(t.Context(), run.ID); err != nil || run.Status != bide.StatusWaiting {
		t.Fatalf("Get = %v, %v, want a run that waits", run, err)
	}
	if _, err := rt.Verify(t.Context(), run.ID); err != nil {
		t.Errorf("Verify = %v", err)
	}
	if _, err := rt.Resume(t.Context(), run.ID, run.Waits[0].ID, "yes"); !errors.Is(err, bide.ErrStoreReadOnly) {
		t.Errorf("Resume = %v, want ErrStoreReadOnly", err)
	}
	if run, err = rt.Get(t.Context(), run.ID); err != nil || len(run.Waits) != 1 {
		t.Errorf("Get = %v, %v, want the wait still open", run, err)
	}
}

func TestAURLThatNamesNoStoreIsRefused(t *testing.T) {
	for _, url := range []string{"", "bide.db", "mysql://x", "sqlite:", "mem:x"} {
		if _, err := engine.Open(t.Context(), url, nil); !errors.Is(err, bide.ErrInvalidInput) {
			t.Errorf("Open(%q) = %v, want ErrInvalidInput", url, err)
		}
	}
}

func TestAnEngineSignsWhatItsLedgersSay(t *testing.T) {
	private, public, err := ledger.GenerateKey("ops")
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	o.Checkpoints = &engine.Checkpoints{Signers: must(ledger.Signers(private)), AfterEnd: time.Millisecond}
	url := "sqlite:" + filepath.Join(t.TempDir(), "bide.db")
	e, err := engine.Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	asking(t, e)
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := engine.OpenStore(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rep, err := ledger.VerifyStore(t.Context(), s, &ledger.VerifyOptions{Keys: must(ledger.Verifiers(public))})
	if err != nil || !rep.OK() || !rep.Signed || len(rep.Unsigned) > 0 {
		t.Errorf("VerifyStore = %+v, %v; want all records signed after Close", rep, err)
	}
	if _, err := engine.Open(t.Context(), "mem:", &engine.Options{Checkpoints: &engine.Checkpoints{}}); !errors.Is(err, bide.ErrInvalidInput) {
		t.Errorf("checkpoints without a key: %v, want ErrInvalidInput", err)
	}
}

// While runs go on, the end of one is signed without anybody asking.
func TestTheEndOfARunIsSignedSoon(t *testing.T) {
	private, public, err := ledger.GenerateKey("ops")
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	o.Checkpoints = &engine.Checkpoints{Signers: must(ledger.Signers(private)), AfterEnd: time.Millisecond}
	e, err := engine.Open(t.Context(), "mem:", o)
	if err != nil {
		t.Fatal(err)
	}
	run := asking(t, e)
	if _, err := e.Resume(t.Context(), run.ID, run.ID+".1", "yes"); err != nil {
		t.Fatal(err)
	}
	last(t, e, run.ID, bide.KindRunCompleted)
	keys := must(ledger.Verifiers(public))
	for deadline := time.Now().Add(time.Minute); ; runtime.Gosched() {
		log, _, err := ledger.ReadLog(t.Context(), e.Store(), keys)
		if err != nil {
			t.Fatal(err)
		}
		if of := log.Of(run.ID); len(of) > 0 && of[len(of)-1].Seq == must(e.Get(t.Context(), run.ID)).Seq {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the end of the run was not signed")
		}
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) T { return bide.Must(v, err) }
