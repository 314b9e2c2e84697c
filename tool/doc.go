// Package tool makes calls of tools durable effects: a set of tools, a policy that
// lets a call pass, asks a person or denies it, and a handler that carries out what was let pass.
//
//	set, err := tool.New(&tool.Options{Policy: policy}, tool.Func("add", "Adds two numbers.", tool.ReadOnly, add))
//	set.Register(rt)
//	plan, err := set.Plan(calls, "results")                  // in a node
//	return plan.Then("observe"), err
//	results, err := tool.Results(r.Vars, "results", calls)   // in the next
//
// Each call is one effect of the step: it is recorded, waits for a decision, crashes and
// resumes on its own, and has exactly one [Result], whatever happens to it. A call that may not be
// repeated is never begun before its leave is in the ledger, and is not begun again when it is not known whether it happened.
//
// The package knows no model and no provider; what people see of a decision is the wait that
// the kernel keeps.
package tool
