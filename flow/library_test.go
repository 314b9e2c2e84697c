package flow_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/store/mem"
)

const question = "bide: 1\nflow: a\nsteps: [{id: q, ask: Go on?}]\noutput: '{{ q.text }}'"

func TestAnotherProcessGoesOnWithARunWithoutTheFile(t *testing.T) {
	ctx, store := t.Context(), mem.New()
	first := bide.Must(bide.New(store, nil))
	run := bide.Must(flow.Start(ctx, first, parse(t, []byte(question)), nil, nil))
	// The file is edited meanwhile: the run keeps what it began with.
	bide.Must(flow.Start(ctx, first, parse(t, []byte(strings.Replace(question, "Go on?", "Really?", 1))), nil, nil))

	second := bide.Must(bide.New(store, nil))
	if _, err := second.Tick(ctx, run.ID); !errors.Is(err, bide.ErrUnknownWorkflow) {
		t.Errorf("Tick without the document = %v, want ErrUnknownWorkflow", err)
	}
	d, err := flow.ForRun(ctx, second, &run.RunInfo)
	if err != nil || string(d.Source()) != question {
		t.Fatalf("ForRun = %v, %v", d, err)
	}
	run = bide.Must(second.Tick(ctx, run.ID))
	if run.Waits[0].Message != "Go on?" {
		t.Errorf("the question is %q", run.Waits[0].Message)
	}
	bide.Must(second.Resume(ctx, run.ID, run.Waits[0].ID, "yes"))
	completed(t, bide.Must(second.Tick(ctx, run.ID)), `"yes"`)
}

func TestARunOfNoDocumentIsNotFound(t *testing.T) {
	rt := bide.Must(bide.New(mem.New(), nil))
	if _, err := flow.ForRun(t.Context(), rt, &bide.RunInfo{ID: "r", Workflow: "w", Version: "1"}); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("ForRun = %v, want ErrNotFound", err)
	}
}

func TestAPublishedDocumentIsKeptOnceUntilItIsWithdrawn(t *testing.T) {
	ctx, store := t.Context(), mem.New()
	rt := bide.Must(bide.New(store, nil))
	d := parse(t, []byte(question))
	other := parse(t, []byte("# a comment\n"+question))
	if d.Version() != other.Version() {
		t.Errorf("a comment changes the version: %s and %s", d.Version(), other.Version())
	}
	for _, d := range []*flow.Doc{d, d, other} {
		if err := flow.Publish(ctx, rt, d); err != nil {
			t.Fatal(err)
		}
	}
	page := bide.Must(store.Documents(ctx, bide.DocumentQuery{Kind: flow.KindFlow}))
	if len(page.Documents) != 1 || page.Documents[0].Rev != 1 {
		t.Fatalf("documents = %+v, want one that was written once", page.Documents)
	}
	if runs := bide.Must(rt.Runs(ctx, bide.RunQuery{})); len(runs.Runs) != 0 {
		t.Errorf("publishing has started %d runs", len(runs.Runs))
	}
	for range 2 {
		if err := flow.Withdraw(ctx, rt, d.Version()); err != nil {
			t.Errorf("Withdraw = %v", err)
		}
	}
	if _, err := flow.Load(ctx, rt, d.Version()); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("Load = %v after it was withdrawn", err)
	}
}

func TestAStoreWithoutDocumentsIsToldOf(t *testing.T) {
	rt := bide.Must(bide.New(struct{ bide.Store }{mem.New()}, nil))
	_, err := flow.Start(t.Context(), rt, parse(t, []byte(question)), nil, nil)
	if !errors.Is(err, bide.ErrInvalidInput) || !strings.Contains(err.Error(), "the store keeps no documents") {
		t.Errorf("Start = %v", err)
	}
}

func TestTheVersionIsTheContent(t *testing.T) {
	same := []string{
		"bide: 1\nflow: a\nsteps: [{say: hi}]",
		"flow: a\nbide: 1 # the format\nsteps:\n  - say: 'hi'\n",
		`{"steps": [{"say": "hi"}], "flow": "a", "bide": 1}`,
	}
	want := parse(t, []byte(same[0])).Version()
	for _, src := range same {
		if got := parse(t, []byte(src)).Version(); got != want {
			t.Errorf("version of %q = %s, want %s", src, got, want)
		}
	}
	if parse(t, []byte(strings.Replace(same[0], "hi", "ho", 1))).Version() == want {
		t.Error("another document has the same version")
	}
}

func TestALibraryRegistersWhatOthersPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New()
		publisher, worker := bide.Must(bide.New(store, nil)), bide.Must(bide.New(store, nil))
		changed := 0
		lib := flow.NewLibrary(worker, &flow.LibraryOptions{Every: time.Second, Changed: func() { changed++ }})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- lib.Run(ctx) }()
		synctest.Wait()
		run := bide.Must(flow.Start(t.Context(), publisher, parse(t, []byte(question)), nil, nil))
		<-time.After(3 * time.Second)
		synctest.Wait()
		if changed != 1 {
			t.Errorf("Changed was called %d times, want once", changed)
		}
		if run = bide.Must(worker.Tick(t.Context(), run.ID)); len(run.Waits) != 1 {
			t.Errorf("run is %s", run.Status)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestAnInputThatDoesNotFitIsRefusedBeforeTheStart(t *testing.T) {
	rt := bide.Must(bide.New(mem.New(), nil))
	d := parse(t, []byte("bide: 1\nflow: a\ninput: {type: object, required: [n], properties: {n: {type: integer}, m: {type: integer, default: 4}}, additionalProperties: false}\nsteps: [{return: '{{ input.m }}'}]"))
	_, err := flow.Start(t.Context(), rt, d, map[string]any{"n": "x", "o": 1}, nil)
	var e *bide.Error
	if !errors.As(err, &e) || e.Code != bide.CodeInvalidInput || len(e.Faults) != 2 || e.Faults[1].Path != "/n" {
		t.Errorf("Start = %v, want two faults", err)
	}
	// Whoever starts the workflow without looking gets a run that says the same.
	run := bide.Must(rt.Run(t.Context(), d.Workflow(), map[string]any{"n": "x"}, nil))
	failed(t, run, flow.FailureInput, "/n: got string, want integer")
	completed(t, bide.Must(rt.Run(t.Context(), d.Workflow(), map[string]any{"n": 1}, nil)), "4")
}

func TestARunThatPretendsToBeABodyIsTakenAsItIs(t *testing.T) {
	rt := bide.Must(bide.New(mem.New(), nil))
	d := parse(t, yamlOf("- {id: each, for_each: {in: '[]', concurrency: 1, steps: [{fail: inside}]}}\noutput: outside"))
	completed(t, bide.Must(rt.Run(t.Context(), d.Workflow(), map[string]any{"bide_body": "each"}, nil)), `"outside"`)
}

func TestAFlowHasItsTimeout(t *testing.T) {
	h := newHost(t, nil)
	run := h.start([]byte("bide: 1\nflow: a\ntimeout: 1h\nsteps: [{ask: hm}]"), nil)
	failed(t, h.pass(run, time.Hour), bide.FailureTimeout, "deadline")
}
