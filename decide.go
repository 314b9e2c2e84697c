package bide

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

// decide calls a node and checks its plan. A failure is what the node did
// wrong: an error, a panic, a plan that cannot be carried out.
func decide(wf *Workflow, node string, r *Run, now time.Time, lim *Limits) (*StepPlan, *Failure) {
	fn := wf.Nodes[node]
	if fn == nil {
		return nil, &Failure{Code: FailureNode, Message: fmt.Sprintf("workflow %s has no node %q", wf.ID, node)}
	}
	at := *r
	at.now = now
	plan, failure := callNode(fn, &at)
	if failure != nil {
		return nil, failure
	}
	if plan.ErrorNode == "" && wf.ErrorNode != node && len(plan.Effects) > 0 {
		plan.ErrorNode = wf.ErrorNode
	}
	if err := plan.check(wf, node, lim); err != nil {
		return nil, &Failure{Code: FailureNode, Message: err.Error()}
	}
	for i := range plan.Effects {
		if err := checkBuiltin(&plan.Effects[i], lim); err != nil {
			return nil, &Failure{Code: FailureNode, Message: fmt.Sprintf("node %q, effects[%d] (%s): %v", node, i, plan.Effects[i].Type, err)}
		}
	}
	writes := plan.Writes
	for _, e := range plan.Effects {
		if e.Type == TypeFanOut && e.Result != "" {
			writes = append(writes[:len(writes):len(writes)], Write{Op: OpSet, Path: e.Result, Value: JSON("[]")})
		}
	}
	if err := r.Vars.checkAll(writes); err != nil {
		return nil, &Failure{Code: FailureNode, Message: fmt.Sprintf("node %q: %v", node, err)}
	}
	return plan, nil
}

func callNode(fn NodeFunc, r *Run) (plan *StepPlan, failure *Failure) {
	defer func() {
		if v := recover(); v != nil {
			plan, failure = nil, &Failure{Code: FailurePanic, Message: fmt.Sprint(v), Stack: panicStack()}
		}
	}()
	p, err := fn(r)
	if err != nil {
		return nil, &Failure{Code: FailureNode, Message: err.Error()}
	}
	return &p, nil
}

// panicStack prints the functions between a panic and the kernel. It holds no
// addresses, so that the same panic gives the same record.
func panicStack() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	var b strings.Builder
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if strings.HasPrefix(f.Function, "runtime.") && b.Len() == 0 {
			continue
		}
		if strings.HasPrefix(f.Function, "github.com/bide-dev/bide.callNode") || strings.HasPrefix(f.Function, "github.com/bide-dev/bide.callHandler") {
			break
		}
		file := f.File
		if parts := strings.Split(file, "/"); len(parts) > 2 {
			file = strings.Join(parts[len(parts)-2:], "/")
		}
		fmt.Fprintf(&b, "%s (%s:%d)\n", f.Function, file, f.Line)
	}
	return b.String()
}
