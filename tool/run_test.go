package tool_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/tool"
)

// auto lets everything pass.
func auto() *tool.Policy { return bide.Must(tool.NewPolicy(tool.Rule{Decide: tool.Auto})) }

// one makes one call of a tool and returns its result.
func one(t *testing.T, opts *tool.Options, tl tool.Tool, args string) tool.Result {
	t.Helper()
	if opts == nil {
		opts = &tool.Options{}
	}
	if opts.Policy == nil {
		opts.Policy = auto()
	}
	d := newDesk(t, opts, tl)
	return d.results(d.start(nil, tool.Call{ID: "c", Name: tl.Name, Args: args}))[0]
}

func TestASetRefusesToolsThatCannotBeCalled(t *testing.T) {
	ok := look()
	for want, change := range map[string]func(*tool.Tool){
		"a name has letters": func(tl *tool.Tool) { tl.Name = "look here" },
		"has no Run":         func(tl *tool.Tool) { tl.Run = nil },
		"safety":             func(tl *tool.Tool) { tl.Safety = "perhaps" },
		"is negative":        func(tl *tool.Tool) { tl.Timeout = -1 },
		"not that of an obj": func(tl *tool.Tool) { tl.Schema = bide.JSON(`{"type":"string"}`) },
	} {
		bad := ok
		change(&bad)
		if _, err := tool.New(nil, bad); !errors.Is(err, bide.ErrInvalidInput) || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want ErrInvalidInput with %q", err, want)
		}
	}
	if _, err := tool.New(nil, ok, ok); err == nil || !strings.Contains(err.Error(), "two tools") {
		t.Errorf("New with the same tool twice = %v", err)
	}
}

func TestTheSchemaOfAFunctionIsThatOfItsArguments(t *testing.T) {
	tl, ok := bide.Must(tool.New(nil, look())).Tool("look")
	if faults := bide.CheckSchema(tl.Schema, bide.JSON(`{"to":"x"}`)); !ok || len(faults) > 0 {
		t.Errorf("faults of good arguments = %v", faults)
	}
	if faults := bide.CheckSchema(tl.Schema, bide.JSON(`{"text":"x","more":1}`)); len(faults) != 2 {
		t.Errorf("faults of arguments with one missing and one unknown = %v", faults)
	}
	if len(tl.Source.SHA256) != 64 || !tl.Annotations.ReadOnly {
		t.Errorf("tool = %+v", tl)
	}
}

func TestALongResultIsCutOffAndKeptWhole(t *testing.T) {
	long := strings.Repeat("ä", 1000)
	tl := tool.Func("long", "", tool.ReadOnly, func(context.Context, struct{}) (string, error) { return long, nil })
	tl.MaxResult = 101
	keep := bide.Must(artifact.OpenDir(t.TempDir()))
	defer keep.Close()
	res := one(t, &tool.Options{Artifacts: keep}, tl, "")
	var text string
	if err := json.Unmarshal(res.Content, &text); err != nil || text != long[:100] {
		t.Errorf("content = %q, %v; want the first 100 bytes", text, err)
	}
	if res.Whole == nil || res.Whole.Bytes != 2000 || !strings.Contains(res.Note, "2000 bytes; these are the first 100") {
		t.Fatalf("whole = %+v, note = %q", res.Whole, res.Note)
	}
	r := bide.Must(keep.Open(ctx, res.Whole.SHA256))
	defer r.Close()
	if got := bide.Must(io.ReadAll(r)); string(got) != long {
		t.Errorf("the artifact has %d bytes, want all", len(got))
	}
}

func TestACallThatIsTooSlowIsStoppedOrSaidToBeStillAtWork(t *testing.T) {
	slow := tool.Func("slow", "", tool.ReadOnly, func(ctx context.Context, _ struct{}) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	})
	slow.Timeout = time.Millisecond
	if res := one(t, nil, slow, ""); res.Status != tool.StatusError || !strings.Contains(res.Text(), "stopped after 1ms") || strings.Contains(res.Text(), "still be at work") {
		t.Errorf("result = %s %q", res.Status, res.Text())
	}
	outside := slow
	outside.Outside = true
	if res := one(t, nil, outside, ""); !strings.Contains(res.Text(), "whether the other side stopped is not known") {
		t.Errorf("result = %q", res.Text())
	}

	release := make(chan struct{})
	deaf := slow
	deaf.Run = func(context.Context, *tool.Request) (tool.Reply, error) { <-release; return tool.Reply{}, nil }
	opts := &tool.Options{Policy: auto(), Grace: time.Millisecond}
	d := newDesk(t, opts, deaf)
	if res := d.results(d.start(nil, tool.Call{ID: "c", Name: "slow"}))[0]; !strings.Contains(res.Text(), "did not stop within 1ms: it may still be at work") {
		t.Errorf("result = %q", res.Text())
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if err := d.set.Close(over); err == nil {
		t.Error("Close returned before the call did")
	}
	close(release)
	if err := d.set.Close(ctx); err != nil {
		t.Errorf("Close = %v", err)
	}
}

func TestCallsOfAToolRunAFewAtATime(t *testing.T) {
	var mu sync.Mutex
	var at, most int
	var both sync.WaitGroup
	both.Add(2)
	tl := tool.Func("busy", "", tool.ReadOnly, func(_ context.Context, in struct {
		First bool `json:"first"`
	}) (string, error) {
		mu.Lock()
		at++
		most = max(most, at)
		mu.Unlock()
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			at--
		}()
		if in.First { // two are at work at the same time
			both.Done()
			both.Wait()
		}
		return "", nil
	})
	tl.AtOnce = 2
	d := newDesk(t, &tool.Options{Policy: auto()}, tl)
	var calls []tool.Call
	for _, id := range strings.Split("abcdefghijkl", "") {
		first := "false"
		if id < "c" {
			first = "true"
		}
		calls = append(calls, tool.Call{ID: id, Name: "busy", Args: `{"first":` + first + `}`})
	}
	d.results(d.start(nil, calls...))
	if most != 2 {
		t.Errorf("%d calls were at work at once, want 2", most)
	}
}

func TestAFailedCallIsMadeAgainOnlyIfThatIsSafe(t *testing.T) {
	for safety, want := range map[tool.Safety]string{tool.Idempotent: "ok", tool.Once: "error"} {
		calls := 0
		tl := tool.Func("flaky", "", safety, func(context.Context, struct{}) (string, error) {
			if calls++; calls == 1 {
				return "", tool.Transient(errors.New("the line is busy"))
			}
			return "through", nil
		})
		tl.Retry = &bide.RetryPolicy{Attempts: 2, Backoff: bide.Duration(time.Second)}
		d := newDesk(t, &tool.Options{Policy: auto()}, tl)
		run := d.start(nil, tool.Call{ID: "c", Name: "flaky"})
		d.clock.Advance(time.Second)
		if !run.Status.Final() {
			run = d.tick()
		}
		if res := d.results(run)[0]; res.Status != want {
			t.Errorf("%s: result = %s %q, want %s", safety, res.Status, res.Text(), want)
		}
	}
}

func TestWhatAToolDoesWrongIsAResult(t *testing.T) {
	for want, fn := range map[string]func(context.Context, struct{}) (any, error){
		"The tool failed: panic: kaput":          func(context.Context, struct{}) (any, error) { panic("kaput") },
		"The tool failed: no paper":              func(context.Context, struct{}) (any, error) { return nil, errors.New("no paper") },
		"The tool returned what cannot be writt": func(context.Context, struct{}) (any, error) { return make(chan int), nil },
	} {
		if res := one(t, nil, tool.Func("bad", "", tool.Once, fn), ""); res.Status != tool.StatusError || !strings.HasPrefix(res.Text(), want) {
			t.Errorf("result = %s %q, want %q", res.Status, res.Text(), want)
		}
	}
}

func TestAPausedRunDoesNotBlameTheTool(t *testing.T) {
	entered := make(chan struct{}, 1)
	calls := 0
	tl := tool.Func("patient", "", tool.ReadOnly, func(ctx context.Context, _ struct{}) (string, error) {
		if calls++; calls == 1 {
			entered <- struct{}{}
			<-ctx.Done()
			return "", ctx.Err()
		}
		return "done", nil
	})
	d := newDesk(t, &tool.Options{Policy: auto()}, tl)
	done := make(chan error)
	go func() {
		_, err := d.rt.Run(ctx, d.workflow(), []tool.Call{{ID: "c", Name: "patient"}}, nil)
		done <- err
	}()
	<-entered
	d.must(d.rt.Pause(ctx, "r"))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	d.must(d.rt.Unpause(ctx, "r"))
	if res := d.results(d.tick())[0]; res.Status != tool.StatusOK || calls != 2 {
		t.Errorf("result = %s %q after %d calls", res.Status, res.Text(), calls)
	}
}

func TestTwoCallsUnderOneIDAreRefused(t *testing.T) {
	d := newDesk(t, nil)
	run := d.start(nil, tool.Call{ID: "c", Name: "look"}, tool.Call{ID: "c", Name: "look"})
	if run.Status != bide.StatusFailed || !strings.Contains(run.Error.Message, `has the id "c", which is empty or taken`) {
		t.Errorf("run = %s %v", run.Status, run.Error)
	}
}
