package agent_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/tool"
)

// busy never has enough: it calls lookup with another word at each turn, until it is not given tools any more.
func busy(turn int, req *llm.Request) (*llm.Response, error) {
	if req.ToolChoice == "none" {
		return says("enough")
	}
	return wants("lookup", fmt.Sprintf(`{"word":"w%d"}`, turn))
}

func words() tool.Tool {
	return tool.Func("lookup", "", tool.ReadOnly, func(_ context.Context, in struct {
		Word string `json:"word"`
	}) (string, error) {
		return "about " + in.Word, nil
	})
}

func TestAtALimitTheAgentAnswersWithoutToolsIfThatFits(t *testing.T) {
	for reason, c := range map[agent.ExitReason]struct {
		limits agent.Limits
		answer string
		calls  int // of the model
	}{
		agent.ExitIterations:   {agent.Limits{Iterations: 4}, "enough", 4},
		agent.ExitToolCalls:    {agent.Limits{ToolCalls: 3}, "enough", 4},
		agent.ExitInputTokens:  {agent.Limits{InputTokens: 75}, "enough", 0},
		agent.ExitOutputTokens: {agent.Limits{OutputTokens: 20}, "enough", 4},
		agent.ExitTotalTokens:  {agent.Limits{TotalTokens: 130}, "enough", 0},
		agent.ExitTime:         {agent.Limits{Time: 1}, "", 0},
		agent.ExitUnpriced:     {agent.Limits{Cost: llm.USD(1e12)}, "", 1},
	} {
		t.Run(string(reason), func(t *testing.T) {
			d := newDesk(t, desk{}, agent.Config{Tools: auto(words())}, busy)
			run := d.run(agent.Input{Spec: agent.Spec{Limits: &c.limits}})
			out := output(t, run)
			if out.Answer != c.answer || out.ExitReason != reason || c.calls > 0 && d.model.calls() != c.calls {
				t.Errorf("after %d calls: %+v; want %q after %d, for %s", d.model.calls(), out, c.answer, c.calls, reason)
			}
			l := c.limits
			if l.InputTokens > 0 && out.Used.InputTokens > l.InputTokens || l.OutputTokens > 0 && out.Used.OutputTokens > l.OutputTokens || l.ToolCalls > 0 && out.Used.ToolCalls > l.ToolCalls {
				t.Errorf("used %+v of %+v", out.Used, l)
			}
			if got := bide.Must(bide.Get[agent.ExitReason](run.Vars, "exit_reason")); got != reason {
				t.Errorf("exit_reason in the vars = %q", got)
			}
			d.replays()
		})
	}
}

func TestTheSameCallIsNotMadeForEver(t *testing.T) {
	d := newDesk(t, desk{}, agent.Config{Tools: auto(words())}, func(_ int, req *llm.Request) (*llm.Response, error) {
		if req.ToolChoice == "none" {
			return says(req.Messages[len(req.Messages)-1].Parts[0].ResultText())
		}
		return wants("lookup", `{"word":"same"}`)
	})
	out := output(t, d.run(agent.Input{Spec: agent.Spec{Limits: &agent.Limits{Repeats: 3}}}))
	if out.ExitReason != agent.ExitRepeats || out.Used.ToolCalls != 3 || !strings.Contains(out.Answer, "lookup was called 3 times with the same arguments") {
		t.Errorf("output = %+v", out)
	}
}

func TestTheCostIsLimited(t *testing.T) {
	prices := filepath.Join(t.TempDir(), "prices.yaml")
	if err := os.WriteFile(prices, []byte(`{version: "1", models: {fake/m: {input: "1000", output: "2000"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, desk{prices: prices}, agent.Config{Tools: auto(words())}, busy)
	limit := bide.Must(llm.ParseUSD("0.15")) // a turn costs 0.02
	out := output(t, d.run(agent.Input{Spec: agent.Spec{Limits: &agent.Limits{Cost: limit}}}))
	if out.ExitReason != agent.ExitCost || out.Used.Cost > limit || out.Used.Cost == 0 || out.Used.Unpriced != 0 {
		t.Errorf("output = %+v", out)
	}
}

func TestCallsWithoutAPricePassWhenTheyMay(t *testing.T) {
	d := newDesk(t, desk{}, agent.Config{Tools: auto(words())}, busy)
	out := output(t, d.run(agent.Input{Spec: agent.Spec{Limits: &agent.Limits{Cost: 1, AllowUnpriced: true, Iterations: 2}}}))
	if out.ExitReason != agent.ExitIterations || out.Used.Unpriced != 2 {
		t.Errorf("output = %+v", out)
	}
}

func TestUsageThatIsNotKnownIsCountedAsReserved(t *testing.T) {
	d := newDesk(t, desk{}, agent.Config{Tools: auto(words())}, func(turn int, req *llm.Request) (*llm.Response, error) {
		r, err := busy(turn, req)
		r.Usage = llm.Usage{}
		return r, err
	})
	out := output(t, d.run(agent.Input{Spec: agent.Spec{Limits: &agent.Limits{TotalTokens: 2000}}}))
	if out.ExitReason != agent.ExitTotalTokens || out.Used.Uncounted != out.Used.Iterations || out.Used.InputTokens == 0 {
		t.Errorf("output = %+v", out)
	}
}

// picky wants a number, and is given one only when it asks for the nth time.
func picky(nth int) (agent.Spec, func(*desk) func(int, *llm.Request) (*llm.Response, error)) {
	spec := agent.Spec{Output: &llm.Output{Schema: bide.JSON(`{"type":"integer"}`)}}
	return spec, func(d *desk) func(int, *llm.Request) (*llm.Response, error) {
		return func(int, *llm.Request) (*llm.Response, error) {
			if d.model.calls() < nth {
				return says("many")
			}
			return says("7")
		}
	}
}

func TestAttemptsThatFailedWithAnAnswerAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		nth    int // answer that fits
		status bide.Status
		calls  int64
	}{
		"the third answer fits": {3, bide.StatusCompleted, 3},
		"none fits":             {99, bide.StatusFailed, llm.CallAttempts},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				prices := filepath.Join(t.TempDir(), "prices.yaml")
				if err := os.WriteFile(prices, []byte(`{version: "1", models: {fake/m: {input: "1000", output: "2000"}}}`), 0o600); err != nil {
					t.Fatal(err)
				}
				spec, answer := picky(c.nth)
				d := newDesk(t, desk{prices: prices}, agent.Config{Spec: spec}, nil)
				d.model.answer = answer(d)
				run := d.end(d.run(agent.Input{}))
				used := bide.Must(bide.Get[agent.Used](run.Vars, "used"))
				spent := bide.Must(llm.Spent(d.rt.Ledger(ctx, "r", 1)))
				if run.Status != c.status || used.InputTokens != 10*c.calls || used.OutputTokens != 5*c.calls || used.Cost != spent.USD || used.Cost == 0 {
					t.Errorf("%s; used %+v, while the ledger says %+v", run.Status, used, spent)
				}
				if run.Vars.Has("failed") {
					t.Error("what failed is still in the vars")
				}
				d.replays()
			})
		})
	}
}

func TestAttemptsThatFailedCountAgainstTheLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, desk{}, agent.Config{Tools: auto(words())}, nil)
		d.model.answer = func(turn int, req *llm.Request) (*llm.Response, error) {
			if turn == 2 && d.model.calls() < 5 {
				return says("no number")
			}
			r, err := busy(turn, req)
			if r.Text() != "" {
				return says(`"enough"`)
			}
			return r, err
		}
		run := d.run(agent.Input{Spec: agent.Spec{Output: &llm.Output{Schema: bide.JSON(`{"const":"enough"}`)}, Limits: &agent.Limits{TotalTokens: 95}}})
		out := output(t, d.end(run))
		if out.ExitReason != agent.ExitTotalTokens || out.Used.Iterations > 2 {
			t.Errorf("output = %+v; want an end after the second turn, which took four attempts", out)
		}
	})
}

func TestAtALimitAPersonMayRaiseItOrStop(t *testing.T) {
	for _, c := range []struct {
		limits agent.Limits
		raise  string
		used   int64 // tool calls at the end, when raised
	}{
		{agent.Limits{Iterations: 2}, `{"type":"raise","limits":{"iterations":3}}`, 3},
		{agent.Limits{ToolCalls: 2}, `{"type":"raise","limits":{"tool_calls":3}}`, 3},
		{agent.Limits{TotalTokens: 60}, `{"type":"raise","limits":{"total_tokens":150}}`, 3},
	} {
		for _, stop := range []bool{false, true} {
			t.Run(fmt.Sprintf("%+v stop %v", c.limits, stop), func(t *testing.T) {
				c.limits.OnReached = agent.ReachedAsk
				d := newDesk(t, desk{}, agent.Config{Tools: auto(words())}, busy)
				run := d.run(agent.Input{Spec: agent.Spec{Limits: &c.limits}})
				if len(run.Waits) != 1 || run.Waits[0].Kind != bide.WaitBudget || !strings.Contains(run.Waits[0].Message, "are used") {
					t.Fatalf("waits = %+v, want one about the budget", run.Waits)
				}
				_, err := d.rt.Resume(ctx, "r", run.Waits[0].ID, bide.JSON(`{"type":"raise","limits":{"patience":3}}`), bide.Command{Actor: "anna"})
				if err == nil || !strings.Contains(err.Error(), "patience") {
					t.Errorf("raising what is no limit = %v", err)
				}
				if !stop {
					d.answer(run.Waits[0], bide.JSON(c.raise))
					if run = bide.Must(d.rt.Tick(ctx, "r")); len(run.Waits) != 1 || run.Waits[0].Kind != bide.WaitBudget {
						t.Fatalf("the run is %s; want it to ask again", run.Status)
					}
				}
				d.answer(run.Waits[0], bide.Budget{Type: bide.BudgetStop})
				out := output(t, bide.Must(d.rt.Tick(ctx, "r")))
				if out.ExitReason != agent.ExitStopped || !stop && out.Used.ToolCalls < c.used-1 {
					t.Errorf("output = %+v", out)
				}
				d.replays()
			})
		}
	}
}

func TestCrossingTheWarningThresholdIsOnRecordOnce(t *testing.T) {
	d := newDesk(t, desk{}, agent.Config{Tools: auto(words())}, busy)
	output(t, d.run(agent.Input{Spec: agent.Spec{Limits: &agent.Limits{Iterations: 10, WarnAt: 0.5}}}))
	var told []string
	for rec, err := range d.rt.Ledger(ctx, "r", 1) {
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := bide.Must(rec.Decode()).(*bide.StepPlanned); ok {
			for _, e := range data.Plan.Effects {
				if e.Type == bide.TypeTell {
					told = append(told, string(e.Payload))
				}
			}
		}
	}
	if len(told) != 1 || !strings.Contains(told[0], "Budget: 5 of 10 iterations are used") {
		t.Errorf("told = %q", told)
	}
}

// team is a boss with workers that it calls at once.
func team(t *testing.T, d desk, limits agent.Limits, workers int) *desk {
	worker := bide.Must(agent.New(agent.Config{ID: "worker", Description: "Looks words up.", Tools: auto(words())}))
	return newDesk(t, d, agent.Config{ID: "boss", Agents: []*agent.Agent{worker}, Spec: agent.Spec{Limits: &limits}}, func(turn int, req *llm.Request) (*llm.Response, error) {
		switch {
		case req.Messages[0].Text() != "Do it.":
			return busy(turn, req)
		case turn == 1:
			var calls []string
			for i := range workers {
				calls = append(calls, "worker", fmt.Sprintf(`{"task":"part %d"}`, i))
			}
			return wants(calls...)
		}
		return says("all done")
	})
}

func TestEightChildrenTogetherOvershootByTheCallsUnderWayAtMost(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits agent.Limits
		over   func(agent.Used) int64 // by how much the limit was overshot
		most   int64
		half   int64 // of the limit
	}{
		{"tokens", agent.Limits{TotalTokens: 700}, func(u agent.Used) int64 { return u.InputTokens + u.OutputTokens - 700 }, 8 * 15, 350},
		{"tool calls", agent.Limits{ToolCalls: 20}, func(u agent.Used) int64 { return u.ToolCalls - 20 }, 0, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			worker := bide.Must(agent.New(agent.Config{ID: "worker", Tools: auto(words())}))
			d := team(t, desk{}, c.limits, 8)
			worker.Register(d.rt)
			auto(words()).Register(d.rt)
			d.run(agent.Input{})
			done := make(chan error)
			var ended atomic.Int64
			var ids []string
			for _, info := range bide.Must(d.rt.Runs(ctx, bide.RunQuery{Parent: "r"})).Runs {
				ids = append(ids, info.ID)
			}
			if len(ids) != 8 {
				t.Fatalf("%d children", len(ids))
			}
			for _, id := range ids {
				go func() {
					run, err := d.rt.Tick(ctx, id)
					if err == nil && run.Status == bide.StatusCompleted {
						ended.Add(1)
					}
					done <- err
				}()
			}
			for range ids {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			if ended.Load() != 8 {
				t.Errorf("%d children have ended", ended.Load())
			}
			sum := agent.Used{}
			for _, id := range append(ids, "r") {
				run := bide.Must(d.rt.Get(ctx, id))
				u := bide.Must(bide.Get[agent.Used](run.Vars, "used"))
				sum.InputTokens += u.InputTokens
				sum.OutputTokens += u.OutputTokens
				sum.ToolCalls += u.ToolCalls
			}
			if over := c.over(sum); over > c.most {
				t.Errorf("together they used %+v: %d too much; %d may be", sum, over, c.most)
			}
			if c.over(sum) < -c.half {
				t.Errorf("together they used only %+v, less than half", sum)
			}
			d.tree()
		})
	}
}

func TestChildrenDrawOnTheirParentsLimitsAndAPersonRaisesThem(t *testing.T) {
	d := team(t, desk{store: mem.New()}, agent.Limits{ToolCalls: 4, OnReached: agent.ReachedAsk}, 2)
	auto(words()).Register(d.rt)
	d.run(agent.Input{})
	d.tree()
	page := bide.Must(d.rt.Waits(ctx, bide.WaitQuery{Root: "r"}))
	var budget []bide.Wait
	for _, w := range page.Waits {
		if w.Kind == bide.WaitBudget {
			budget = append(budget, w)
		}
	}
	if len(budget) == 0 {
		t.Fatalf("no budget wait below the root; waits = %+v", page.Waits)
	}
	d.answer(budget[0], bide.JSON(`{"type":"raise","limits":{"tool_calls":7}}`))
	for range 10 {
		d.tree()
		again := false
		for _, w := range bide.Must(d.rt.Waits(ctx, bide.WaitQuery{Root: "r"})).Waits {
			if w.Kind == bide.WaitBudget {
				d.answer(w, bide.Budget{Type: bide.BudgetStop})
				again = true
			}
		}
		if !again {
			break
		}
	}
	if out := output(t, d.tree()); out.Answer != "all done" {
		t.Errorf("output = %+v", out)
	}
	sum := int64(0)
	for _, info := range bide.Must(d.rt.Runs(ctx, bide.RunQuery{})).Runs {
		run := bide.Must(d.rt.Get(ctx, info.ID))
		sum += bide.Must(bide.Get[agent.Used](run.Vars, "used")).ToolCalls
		if div, err := d.rt.Replay(ctx, info.ID); div != nil || err != nil {
			t.Errorf("Replay(%s) = %v, %v", info.Workflow, div, err)
		}
	}
	if sum <= 4 || sum > 7 {
		t.Errorf("%d calls were made; the limit was 4, then 7", sum)
	}
}

// What runs that have ended took stays counted, in a document that does not grow with their number.
func TestAPoolSumsUpTheRunsThatHaveEnded(t *testing.T) {
	const turns, workers = 6, 3
	store := mem.New()
	worker := bide.Must(agent.New(agent.Config{ID: "worker", Description: "Answers."}))
	d := newDesk(t, desk{store: store}, agent.Config{ID: "boss", Agents: []*agent.Agent{worker}, Spec: agent.Spec{Limits: &agent.Limits{TotalTokens: 100_000}}},
		func(turn int, req *llm.Request) (*llm.Response, error) {
			if req.Messages[0].Text() != "Do it." || turn > turns {
				return says("done")
			}
			var calls []string
			for i := range workers {
				calls = append(calls, "worker", fmt.Sprintf(`{"task":"part %d of turn %d"}`, i, turn))
			}
			return wants(calls...)
		})
	d.run(agent.Input{})
	output(t, d.tree())
	var sum agent.Used
	for _, info := range bide.Must(d.rt.Runs(ctx, bide.RunQuery{})).Runs {
		u := bide.Must(bide.Get[agent.Used](bide.Must(d.rt.Get(ctx, info.ID)).Vars, "used"))
		sum.Iterations += u.Iterations
		sum.InputTokens += u.InputTokens
		sum.OutputTokens += u.OutputTokens
	}
	pools, next, err := agent.Pools(ctx, store, "", 0)
	if err != nil || next != "" || len(pools) != 1 {
		t.Fatalf("pools = %+v, %q, %v", pools, next, err)
	}
	if p := pools[0]; p.ID != "r" || p.Runs != 1+turns*workers || p.Reserved != (agent.Used{}) || p.Used.InputTokens != sum.InputTokens || p.Used.OutputTokens != sum.OutputTokens {
		t.Errorf("pool = %+v, want %+v of %d runs and nothing reserved", p, sum, 1+turns*workers)
	}
	docs := bide.Must(store.Documents(ctx, bide.DocumentQuery{Kind: "agent-pool"})).Documents
	if n := strings.Count(string(docs[0].Body), `"step"`); n > 1 {
		t.Errorf("the document has %d entries after the end: %s", n, docs[0].Body)
	}
}

// A run that failed may be retried after the agent that called it went on.
func TestARunThatIsRetriedIsCountedOnce(t *testing.T) {
	store := mem.New()
	worker := bide.Must(agent.New(agent.Config{ID: "worker", Description: "Answers.", Tools: auto(words())}))
	fails := true
	d := newDesk(t, desk{store: store}, agent.Config{ID: "boss", Agents: []*agent.Agent{worker}, Spec: agent.Spec{Limits: &agent.Limits{TotalTokens: 100_000}}},
		func(turn int, req *llm.Request) (*llm.Response, error) {
			switch {
			case req.Messages[0].Text() != "Do it." && turn == 1:
				return wants("lookup", `{"word":"x"}`)
			case req.Messages[0].Text() != "Do it." && fails:
				return nil, &llm.Error{Code: llm.CodeAuth, Message: "no"}
			case turn == 1:
				return wants("worker", `{"task":"a part"}`)
			}
			return says("done")
		})
	auto(words()).Register(d.rt)
	d.run(agent.Input{})
	output(t, d.tree())
	child := bide.Must(d.rt.Runs(ctx, bide.RunQuery{Parent: "r"})).Runs[0]
	if child.Status != bide.StatusFailed {
		t.Fatalf("the child is %s, want failed", child.Status)
	}
	fails = false
	bide.Must(d.rt.Retry(ctx, child.ID))
	output(t, bide.Must(d.rt.Tick(ctx, child.ID)))
	var sum agent.Used
	for _, id := range []string{"r", child.ID} {
		u := bide.Must(bide.Get[agent.Used](bide.Must(d.rt.Get(ctx, id)).Vars, "used"))
		sum.InputTokens += u.InputTokens
		sum.OutputTokens += u.OutputTokens
	}
	pools, _, err := agent.Pools(ctx, store, "", 0)
	if err != nil || len(pools) != 1 || pools[0].Used.InputTokens != sum.InputTokens || pools[0].Used.OutputTokens != sum.OutputTokens || pools[0].Reserved != (agent.Used{}) {
		t.Errorf("pools = %+v, %v; together the runs have used %+v", pools, err, sum)
	}
}

// counting counts the writes of documents.
type counting struct {
	*mem.Store
	writes, conflicts atomic.Int64
}

func (c *counting) PutDocument(ctx context.Context, d bide.Document) (int64, error) {
	rev, err := c.Store.PutDocument(ctx, d)
	if c.writes.Add(1); err != nil {
		c.conflicts.Add(1)
	}
	return rev, err
}

func TestRunsOfAProcessThatDrawOnOnePoolDoNotGetInEachOthersWay(t *testing.T) {
	const workers = 40
	store := &counting{Store: mem.New()}
	d := team(t, desk{store: store}, agent.Limits{ToolCalls: 3 * workers}, workers)
	auto(words()).Register(d.rt)
	d.run(agent.Input{})
	page := bide.Must(d.rt.Runs(ctx, bide.RunQuery{Parent: "r", Limit: 1000}))
	var all sync.WaitGroup
	for _, info := range page.Runs {
		all.Go(func() {
			if _, err := d.rt.Tick(ctx, info.ID); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	output(t, d.tree())
	if n := store.conflicts.Load(); len(page.Runs) != workers || n > 0 {
		t.Errorf("%d runs; %d of %d writes of the pool were refused", len(page.Runs), n, store.writes.Load())
	}
}

func TestProcessesThatDrawOnOnePoolLoseNothing(t *testing.T) {
	const workers = 16
	store := mem.New()
	limits := agent.Limits{ToolCalls: 3 * workers}
	d, other := team(t, desk{store: store}, limits, workers), team(t, desk{store: store}, limits, workers)
	for _, p := range []*desk{d, other} {
		auto(words()).Register(p.rt)
	}
	d.run(agent.Input{})
	var all sync.WaitGroup
	for i, info := range bide.Must(d.rt.Runs(ctx, bide.RunQuery{Parent: "r", Limit: 1000})).Runs {
		all.Go(func() {
			if _, err := []*desk{d, other}[i%2].rt.Tick(ctx, info.ID); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	output(t, d.tree())
	var sum int64
	for _, info := range bide.Must(d.rt.Runs(ctx, bide.RunQuery{Limit: 1000})).Runs {
		sum += bide.Must(bide.Get[agent.Used](bide.Must(d.rt.Get(ctx, info.ID)).Vars, "used")).InputTokens
	}
	if pools, _, err := agent.Pools(ctx, store, "", 0); err != nil || pools[0].Used.InputTokens != sum || pools[0].Runs != workers+1 {
		t.Errorf("pools = %+v, %v; want %d input tokens of %d runs", pools, err, sum, workers+1)
	}
}
