package bide

import "fmt"

// Budget is the answer to a wait of kind WaitBudget, and, with By, the result of its effect.
type Budget struct {
	// Type is BudgetRaise (go on, with new Limits) or BudgetStop.
	Type string `json:"type"`
	// Limits are the new limits by name; those not named stay. The wait's Schema, if any, says what they may be.
	Limits JSON `json:"limits,omitempty"`
	// By is the actor who answered; in an answer it is not known.
	By string `json:"by,omitempty"`
}

// The types of a Budget.
const (
	BudgetRaise = "raise"
	BudgetStop  = "stop"
)

// checkBudget returns every reason why answer does not decide about a budget.
func (w *Wait) checkBudget(answer JSON) []Fault {
	faults := objectFaults("", answer, map[string]string{"type": "a string", "limits": "an object"})
	if len(faults) > 0 {
		return faults
	}
	var b Budget
	if err := decodeOwn(answer, &b); err != nil {
		return []Fault{{"", err.Error()}}
	}
	switch {
	case b.Type != BudgetRaise && b.Type != BudgetStop:
		return []Fault{{"/type", fmt.Sprintf("%q is not one of %q and %q", b.Type, BudgetRaise, BudgetStop)}}
	case b.Type == BudgetStop && b.Limits != nil:
		return []Fault{{"/limits", fmt.Sprintf("goes with type %q only", BudgetRaise)}}
	case b.Type == BudgetRaise && (b.Limits == nil || string(b.Limits) == "{}"):
		return []Fault{{"/limits", "is missing or empty"}}
	case b.Type == BudgetRaise && w.Schema != nil:
		for _, f := range CheckSchema(w.Schema, b.Limits) {
			faults = append(faults, Fault{"/limits" + f.Path, f.Message})
		}
	}
	return faults
}
