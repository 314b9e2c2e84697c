package agent_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/tool"
)

var ctx = context.Background()

// model answers by a function, and counts how often it is asked.
type model struct {
	mu     sync.Mutex
	asked  []llm.Request
	answer func(turn int, req *llm.Request) (*llm.Response, error) // turn from 1
	slow   time.Duration                                           // how long an answer takes
}

// Generate implements llm.Provider.
func (m *model) Generate(ctx context.Context, req *llm.Request, _ func(llm.Delta)) (*llm.Response, error) {
	m.mu.Lock()
	m.asked = append(m.asked, *req)
	m.mu.Unlock()
	turn := 1
	for _, msg := range req.Messages {
		if msg.Role == llm.RoleAssistant {
			turn++
		}
	}
	if m.slow > 0 {
		select {
		case <-time.After(m.slow):
		case <-ctx.Done():
			return nil, llm.Transport(ctx, llm.CodeUnavailable, ctx.Err())
		}
	}
	return m.answer(turn, req)
}

func (m *model) calls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.asked)
}

// says is an answer with text.
func says(text string) (*llm.Response, error) {
	return response(10, 5, llm.Text(text)), nil
}

// wants is an answer with calls: name, arguments, name, arguments, …
func wants(calls ...string) (*llm.Response, error) {
	var parts []llm.Part
	for i := 0; i < len(calls); i += 2 {
		parts = append(parts, llm.Part{Type: llm.PartToolCall, ID: fmt.Sprintf("c%d", i/2), Name: calls[i], Args: bide.JSON(calls[i+1])})
	}
	r := response(10, 5, parts...)
	r.Finish = llm.FinishToolCalls
	return r, nil
}

func response(input, output int64, parts ...llm.Part) *llm.Response {
	return &llm.Response{Message: llm.Message{Role: llm.RoleAssistant, Parts: parts}, Finish: llm.FinishStop, Usage: llm.Usage{Input: &input, Output: &output}}
}

// desk is a runtime with an agent, as one process has it.
type desk struct {
	t     *testing.T
	store bide.Store
	rt    *bide.Runtime
	model *model
	agent *agent.Agent
	// prices is the file of a price table; empty for none.
	prices string
}

// auto lets every call pass.
func auto(tools ...tool.Tool) *tool.Set {
	return bide.Must(tool.New(&tool.Options{Policy: bide.Must(tool.NewPolicy(tool.Rule{Decide: tool.Auto}))}, tools...))
}

// newDesk starts a process over a store, which is a fresh one if nil.
func newDesk(t *testing.T, d desk, cfg agent.Config, answer func(int, *llm.Request) (*llm.Response, error)) *desk {
	t.Helper()
	d.t = t
	if d.store == nil {
		d.store = mem.New()
	}
	d.model = &model{answer: answer}
	kinds := llm.Kinds{"fake": func(llm.ProviderConfig, llm.Env) (llm.Provider, error) { return d.model, nil }}
	models := bide.Must(llm.New(llm.Config{Default: "fake/m", Prices: d.prices, Providers: map[string]llm.ProviderConfig{"fake": {}}}, kinds, nil))
	cfg.ID = cmp.Or(cfg.ID, "a")
	d.agent = bide.Must(agent.New(cfg))
	d.rt = bide.Must(bide.New(d.store, nil))
	if err := d.agent.Register(d.rt); err != nil {
		t.Fatal(err)
	}
	agent.Handle(d.rt, d.store)
	d.rt.Handle(llm.Type, models.Handle)
	if cfg.Tools != nil {
		cfg.Tools.Register(d.rt)
	}
	return &d
}

func (d *desk) run(in agent.Input) *bide.Run {
	d.t.Helper()
	in.Task = cmp.Or(in.Task, "Do it.")
	run, err := d.rt.Run(ctx, d.agent.Workflow(), in, &bide.StartOptions{RunID: "r"})
	if err != nil {
		d.t.Fatal(err)
	}
	return run
}

// tree ticks all runs until nothing moves any more.
func (d *desk) tree() *bide.Run {
	d.t.Helper()
	for range 100 {
		moved := false
		for _, info := range bide.Must(d.rt.Runs(ctx, bide.RunQuery{Limit: 1000})).Runs {
			run, err := d.rt.Tick(ctx, info.ID)
			if err != nil {
				d.t.Fatal(err)
			}
			moved = moved || run.Seq != info.Seq
		}
		if !moved {
			return bide.Must(d.rt.Get(ctx, "r"))
		}
	}
	d.t.Fatal("the runs move without end")
	return nil
}

// end waits for timers and ticks the run until it has ended. It is for tests in which time is not the system's.
func (d *desk) end(run *bide.Run) *bide.Run {
	d.t.Helper()
	for !run.Status.Final() && !run.WakeAt.IsZero() {
		<-time.After(time.Until(run.WakeAt))
		run = bide.Must(d.rt.Tick(ctx, run.ID))
	}
	return run
}

func (d *desk) answer(w bide.Wait, answer any) {
	d.t.Helper()
	id, _ := bide.WaitRun(w.ID)
	if _, err := d.rt.Resume(ctx, id, w.ID, answer, bide.Command{Actor: "anna"}); err != nil {
		d.t.Fatalf("Resume(%s) = %v", w.ID, err)
	}
}

// output is what a run gave; the test ends when it gave nothing.
func output(t *testing.T, run *bide.Run) (out agent.Output) {
	t.Helper()
	if run.Status != bide.StatusCompleted {
		t.Fatalf("the run is %s at %s, with %v and the waits %+v; want completed", run.Status, run.Node, run.Error, run.Waits)
	}
	if err := json.Unmarshal(run.Output, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// nodes are those that a run visited, in order.
func (d *desk) nodes() string {
	var names []string
	for rec, err := range d.rt.Ledger(ctx, "r", 1) {
		if err != nil {
			d.t.Fatal(err)
		}
		if rec.Kind == bide.KindStepPlanned {
			names = append(names, rec.Node)
		}
	}
	return strings.Join(names, " ")
}

// replays fails the test when a run decides otherwise now, or asks the model for it.
func (d *desk) replays() {
	d.t.Helper()
	before := d.model.calls()
	div, err := d.rt.Replay(ctx, "r")
	if div != nil || err != nil {
		d.t.Errorf("Replay = %v, %v", div, err)
	}
	if n := d.model.calls() - before; n > 0 {
		d.t.Errorf("replay asked the model %d times", n)
	}
}

// lookup finds what a text says of a word.
func lookup(results map[string]string) tool.Tool {
	type args struct {
		Word string `json:"word"`
	}
	return tool.Func("lookup", "Looks a word up.", tool.ReadOnly, func(_ context.Context, in args) (string, error) {
		if results[in.Word] == "" {
			return "", errors.New("there is no such word")
		}
		return results[in.Word], nil
	})
}

func jsonOf(text string, v any) error { return json.Unmarshal([]byte(text), v) }
