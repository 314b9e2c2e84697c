package bide_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/store/mem"
)

// A random program of nodes, effects and failures meets random answers, pauses
// and crashes at any commit. However it is disturbed, it ends as the reference
// model says, its ledger folds to the stored state, and every attempt was
// announced before it ran and is accounted for afterwards (K3, K6, K8, K17, K22).
func TestAnyProgramUnderAnyCrashesEndsAsTheModelSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, program: drawProgram(t), store: mem.New(), clock: bidetest.NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), ran: map[string]int{},
			snapshot: rapid.SampledFrom([]int{1, 1 << 20}).Draw(t, "snapshot bytes")}
		w.boot()
		w.live()
		w.settle()
		w.checkEnd()
	})
}

// A program is a list of steps; step i is node "n<i>".
type program []progStep

type progStep struct {
	write   string // "", "set" or "append"
	effects []progEffect
	catch   bool // go on at the next node when an effect fails for good
}

type progEffect struct {
	kind     string // work, once, doomed, ask, sleep
	fails    int    // calls of a work effect that fail first
	attempts int
	append   bool // collect the result in a list
}

func drawProgram(t *rapid.T) program {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) progStep {
		s := progStep{
			write: rapid.SampledFrom([]string{"", "set", "append"}).Draw(t, "write"),
			catch: rapid.Bool().Draw(t, "catch"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "effects") {
			e := progEffect{
				kind:     rapid.SampledFrom([]string{"work", "work", "once", "doomed", "ask", "sleep"}).Draw(t, "kind"),
				attempts: rapid.IntRange(1, 3).Draw(t, "attempts"),
				append:   rapid.Bool().Draw(t, "append"),
			}
			if e.kind == "work" {
				e.fails = rapid.IntRange(0, e.attempts-1).Draw(t, "fails")
			}
			s.effects = append(s.effects, e)
		}
		return s
	}), 1, 6).Draw(t, "program")
}

// name is where the result of effect j of step i goes, unless it is collected.
func name(i, j int) string { return fmt.Sprintf("r%d_%d", i, j) }

func (p program) workflow() bide.Workflow {
	nodes := bide.Nodes{"end": func(r *bide.Run) (bide.StepPlan, error) {
		// What was collected depends on who was first; its number does not.
		all, err := bide.Get[[]json.RawMessage](r.Vars, "all")
		raw, _, _ := r.Vars.Raw("")
		var out map[string]any
		if err := json.Unmarshal(raw, &out); err != nil {
			return bide.StepPlan{}, err
		}
		delete(out, "all")
		out["collected"] = len(all)
		return bide.Complete(out), err
	}}
	for i, s := range p {
		next := "n" + strconv.Itoa(i+1)
		if i+1 == len(p) {
			next = "end"
		}
		nodes["n"+strconv.Itoa(i)] = func(r *bide.Run) (bide.StepPlan, error) {
			plan := bide.Go(next)
			if len(s.effects) > 0 {
				plan = bide.Do(s.build(i)...).Then(next)
			}
			if s.catch {
				plan = plan.OnError(next)
			}
			switch s.write {
			case "set":
				plan = plan.Set("w.last", i).Set(fmt.Sprintf("w.at.%d", i), r.Now())
			case "append":
				plan = plan.Append("w.list", i)
			}
			return plan, nil
		}
	}
	return bide.Workflow{ID: "program", Version: "1", Entry: "n0", Nodes: nodes}
}

func (s progStep) build(i int) (effects []bide.Effect) {
	for j, e := range s.effects {
		var eff bide.Effect
		retry := bide.RetryPolicy{Attempts: e.attempts, Backoff: bide.Duration(time.Second)}
		switch e.kind {
		case "work":
			eff = bide.Call("work", map[string]int{"fails": e.fails}).WithRetry(retry)
		case "once":
			eff = bide.Call("work", map[string]int{}).Once()
		case "doomed":
			eff = bide.Call("doomed", nil).WithRetry(retry)
		case "ask":
			eff = bide.Ask("?", nil)
		case "sleep":
			eff = bide.SleepFor(time.Duration(j+1) * time.Minute)
		}
		if e.append {
			eff = eff.AppendTo("all")
		} else {
			eff = eff.As(name(i, j))
		}
		effects = append(effects, eff)
	}
	return effects
}

// model is what the program must come to, by the rules alone.
func (p program) model() (status bide.Status, collected int, results map[string]string) {
	results = map[string]string{}
	for i, s := range p {
		failed := false
		for j, e := range s.effects {
			result := ""
			switch e.kind {
			case "work", "once":
				result = "done"
			case "ask":
				result = "answered"
			case "sleep":
				result = "slept"
			case "doomed":
				failed = true
				continue
			}
			if e.append {
				collected++
			} else {
				results[name(i, j)] = result
			}
		}
		if failed && !s.catch {
			return bide.StatusFailed, collected, results
		}
	}
	return bide.StatusCompleted, collected, results
}

// world is a process, its store and what is outside.
type world struct {
	t        *rapid.T
	program  program
	store    *mem.Store
	clock    *bidetest.Clock
	rt       *bide.Runtime
	booted   []*bide.Runtime // this process and those that died, whose handlers may be at work still
	fault    *faultStore
	snapshot int

	mu  sync.Mutex
	ran map[string]int // calls by idempotency key
}

func (w *world) boot() {
	w.fault = &faultStore{Store: w.store, at: -1}
	rt, err := bide.New(w.fault, &bide.Options{Clock: w.clock, TickSteps: 3, SnapshotBytes: w.snapshot, Limits: bide.Limits{Concurrency: 2, Lost: 1000}, NewID: func() string { return "r" }})
	if err != nil {
		w.t.Fatal(err)
	}
	rt.Handle("work", w.handle)
	rt.Handle("doomed", w.handle)
	if err := rt.Register(w.program.workflow()); err != nil {
		w.t.Fatal(err)
	}
	w.rt = rt
	w.booted = append(w.booted, rt)
}

func (w *world) handle(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
	w.mu.Lock()
	w.ran[call.Key]++
	n := w.ran[call.Key]
	w.mu.Unlock()
	if !w.announced(call) {
		return bide.Outcome{}, bide.Permanent(fmt.Errorf("attempt %d of %s ran unannounced", call.Attempt, call.Key))
	}
	if call.Type == "doomed" {
		return bide.Outcome{}, errors.New("doomed")
	}
	var in struct{ Fails int }
	if err := json.Unmarshal(call.Payload, &in); err != nil {
		return bide.Outcome{}, err
	}
	if n <= in.Fails {
		return bide.Outcome{}, fmt.Errorf("call %d fails", n)
	}
	return bide.Completed("done"), nil
}

// announced looks into the store, past the runtime, whether an attempt that
// runs now is on record.
func (w *world) announced(call *bide.Invocation) bool {
	for _, rec := range w.ledger() {
		if rec.Step != call.Step {
			continue
		}
		data, err := rec.Decode()
		if err != nil {
			return false
		}
		switch d := data.(type) {
		case *bide.StepPlanned:
			external := 0
			for _, e := range d.Plan.Effects[:call.Effect] {
				external += strings.Count(e.Type, "work") + strings.Count(e.Type, "doomed")
			}
			if call.Attempt == 1 && external < d.Announced {
				return true
			}
		case *bide.EffectStarted:
			if d.Effect == call.Effect && d.Attempt == call.Attempt {
				return true
			}
		}
	}
	return false
}

func (w *world) ledger() (out []bide.Record) {
	raws, err := w.store.Records(context.Background(), "r", 1, 1<<20)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, raw := range raws {
		rec, err := bide.ParseRecord(raw)
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, rec)
	}
	return out
}

// live disturbs the run at random for a while.
func (w *world) live() {
	t := w.t
	w.start()
	for range rapid.IntRange(0, 30).Draw(t, "acts") {
		switch rapid.SampledFrom([]string{"tick", "tick", "tick", "crash", "crash at", "advance", "answer", "wrong", "pause", "unpause", "start"}).Draw(t, "act") {
		case "tick":
			w.tick()
		case "crash":
			w.boot()
		case "crash at":
			w.fault.arm(rapid.IntRange(0, 3).Draw(t, "commit"), rapid.Bool().Draw(t, "applied"))
		case "advance":
			w.clock.Advance(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
		case "answer":
			w.answerOne()
		case "wrong":
			w.answerWrong()
		case "pause":
			w.again(func() error { _, err := w.rt.Pause(context.Background(), "r"); return err }, bide.ErrWrongStatus)
		case "unpause":
			w.again(func() error { _, err := w.rt.Unpause(context.Background(), "r"); return err }, bide.ErrWrongStatus)
		case "start":
			w.start()
		}
	}
}

// settle lets the run come to its end.
func (w *world) settle() {
	ctx := context.Background()
	for range 1000 {
		run := w.get()
		switch {
		case run.Status.Final():
			return
		case run.Status == bide.StatusPaused:
			w.again(func() error { _, err := w.rt.Unpause(ctx, "r"); return err }, bide.ErrWrongStatus)
		case run.Status == bide.StatusRunning:
			w.tick()
		default:
			if !w.answerOne() {
				w.clock.Advance(time.Minute)
				w.tick()
			}
		}
	}
	w.t.Fatalf("the run does not end: %+v", w.get())
}

// again does something until no crash is in the way; a fresh process does it anew.
func (w *world) again(do func() error, allowed ...error) {
	for range 5 {
		err := do()
		if err == nil || slices.ContainsFunc(allowed, func(a error) bool { return errors.Is(err, a) }) {
			return
		}
		if !errors.Is(err, errDead) {
			w.t.Fatal(err)
		}
		w.boot()
	}
	w.t.Fatal("dead five times in a row")
}

func (w *world) start() {
	w.again(func() error {
		_, err := w.rt.Start(context.Background(), w.program.workflow(), "in", &bide.StartOptions{RunID: "r"})
		return err
	})
}

func (w *world) tick() {
	w.again(func() error { _, err := w.rt.Tick(context.Background(), "r"); return err })
}

func (w *world) get() (run *bide.Run) {
	w.again(func() (err error) { run, err = w.rt.Get(context.Background(), "r"); return err })
	return run
}

// answerOne answers the first wait that a person answers, by a command that is sent again after a crash.
func (w *world) answerOne() bool {
	for _, wait := range w.get().Waits {
		var answer any = "answered"
		switch wait.Kind {
		case bide.WaitAttention:
			answer = bide.Attention{Type: bide.AttentionDone, Result: json.RawMessage(`"done"`)}
		case bide.WaitQuestion:
		default:
			continue
		}
		w.again(func() error {
			_, err := w.rt.Resume(context.Background(), "r", wait.ID, answer, bide.Command{ID: "answer " + wait.ID, Actor: "anna"})
			return err
		})
		return true
	}
	return false
}

func (w *world) answerWrong() {
	for _, wait := range w.get().Waits {
		before := w.get()
		_, err := w.rt.Resume(context.Background(), "r", wait.ID, 42)
		if !errors.Is(err, bide.ErrInvalidAnswer) {
			w.t.Fatalf("Resume(%s, 42) = %v, want ErrInvalidAnswer", wait.Kind, err)
		}
		if after := w.get(); after.Seq != before.Seq {
			w.t.Fatalf("a refused answer moved the run from record %d to %d", before.Seq, after.Seq)
		}
	}
}

func (w *world) checkEnd() {
	t, ctx := w.t, context.Background()
	for _, rt := range w.booted {
		if err := rt.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	w.boot()
	run := w.get()
	status, collected, results := w.program.model()
	if run.Status != status {
		t.Fatalf("status %s (%v), want %s", run.Status, run.Error, status)
	}
	if got, err := bide.Get[[]json.RawMessage](run.Vars, "all"); err != nil || len(got) != collected {
		t.Fatalf("collected %d results, %v, want %d", len(got), err, collected)
	}
	for name, want := range results {
		raw, _, err := run.Vars.Raw(name)
		ok := map[string]string{"done": `"done"`, "answered": `{"text":"answered","by":"anna"}`}[want]
		if err != nil || ok != "" && string(raw) != ok || ok == "" && !strings.HasPrefix(string(raw), `{"until":`) {
			t.Fatalf("%s = %s, %v, want %s", name, raw, err, want)
		}
	}
	w.checkLedger(run)
	if _, err := w.rt.Verify(ctx, "r"); err != nil {
		t.Fatal(err)
	}
	if d, err := w.rt.Replay(ctx, "r"); d != nil || err != nil {
		t.Fatalf("Replay = %v, %v", d, err)
	}
}

// checkLedger holds the stored state against the fold of the records, and the
// records against what happened outside.
func (w *world) checkLedger(run *bide.Run) {
	t, ctx := w.t, context.Background()
	records := w.ledger()
	folded, err := bide.Fold(func(yield func(bide.Record, error) bool) {
		for _, rec := range records {
			if !yield(rec, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(run, folded, cmpopts.IgnoreUnexported(bide.Run{}, bide.Effect{}, bide.StepPlan{}, bide.FanOutState{})); diff != "" {
		t.Fatalf("the fold is not the stored state (-stored +fold):\n%s", diff)
	}
	page, err := w.store.Runs(ctx, bide.RunQuery{})
	if err != nil || len(page.Runs) != 1 {
		t.Fatalf("Runs = %v, %v", page, err)
	}
	if diff := cmp.Diff(page.Runs[0], folded.RunInfo); diff != "" {
		t.Fatalf("the row is not the fold's (-row +fold):\n%s", diff)
	}
	waits, err := w.store.Waits(ctx, bide.WaitQuery{})
	if err != nil || len(waits.Waits) != 0 {
		t.Fatalf("Waits of an ended run = %v, %v", waits, err)
	}
	w.checkAttempts(records)
}

// checkAttempts counts attempts by effect: every one that was announced has an
// outcome on record or was followed by another or by a person's word.
func (w *world) checkAttempts(records []bide.Record) {
	open := map[string]int{} // by effect: announced attempts without outcome
	once := map[string]bool{}
	failures := map[string]int{}
	for _, rec := range records {
		data, err := rec.Decode()
		if err != nil {
			w.t.Fatal(err)
		}
		key := func(effect int) string { return fmt.Sprintf("r/%d/%d", rec.Step, effect) }
		switch d := data.(type) {
		case *bide.StepPlanned:
			for i, e := range d.Plan.Effects {
				once[key(i)] = e.Delivery == bide.AtMostOnce
				if (e.Type == "work" || e.Type == "doomed") && d.Announced > 0 {
					d.Announced--
					open[key(i)]++
				}
			}
		case *bide.EffectStarted:
			if d.InDoubt {
				open[key(d.Effect)]--
			}
			open[key(d.Effect)]++
		case *bide.EffectCompleted:
			open[key(d.Effect)]--
		case *bide.EffectFailed:
			open[key(d.Effect)]--
			failures[key(d.Effect)]++
		case *bide.Wait:
			if d.Kind == bide.WaitAttention {
				open[key(d.Effect)]--
			}
		}
	}
	for key, n := range open {
		if n != 0 {
			w.t.Fatalf("effect %s: %d announced attempts have no outcome", key, n)
		}
	}
	for key, n := range w.ran {
		if once[key] && n > 1 {
			w.t.Fatalf("effect %s ran %d times at most once", key, n)
		}
	}
	for i, s := range w.program {
		for j, e := range s.effects {
			key := fmt.Sprintf("r/%d/%d", i+1, j)
			if _, reached := once[key]; reached && e.kind == "doomed" && failures[key] != e.attempts {
				w.t.Fatalf("doomed effect %s failed %d times, its policy says %d", key, failures[key], e.attempts)
			}
		}
	}
}

// faultStore dies at a chosen commit, before or after it is applied.
type faultStore struct {
	bide.Store
	mu      sync.Mutex
	at      int // commits until death; below 0 never
	applied bool
	dead    bool
}

func (f *faultStore) arm(at int, applied bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.applied = at, applied
}

func (f *faultStore) Commit(ctx context.Context, c *bide.Commit) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return errDead
	}
	if f.at != 0 {
		f.at--
		return f.Store.Commit(ctx, c)
	}
	f.dead = true
	if f.applied {
		if err := f.Store.Commit(ctx, c); err != nil {
			return err
		}
	}
	return errDead
}

func (f *faultStore) Load(ctx context.Context, id string, have bide.Position) (*bide.Stored, error) {
	f.mu.Lock()
	dead := f.dead
	f.mu.Unlock()
	if dead {
		return nil, errDead
	}
	return f.Store.Load(ctx, id, have)
}
