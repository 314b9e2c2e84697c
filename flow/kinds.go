package flow

import (
	"github.com/bide-dev/bide"
)

// effect is a step that asks for something outside: its node plans one effect.
type effect struct {
	plan func(r *reading) (bide.Effect, error)
}

// assign is a set step.
type assign struct {
	names  []string
	values []*template
}

// branch is an if or a switch step.
type branch struct{ arms []arm }

// arm is one way of a branch.
type arm struct {
	label string
	cond  *expression // nil for else, and for the first arm of an if step, whose condition is the step's own
	block *block
	jump  *handler
}

// fail is a fail step.
type fail struct{ code, message *template }

// giveBack is a return step.
type giveBack struct{ value *template }

// goOn is a continue_as_new step.
type goOn struct{ input *template }

// kindNames are the members of a step of which it has exactly one.
var kindNames = []string{"agent", "ask", "continue_as_new", "effect", "emit", "exec", "fail", "flow", "for_each", "form", "http", "job", "llm", "parallel", "repeat", "return",
	"say", "script", "set", "switch", "then", "tool", "wait", "wait_event"}

// readKind reads what a step does.
func (p *parser) readKind(v *value, s *step) kind {
	switch s.kind {
	case "set":
		return p.readSet(v, s)
	case "then":
		return p.readThen(v, s)
	case "switch":
		return p.readSwitch(v, s)
	case "for_each":
		return p.readForEach(v, s)
	case "parallel":
		return p.readParallel(v, s)
	case "repeat":
		return p.readRepeat(v, s)
	case "fail":
		return p.readFail(v)
	case "return":
		return &giveBack{p.template(v)}
	case "continue_as_new":
		for in := p.scope; in != nil; in = in.parent {
			if in.child {
				p.add(v.place, "continue_as_new cannot stand in a branch of parallel or an item of a for_each with a concurrency: those are runs of their own").
					Suggestion = "give something back, and decide after the step"
				return nil
			}
		}
		return &goOn{p.template(v)}
	case "ask":
		return p.readAsk(v)
	case "form":
		return p.readForm(v)
	case "say":
		return p.readSay(v)
	case "wait":
		return p.readWait(v)
	case "wait_event":
		return p.readWaitEvent(v)
	case "job":
		return p.readJob(v, s)
	case "flow":
		return p.readFlow(v)
	case "agent":
		return p.readAgent(v)
	}
	if s.kind == "effect" {
		return p.readEffect(v)
	}
	p.doc.calls.effects[effectType(s.kind)] = true
	switch s.kind {
	case "emit":
		return p.readEmit(v)
	case "http":
		return p.readHTTP(v)
	case "exec":
		return p.readExec(v)
	case "script":
		return p.readScript(v)
	case "llm":
		return p.readLLM(v)
	}
	return p.readTool(v, s)
}
