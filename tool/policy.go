package tool

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"

	"github.com/bide-dev/bide"
)

// Verdict is what a policy says about a call.
type Verdict string

// The verdicts.
const (
	Auto Verdict = "auto" // it passes
	Ask  Verdict = "ask"  // a person decides
	Deny Verdict = "deny" // it is not made, whoever approved it
)

// Rule is one line of a policy. It matches a call when all that it says does;
// what it leaves out matches everything.
type Rule struct {
	// Tool and Source are patterns of path.Match; Source is for "kind" or "kind:server".
	Tool   string `json:"tool,omitempty"`
	Source string `json:"source,omitempty"`
	// When is a condition in the expression language of github.com/expr-lang/expr
	// over tool, source, server, safety, annotations (by their names in the Model Context Protocol),
	// args, and run (id, workflow, session, labels): args.amount < 100 && !annotations.destructiveHint
	When string `json:"when,omitempty"`
	// Decide is what becomes of the call.
	Decide Verdict `json:"decide"`
	// Reason is shown to whoever decides, and to the model with Deny.
	Reason string `json:"reason,omitempty"`
	// Approval, with Ask, refines that of the options.
	Approval *Approval `json:"approval,omitempty"`
}

// Policy decides which calls pass: the first rule that matches does. A call that
// none matches, and one for which a rule cannot be worked out, is asked about.
type Policy struct {
	rules    []Rule
	programs []*vm.Program
}

// subject is what a condition sees.
type subject struct {
	Tool        string         `expr:"tool"`
	Source      string         `expr:"source"`
	Server      string         `expr:"server"`
	Safety      string         `expr:"safety"`
	Annotations map[string]any `expr:"annotations"`
	Args        any            `expr:"args"`
	Run         runSubject     `expr:"run"`
}

type runSubject struct {
	ID       string            `expr:"id"`
	Workflow string            `expr:"workflow"`
	Session  string            `expr:"session"`
	Labels   map[string]string `expr:"labels"`
}

// maxNodes bounds the size of a condition.
const maxNodes = 1000

// NewPolicy makes a policy. It fails with bide.ErrInvalidInput, listing every fault of every rule.
func NewPolicy(rules ...Rule) (*Policy, error) {
	p := &Policy{rules: slices.Clone(rules), programs: make([]*vm.Program, len(rules))}
	var faults []bide.Fault
	for i, r := range rules {
		add := func(field string, err error) {
			if err != nil {
				faults = append(faults, bide.Fault{Path: fmt.Sprintf("rules[%d].%s", i, field), Message: err.Error()})
			}
		}
		_, err := path.Match(r.Tool, "")
		add("tool", err)
		_, err = path.Match(r.Source, "")
		add("source", err)
		if r.Decide != Auto && r.Decide != Ask && r.Decide != Deny {
			add("decide", fmt.Errorf("%q is not one of %q, %q and %q", r.Decide, Auto, Ask, Deny))
		}
		if r.Approval != nil && r.Decide != Ask {
			add("approval", fmt.Errorf("goes with %q only", Ask))
		}
		if r.When != "" {
			p.programs[i], err = expr.Compile(r.When, expr.Env(subject{}), expr.AsBool(), expr.MaxNodes(maxNodes))
			add("when", err)
		}
	}
	if len(faults) > 0 {
		return nil, &bide.Error{Code: bide.CodeInvalidInput, Message: "the policy cannot be used", Faults: faults}
	}
	return p, nil
}

// about returns the rules that may decide about calls of a tool, up to the first without a condition.
func (p *Policy) about(t *Tool) (rules []Rule) {
	if p == nil {
		return []Rule{{Decide: Ask, Reason: noPolicy}}
	}
	for _, r := range p.rules {
		if !r.isAbout(t) {
			continue
		}
		if rules = append(rules, r); r.When == "" {
			return rules
		}
	}
	return append(rules, Rule{Decide: Ask, Reason: noRule})
}

func (r *Rule) isAbout(t *Tool) bool {
	return matches(r.Tool, t.Name) && (matches(r.Source, t.Source.Kind) || matches(r.Source, t.Source.Kind+":"+t.Source.Server))
}

// Why a call is asked about that no rule speaks of.
const (
	noPolicy = "no policy lets calls pass"
	noRule   = "no rule of the policy lets it pass"
)

// judgement is what a policy said, and why.
type judgement struct {
	verdict  Verdict
	reason   string
	approval *Approval
}

// judge finds the rule for a call.
func (p *Policy) judge(t *Tool, args bide.JSON, call *bide.Invocation) judgement {
	if p == nil {
		return judgement{verdict: Ask, reason: noPolicy}
	}
	about, err := describe(t, args, call)
	if err != nil {
		return judgement{verdict: Ask, reason: fmt.Sprintf("the policy cannot be worked out: %v", err)}
	}
	for i := range p.rules {
		r := &p.rules[i]
		if !r.isAbout(t) {
			continue
		}
		if p.programs[i] != nil {
			ok, err := holds(p.programs[i], about)
			if err != nil {
				return judgement{verdict: Ask, reason: fmt.Sprintf("rule %d of the policy cannot be worked out: %v", i+1, err)}
			}
			if !ok {
				continue
			}
		}
		j := judgement{verdict: r.Decide, reason: r.Reason, approval: r.Approval}
		if j.reason == "" {
			j.reason = fmt.Sprintf("rule %d of the policy", i+1)
		}
		return j
	}
	return judgement{verdict: Ask, reason: noRule}
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return pattern == "" || ok && err == nil
}

// holds works a condition out.
func holds(program *vm.Program, about subject) (ok bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	out, err := expr.Run(program, about)
	if err != nil {
		return false, err
	}
	ok, is := out.(bool)
	if !is {
		return false, fmt.Errorf("it gives a %T, not a bool", out)
	}
	return ok, nil
}

func describe(t *Tool, args bide.JSON, call *bide.Invocation) (subject, error) {
	about := subject{Tool: t.Name, Source: t.Source.Kind, Server: t.Source.Server, Safety: string(t.Safety),
		Run: runSubject{call.Run, call.Workflow, call.Session, call.Labels}}
	if err := json.Unmarshal(args, &about.Args); err != nil {
		return about, err
	}
	raw, err := json.Marshal(t.Annotations)
	if err != nil {
		return about, err
	}
	return about, json.Unmarshal(raw, &about.Annotations)
}
