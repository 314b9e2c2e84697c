package llm_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/llm/scripted"
	"github.com/bide-dev/bide/store/mem"
	"github.com/google/go-cmp/cmp"
)

const priceTable = `
version: test-7
models:
  p/m: {input: "1.25", cache_read: "0.125", cache_write: "2.5", output: "10"}
  p/plain: {input: "0.1", output: 0.4}
  q/*: {input: "0", output: "0"}
`

func TestACallCostsWhatTheTableSays(t *testing.T) {
	p, err := llm.ParsePrices([]byte(priceTable))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		model string
		usage llm.Usage
		want  string
	}{
		{"p/m", llm.Usage{Input: count(1_000_000), Output: count(100_000)}, "2.25"},
		{"p/m", llm.Usage{Input: count(1000), CacheRead: count(600), CacheWrite: count(100), Output: count(1)}, "0.00071"},
		{"p/m-2026-11-20", llm.Usage{Input: count(1), Output: count(0)}, "0.00000125"},
		{"p/m-20261120", llm.Usage{Input: count(1), Output: count(0)}, "0.00000125"},
		{"p/plain", llm.Usage{Input: count(3), Output: count(1)}, "0.0000007"},
		{"q/anything", llm.Usage{Input: count(5), Output: count(5)}, "0"},
		{"p/m-mini", llm.Usage{Input: count(5), Output: count(5)}, "unknown"},
		{"p/m", llm.Usage{Input: count(5)}, "unknown"},
		{"p/m", llm.Usage{Input: count(1 << 60), Output: count(5)}, "unknown"},
		{"p/m", llm.Usage{Input: count(5), CacheRead: count(6), Output: count(5)}, "unknown"},
	} {
		got := "unknown"
		if cost := p.Cost(c.model, c.usage); cost != nil {
			got = cost.USD.String()
			if cost.Prices != "test-7" {
				t.Errorf("the cost does not name its table: %+v", cost)
			}
		}
		if got != c.want {
			t.Errorf("Cost(%s, %+v) = %s, want %s", c.model, c.usage, got, c.want)
		}
	}
}

func TestPricesAreStrict(t *testing.T) {
	for text, want := range map[string]string{
		"models: {a/b: {input: '1', output: '1'}}":                       "needs a version",
		"version: v\nmodels: {a: {input: '1', output: '1'}}":             "does not name a model",
		"version: v\nmodels: {a/b: {input: -1, output: '1'}}":            "not an amount of dollars",
		"version: v\nmodels: {a/b: {input: '1e3', output: '1'}}":         "not an amount of dollars",
		"version: v\nmodels: {a/b: {input: '10001', output: '1'}}":       "more than $10,000",
		"version: v\nmodels: {a/b: {input: '1', output: '1', extra: 1}}": "extra",
	} {
		if _, err := llm.ParsePrices([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParsePrices(%q) = %v, want %q", text, err, want)
		}
	}
}

func TestAmountsOfMoneyComeBackAsWritten(t *testing.T) {
	for _, text := range []string{"0", "1", "0.000000000001", "1234567.5", "0.1"} {
		usd, err := llm.ParseUSD(text)
		if err != nil || usd.String() != text {
			t.Errorf("ParseUSD(%q) = %s, %v", text, usd, err)
		}
		raw, err := json.Marshal(usd)
		if err != nil {
			t.Fatal(err)
		}
		var back llm.USD
		if err := json.Unmarshal(raw, &back); err != nil || back != usd {
			t.Errorf("%s became %s after JSON (%v)", usd, back, err)
		}
	}
	for _, text := range []string{"", ".5", "1.", "-1", "1e9", "0.0000000000001", "99999999", "9999999.99", "1,5"} {
		if usd, err := llm.ParseUSD(text); err == nil {
			t.Errorf("ParseUSD(%q) = %s, want an error", text, usd)
		}
	}
}

func TestPricesOfAFileGoBeforeThoseBuiltIn(t *testing.T) {
	d := chat("openai")
	s := serve(t, events(d.answer("x")...))
	cfg := llm.Config{Prices: write(t, "prices.yaml", strings.ReplaceAll(priceTable, "p/", "openai/")), Providers: map[string]llm.ProviderConfig{"openai": {BaseURL: s.URL}}}
	m, err := llm.New(cfg, kinds, nil)
	if err != nil {
		t.Fatal(err)
	}
	for model, prices := range map[string]string{"openai/m": "test-7", "openai/gpt-4.1-mini": "bide-1"} {
		resp, err := m.Generate(t.Context(), llm.Request{Model: model, Messages: []llm.Message{llm.User("x")}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Cost == nil || resp.Cost.Prices != prices || resp.Cost.USD == 0 {
			t.Errorf("%s costs %+v, want by %s", model, resp.Cost, prices)
		}
	}
}

// scriptedModels answers from a script that is given as text.
func scriptedModels(t *testing.T, script string) *llm.Models {
	t.Helper()
	m, err := llm.New(llm.Config{Providers: map[string]llm.ProviderConfig{"scripted": {File: write(t, "replies.yaml", script)}}}, llm.Kinds{"scripted": scripted.Open}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSpendingAddsUpARunAndItsTree(t *testing.T) {
	m := scriptedModels(t, `
known:
  - {text: a, usage: {input_tokens: 100, output_tokens: 10}}
unknown:
  - {text: b}
flaky:
  - {text: c, usage: {input_tokens: 1, output_tokens: 1}, fail: {code: overloaded, message: later, attempts: 2}}
`)
	b := newBench(t, mem.New(), m)
	call := func(script string) bide.Effect {
		return llm.Call(llm.Request{Model: "scripted/" + script, Messages: []llm.Message{llm.User("go")}}).WithRetry(bide.RetryPolicy{Attempts: 3, Backoff: 1, Max: 1})
	}
	child := bide.Workflow{ID: "child", Version: "1", Entry: "ask", Nodes: bide.Nodes{"ask": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(call("known").As("x")).ThenCompleteWith("x"), nil
	}}}
	parent := bide.Workflow{ID: "parent", Version: "1", Entry: "ask", Nodes: bide.Nodes{"ask": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Tell("hello"), call("known"), call("unknown"), call("flaky"), bide.StartRun("child", nil, nil), bide.StartRun("child", nil, nil)).ThenComplete(nil), nil
	}}}
	if err := b.Register(child, parent); err != nil {
		t.Fatal(err)
	}
	run := b.run(parent, nil)
	page, err := b.Runs(t.Context(), bide.RunQuery{Parent: run.ID})
	if err != nil || len(page.Runs) != 2 {
		t.Fatalf("children %+v, %v", page, err)
	}
	for _, r := range page.Runs {
		b.tick(&bide.Run{RunInfo: r})
	}
	for range 6 {
		b.clock.Advance(1e9)
		run = b.tick(run)
	}
	if run.Status != bide.StatusCompleted {
		t.Fatalf("the run is %s: %+v", run.Status, run.Error)
	}
	own, err := llm.Spent(b.Ledger(t.Context(), run.ID, 1))
	if err != nil {
		t.Fatal(err)
	}
	one := func(in, out int64, more llm.Spending) *llm.Spending {
		more.Calls, more.Input, more.Output = max(more.Calls, 1), in, out
		return &more
	}
	want := llm.Spending{Calls: 3, Failed: 2, Input: 101, Output: 11, Uncounted: 1, Unpriced: 1, ByModel: map[string]*llm.Spending{
		"scripted/known": one(100, 10, llm.Spending{}), "scripted/unknown": one(0, 0, llm.Spending{Uncounted: 1, Unpriced: 1}), "scripted/flaky": one(1, 1, llm.Spending{})}}
	if diff := cmp.Diff(want, own); diff != "" {
		t.Error(diff)
	}
	tree, err := llm.SpentByTree(t.Context(), b.Runtime, run.ID)
	want.Calls, want.Input, want.Output = 5, 301, 31
	want.ByModel["scripted/known"] = one(300, 30, llm.Spending{Calls: 3})
	if diff := cmp.Diff(want, tree); diff != "" || err != nil {
		t.Error(diff, err)
	}
}
