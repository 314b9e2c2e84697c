package tool_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/tool"
)

func TestAPolicyListsEveryFault(t *testing.T) {
	_, err := tool.NewPolicy(
		tool.Rule{Tool: "[", Source: "[", Decide: "perhaps"},
		tool.Rule{When: "args.x +", Decide: tool.Auto},
		tool.Rule{When: "tool", Decide: tool.Auto},
		tool.Rule{When: "nothing == 1", Decide: tool.Auto, Approval: &tool.Approval{}},
	)
	var e *bide.Error
	if !errors.As(err, &e) || e.Code != bide.CodeInvalidInput {
		t.Fatalf("NewPolicy = %v, want invalid_input", err)
	}
	var at []string
	for _, f := range e.Faults {
		at = append(at, f.Path)
	}
	want := "rules[0].tool rules[0].source rules[0].decide rules[1].when rules[2].when rules[3].approval rules[3].when"
	if got := strings.Join(at, " "); got != want {
		t.Errorf("faults at %s, want %s", got, want)
	}
}

func TestTheFirstRuleThatMatchesDecides(t *testing.T) {
	act := tool.Func("act", "", tool.Once, func(_ context.Context, in mailArgs) (string, error) { return "", nil })
	act.Source = bide.ToolSource{Kind: "mcp", Server: "mail"}
	for _, c := range []struct {
		rules []tool.Rule
		want  string
	}{
		{nil, "ask"},
		{[]tool.Rule{{Tool: "other", Decide: tool.Auto}}, "ask"},
		{[]tool.Rule{{Tool: "a*", Decide: tool.Auto}, {Decide: tool.Deny}}, "ok"},
		{[]tool.Rule{{Source: "mcp:mail", Decide: tool.Auto}}, "ok"},
		{[]tool.Rule{{Source: "mcp:*", Decide: tool.Auto}}, "ok"},
		{[]tool.Rule{{Source: "mcp", Decide: tool.Auto}}, "ok"},
		{[]tool.Rule{{Source: "mcp:files", Decide: tool.Auto}}, "ask"},
		{[]tool.Rule{{When: "annotations.destructiveHint", Decide: tool.Deny}}, "denied"},
		{[]tool.Rule{{When: `safety == "read_only"`, Decide: tool.Auto}}, "ask"},
		{[]tool.Rule{{When: `args.to startsWith "a" && server == "mail" && source == "mcp"`, Decide: tool.Auto}}, "ok"},
		{[]tool.Rule{{When: `run.session == "s" && run.labels.team == "ops" && run.workflow == "calls"`, Decide: tool.Auto}}, "ok"},
		{[]tool.Rule{{When: `args.none == nil`, Decide: tool.Auto}}, "ok"},
		{[]tool.Rule{{When: `args.none > 3`, Decide: tool.Auto}}, "ask"},
	} {
		d := newDesk(t, &tool.Options{Policy: bide.Must(tool.NewPolicy(c.rules...))}, act)
		run := d.start(&bide.StartOptions{Session: "s", Labels: map[string]string{"team": "ops"}}, tool.Call{ID: "c", Name: "act", Args: `{"to":"a"}`})
		got := "ask"
		if len(run.Waits) == 0 {
			got = d.results(run)[0].Status
		}
		if got != c.want {
			t.Errorf("rules %+v: %s, want %s", c.rules, got, c.want)
		}
	}
}

func TestADenialThatCameAfterTheApprovalCounts(t *testing.T) {
	d := newDesk(t, nil)
	d.approve(d.wait(d.start(nil, mails(1)...), "c0"))
	d.boot(&tool.Options{Policy: bide.Must(tool.NewPolicy(tool.Rule{Decide: tool.Deny, Reason: "closed"}))}, d.mail())
	if res := d.results(d.tick())[0]; res.Status != tool.StatusDenied || len(d.sent()) != 0 {
		t.Errorf("result = %s %q, sent = %q", res.Status, res.Text(), d.sent())
	}
}
