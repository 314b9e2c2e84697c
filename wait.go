package bide

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// WaitKind says what a wait waits for.
type WaitKind string

// The kinds of waits.
const (
	WaitQuestion  WaitKind = "question"  // a person's choice or text
	WaitForm      WaitKind = "form"      // a person's value that fits a JSON Schema
	WaitTimer     WaitKind = "timer"     // a time
	WaitForEvent  WaitKind = "event"     // an event by its key
	WaitJob       WaitKind = "job"       // somebody else's work
	WaitRetry     WaitKind = "retry"     // the time of the next attempt
	WaitAttention WaitKind = "attention" // a person's word on an effect whose outcome is unknown
	WaitChild     WaitKind = "child"     // the end of a child run
	WaitCustom    WaitKind = "custom"    // opened by a handler; any JSON resolves it

	WaitToolApproval WaitKind = "tool_approval" // a person's decision about a tool call: an Approval
	WaitBudget       WaitKind = "budget"        // a person's word on a used-up budget: a Budget
)

// Wait is a durable pause: it holds no goroutine and no process, can be stored,
// shown and resolved later from anywhere by its id.
type Wait struct {
	ID       string   `json:"wait_id"` // the run's id, a dot, a number
	Kind     WaitKind `json:"kind"`
	Key      string   `json:"key,omitempty"` // event key, job key, or a handler's
	Node     string   `json:"node"`
	Step     int64    `json:"step"`
	Effect   int      `json:"effect"`         // index in the step's plan
	Item     int      `json:"item,omitempty"` // for a child of a FanOut: index of its input
	Message  string   `json:"message,omitempty"`
	Choices  []string `json:"choices,omitempty"`
	FreeText bool     `json:"allow_free_text,omitempty"`
	Schema   JSON     `json:"response_schema,omitempty"`
	// Details is what a person or program needs to know to act: for a job its
	// details, for attention the effect that was asked for.
	Details JSON `json:"details,omitempty"`
	// Items holds the call that a tool_approval is about; there is exactly one.
	Items []ToolItem `json:"items,omitempty"`
	// Assignees are the actors and groups who may answer; without any, everybody may.
	Assignees []string `json:"assignees,omitempty"`
	// Priority orders waits for those who answer them: higher is more urgent.
	Priority int `json:"priority,omitempty"`
	// Again hands the answer to the handler that opened the wait, in another
	// attempt (Invocation.Answered), instead of making it the effect's result. A
	// tool_approval does so by itself when the call is to be made.
	Again bool `json:"again,omitempty"`
	// Repeatable says that what the handler does when it is called again may be repeated after a crash, also
	// by an effect with AtMostOnceDecided.
	Repeatable bool `json:"repeatable,omitempty"`
	// State is what the handler wants to find again then.
	State     JSON      `json:"state,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	// Since, for an event of a workflow or of all, also takes one that was sent at or after it and is still kept.
	Since time.Time `json:"since,omitzero"`
	// Until is when a timer or retry fires.
	Until time.Time `json:"until,omitzero"`
	// ExpiresAt is the deadline; Default is the answer then taken, if there is
	// one. For a tool_approval OnExpire says what happens instead.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	OnExpire  string    `json:"on_expire,omitempty"`
	Default   JSON      `json:"default,omitempty"`
	// Sealed is, in a store, the fields that say what the wait is about, encrypted;
	// see Sealing. It is set in what is handed out only when it could not be opened.
	Sealed []byte `json:"sealed,omitempty"`
}

// Answer is the result of a question or a form.
type Answer struct {
	Choice  string `json:"choice,omitempty"`
	Text    string `json:"text,omitempty"` // free text that is not one of the choices
	Data    JSON   `json:"data,omitempty"` // a form's value
	By      string `json:"by,omitempty"`   // the actor who answered
	Expired bool   `json:"expired,omitempty"`
}

// JobResult is the answer to a job: exactly one of a result and an error.
type JobResult struct {
	Result JSON   `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Attention is the answer to an attention wait.
type Attention struct {
	// Type is AttentionDone (it happened, with Result), AttentionAgain (do it
	// again with the same key) or AttentionFail (it failed, with Message).
	Type    string `json:"type"`
	Result  JSON   `json:"result,omitempty"`
	Message string `json:"message,omitempty"`
}

// The types of an Attention.
const (
	AttentionDone  = "done"
	AttentionAgain = "again"
	AttentionFail  = "fail"
)

// Decision is how a wait was resolved, for those who come too late.
type Decision struct {
	Wait   string     `json:"wait_id"`
	By     ResolvedBy `json:"by"`
	Answer JSON       `json:"answer,omitempty"`
	Actor  string     `json:"actor,omitempty"`
	At     time.Time  `json:"at"`
	Seq    int64      `json:"seq"` // of the record
}

// Answered is a wait that a handler opened and whose answer it is called again with.
type Answered struct {
	Wait     Wait     `json:"wait"`
	Decision Decision `json:"decision"`
}

// WaitRun returns the id of the run that a wait belongs to, from the wait's id.
func WaitRun(waitID string) (runID string, ok bool) {
	runID, n, ok := cutLast(waitID, '.')
	if _, err := strconv.ParseInt(n, 10, 64); !ok || err != nil {
		return "", false
	}
	return runID, true
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// due is when the wait does something by itself, or zero.
func (w *Wait) due() time.Time {
	if !w.Until.IsZero() {
		return w.Until
	}
	return w.ExpiresAt
}

// check returns every reason why answer does not fit the wait (K16).
func (w *Wait) check(answer JSON) []Fault {
	switch w.Kind {
	case WaitTimer, WaitRetry:
		return []Fault{{"", fmt.Sprintf("a %s is not answered; it fires at %s", w.Kind, formatTime(w.Until))}}
	case WaitChild:
		return []Fault{{"", "a child is not answered; cancel it or wait for its end"}}
	case WaitQuestion:
		var s string
		if err := decodeOwn(answer, &s); err != nil {
			return []Fault{{"", fmt.Sprintf("the answer is a string%s, not %s", w.choiceHint(), kindName(answer))}}
		}
		if !w.FreeText && !slices.Contains(w.Choices, s) {
			return []Fault{{"", fmt.Sprintf("%q is not a choice%s", s, w.choiceHint())}}
		}
		if s == "" {
			return []Fault{{"", "the answer is empty"}}
		}
	case WaitForm:
		return CheckSchema(w.Schema, answer)
	case WaitToolApproval:
		return w.checkApproval(answer)
	case WaitBudget:
		return w.checkBudget(answer)
	case WaitJob:
		return checkMembers(answer, map[string]string{"result": "", "error": `"`}, func(has map[string]JSON) string {
			if len(has) != 1 {
				return `exactly one of "result" and "error" is needed`
			}
			return ""
		})
	case WaitAttention:
		return checkMembers(answer, map[string]string{"type": `"`, "result": "", "message": `"`}, func(has map[string]JSON) string {
			switch t := string(has["type"]); {
			case t != `"done"` && t != `"again"` && t != `"fail"`:
				return `"type" is one of "done", "again" and "fail"`
			case t != `"done"` && has["result"] != nil:
				return `"result" goes with type "done" only`
			case t == `"fail"` && has["message"] == nil:
				return `type "fail" needs a "message"`
			}
			return ""
		})
	}
	return nil
}

func (w *Wait) choiceHint() string {
	if len(w.Choices) == 0 {
		return ""
	}
	return fmt.Sprintf(" (one of %q)", w.Choices)
}

// checkMembers checks an object with known members, each of the kind that its
// first character says, or of any kind when that is empty.
func checkMembers(answer JSON, known map[string]string, rule func(map[string]JSON) string) (faults []Fault) {
	if answer[0] != '{' {
		return []Fault{{"", "the answer is an object, not " + kindName(answer)}}
	}
	has := map[string]JSON{}
	for name, val := range parts(answer) {
		first, ok := known[name]
		if !ok {
			faults = append(faults, Fault{pointer(name), "is not known here"})
		} else if first != "" && val[0] != first[0] {
			faults = append(faults, Fault{pointer(name), "is " + kindName(val) + ", not a string"})
		}
		has[name] = val
	}
	if msg := rule(has); msg != "" {
		faults = append(faults, Fault{"", msg})
	}
	return faults
}

// outcome is what resolving a wait means for its effect: a result, a failure,
// or, when again is set, another attempt.
type outcome struct {
	result JSON
	fail   *Failure
	again  bool
}

// outcome derives the effect's outcome from a valid answer; expired says that it is the default.
func (w *Wait) outcome(answer JSON, actor string, expired bool) (outcome, error) {
	if w.Again && w.Kind != WaitToolApproval {
		return outcome{again: true}, nil
	}
	switch w.Kind {
	case WaitToolApproval:
		return w.decided(answer, actor)
	case WaitBudget:
		var b Budget
		if err := decodeOwn(answer, &b); err != nil {
			return outcome{}, err
		}
		b.By = actor
		raw, err := encodeOwn(b)
		return outcome{result: raw}, err
	case WaitQuestion:
		var s string
		if err := decodeOwn(answer, &s); err != nil {
			return outcome{}, err
		}
		a := Answer{By: actor, Expired: expired}
		if slices.Contains(w.Choices, s) {
			a.Choice = s
		} else {
			a.Text = s
		}
		raw, err := encodeOwn(a)
		return outcome{result: raw}, err
	case WaitForEvent:
		return received(answer, nil, actor)
	case WaitForm:
		raw, err := encodeOwn(Answer{Data: answer, By: actor, Expired: expired})
		return outcome{result: raw}, err
	case WaitJob:
		var j JobResult
		if err := decodeOwn(answer, &j); err != nil {
			return outcome{}, err
		}
		if j.Result == nil {
			return outcome{fail: &Failure{Code: FailureJob, Message: j.Error, Permanent: true}}, nil
		}
		return outcome{result: j.Result}, nil
	case WaitAttention:
		var a Attention
		if err := decodeOwn(answer, &a); err != nil {
			return outcome{}, err
		}
		switch a.Type {
		case AttentionAgain:
			return outcome{again: true}, nil
		case AttentionFail:
			return outcome{fail: &Failure{Code: FailureDecided, Message: a.Message, Permanent: true}}, nil
		}
		if a.Result == nil {
			a.Result = JSON("null")
		}
		return outcome{result: a.Result}, nil
	}
	return outcome{result: answer}, nil
}
