package tool_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/tool"
)

func TestToolsOfAServerComeAndGo(t *testing.T) {
	far := func(name, description string) tool.Tool {
		return tool.Tool{Name: "far__" + name, Description: description, Safety: tool.ReadOnly, Source: bide.ToolSource{Kind: "mcp", Server: "far"},
			Run: func(context.Context, *tool.Request) (tool.Reply, error) { return tool.Reply{Content: description}, nil }}
	}
	d := newDesk(t, &tool.Options{Policy: bide.Must(tool.NewPolicy(tool.Rule{Decide: tool.Auto}))}, look())
	call := func(id string) *bide.Run {
		t.Helper()
		return d.start(&bide.StartOptions{RunID: id}, tool.Call{ID: "c", Name: "far__a", Args: `{}`})
	}
	d.set.Missing("far", errors.New("nobody answers"))
	if err := d.set.Unavailable("far__a"); err == nil || d.set.Unavailable("near__a") != nil || d.set.Unavailable("look") != nil {
		t.Errorf("Unavailable of a tool of a server that is down = %v", err)
	}
	if got := d.results(call("down"))[0]; got.Status != tool.StatusError ||
		got.Text() != "The call failed: the server far of tool far__a cannot be reached: nobody answers" {
		t.Errorf("a call of it = %s %q", got.Status, got.Text())
	}
	if err := d.set.Offer("far", far("a", "one"), far("b", "one")); err != nil {
		t.Fatal(err)
	}
	if got := d.results(call("up"))[0]; got.Status != tool.StatusOK || got.Text() != "one" || d.set.Unavailable("far__a") != nil {
		t.Errorf("a call once the server is there = %s %q", got.Status, got.Text())
	}
	before, _ := d.set.Tool("far__a")
	if err := d.set.Offer("far", far("a", "two"), far("a", "two")); !errors.Is(err, bide.ErrInvalidInput) {
		t.Errorf("two tools of one name = %v, want ErrInvalidInput", err)
	}
	if err := d.set.Offer("far", far("a", "two")); err != nil {
		t.Fatal(err)
	}
	after, _ := d.set.Tool("far__a")
	if !slices.Equal(d.set.Names(), []string{"far__a", "look"}) || before.Source.SHA256 == after.Source.SHA256 {
		t.Errorf("after the server changed its tools there are %q, with the definitions %s and %s", d.set.Names(), before.Source.SHA256, after.Source.SHA256)
	}
	d.set.Missing("far", errors.New("nobody answers")) // what it has is called all the same, and the call says what happens
	if got := d.results(call("again"))[0]; got.Text() != "two" {
		t.Errorf("a call of a tool that is known = %s %q", got.Status, got.Text())
	}
}

func TestTheRulesOfAToolAreThoseThatMayDecide(t *testing.T) {
	policy := bide.Must(tool.NewPolicy(tool.Rule{Source: "mcp", Decide: tool.Deny}, tool.Rule{Tool: "l*", When: "args.to == 'x'", Decide: tool.Deny}, tool.Rule{Tool: "look", Decide: tool.Auto}, tool.Rule{Decide: tool.Ask}))
	set := bide.Must(tool.New(&tool.Options{Policy: policy}, look(), tool.Func("mail", "", tool.Once, func(context.Context, mailArgs) (any, error) { return nil, nil })))
	for name, want := range map[string][]tool.Verdict{"look": {tool.Deny, tool.Auto}, "mail": {tool.Ask}, "fax": nil} {
		var got []tool.Verdict
		for _, r := range set.Rules(name) {
			got = append(got, r.Decide)
		}
		if !slices.Equal(got, want) {
			t.Errorf("rules of %s decide %q, want %q", name, got, want)
		}
	}
	if rules := bide.Must(tool.New(nil, look())).Rules("look"); len(rules) != 1 || rules[0].Decide != tool.Ask || rules[0].Reason == "" {
		t.Errorf("without a policy the rules are %+v", rules)
	}
}
