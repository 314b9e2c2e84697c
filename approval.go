package bide

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// ToolItem is a call of a tool that needs a decision: what a wait of kind
// WaitToolApproval is about. A handler gives all but ArgsSHA256 and Status.
type ToolItem struct {
	ToolCallID string `json:"tool_call_id"`
	Name       string `json:"name"`
	Args       JSON   `json:"args"`
	// ArgsSHA256 pins the name and arguments; see the function of that name. The kernel computes it.
	ArgsSHA256  string `json:"args_sha256"`
	Description string `json:"description,omitempty"`
	// ArgsSchema is the JSON Schema that edited arguments must fit; nil lets anything pass.
	ArgsSchema  JSON            `json:"args_schema,omitempty"`
	Source      ToolSource      `json:"source"`
	Annotations ToolAnnotations `json:"annotations"`
	// Allowed are the verbs that may answer. Defaults to all four.
	Allowed []Verb `json:"allowed_decisions"`
	// Reason is why the call was not made without asking.
	Reason string `json:"reason,omitempty"`
	Status string `json:"status"` // "pending" as long as the wait is open
}

// ToolSource says where a tool comes from.
type ToolSource struct {
	Kind   string `json:"kind"`                  // such as function, builtin, http, mcp
	Server string `json:"server,omitempty"`      // the name of its server
	SHA256 string `json:"tool_sha256,omitempty"` // of the tool's definition, in hex
}

// ToolAnnotations are what a tool says about itself, in the words of the Model Context Protocol.
type ToolAnnotations struct {
	ReadOnly    bool `json:"readOnlyHint"`    // it changes nothing
	Destructive bool `json:"destructiveHint"` // it may destroy something
	Idempotent  bool `json:"idempotentHint"`  // a second call with the same arguments changes nothing more
	OpenWorld   bool `json:"openWorldHint"`   // it deals with what is outside
}

// Verb is what a person may decide about a tool call.
type Verb string

// The verbs.
const (
	VerbApprove Verb = "approve" // make the call as it is
	VerbEdit    Verb = "edit"    // make it with other arguments, which replace those proposed whole
	VerbReject  Verb = "reject"  // do not make it
	VerbRespond Verb = "respond" // do not make it; the message is its result
)

var verbs = []Verb{VerbApprove, VerbEdit, VerbReject, VerbRespond}

// Approval is the answer to a wait of kind WaitToolApproval: Decisions, one for
// each of its items, or the short form, Approved with a Message to say why not.
type Approval struct {
	Decisions []ToolDecision `json:"decisions,omitempty"`
	Approved  *bool          `json:"approved,omitempty"`
	Message   string         `json:"message,omitempty"`
	// Remember makes a grant of an approval.
	Remember *Remember `json:"remember,omitempty"`
}

// ToolDecision is what a person decided about one call.
type ToolDecision struct {
	ToolCallID string `json:"tool_call_id"`
	// ArgsSHA256 is that of the item which was looked at. Approve and edit need it.
	ArgsSHA256 string `json:"args_sha256,omitempty"`
	Type       Verb   `json:"type"`
	Args       JSON   `json:"args,omitempty"`    // with edit: the arguments to call with
	Message    string `json:"message,omitempty"` // with reject: why; with respond: the result
	Reason     string `json:"reason,omitempty"`
}

// Decision returns the decision about a call, from either form of the answer.
func (a *Approval) Decision(toolCallID string) (d ToolDecision, ok bool) {
	if a.Approved != nil {
		d = ToolDecision{ToolCallID: toolCallID, Type: VerbReject, Message: a.Message}
		if *a.Approved {
			d.Type = VerbApprove
		}
		return d, true
	}
	i := slices.IndexFunc(a.Decisions, func(d ToolDecision) bool { return d.ToolCallID == toolCallID })
	if i < 0 {
		return d, false
	}
	return a.Decisions[i], true
}

// NotCalled is the result of an effect whose tool call was not made.
type NotCalled struct {
	ToolCallID string `json:"tool_call_id"`
	Name       string `json:"name"`
	Status     string `json:"status"`  // one of the constants below
	Content    string `json:"content"` // what to tell the model
	DecidedBy  string `json:"decided_by,omitempty"`
}

// Why a call was not made.
const (
	CallRejected  = "rejected"
	CallResponded = "responded"
	CallExpired   = "expired"
)

// What a wait of kind WaitToolApproval does at its deadline.
const (
	ExpireReject = "reject" // the effect completes with a NotCalled
	ExpireFail   = "fail"   // the effect fails with code timeout
)

// AgentActor begins the name of an actor that is a program and not a person. It
// can ask, but never decide about a tool call or a budget.
const AgentActor = "agent:"

// ArgsSHA256 is the SHA-256, in hex, over the canonical form (RFC 8785) of
// {"name": name, "args": args}. As that form says, numbers count as IEEE 754 doubles.
func ArgsSHA256(name string, args JSON) (string, error) {
	raw, err := encode(struct {
		Name string `json:"name"`
		Args JSON   `json:"args"`
	}{name, args})
	if err != nil {
		return "", err
	}
	v := jsontext.Value(raw)
	if err := v.Canonicalize(); err != nil {
		return "", err
	}
	sum := sha256.Sum256(v)
	return hex.EncodeToString(sum[:]), nil
}

// prepareItems completes the items of a wait that a handler opens and says what is wrong with them.
func (w *Wait) prepareItems() error {
	if w.Kind != WaitToolApproval {
		if len(w.Items) > 0 || w.OnExpire != "" {
			return fmt.Errorf("items and on_expire go with kind %s only", WaitToolApproval)
		}
		return nil
	}
	if len(w.Items) != 1 {
		return fmt.Errorf("a wait of kind %s is about one call, not %d", w.Kind, len(w.Items))
	}
	if w.OnExpire == "" {
		w.OnExpire = ExpireReject
	}
	if w.OnExpire != ExpireReject && w.OnExpire != ExpireFail || w.Default != nil {
		return fmt.Errorf("on_expire is %q or %q, and there is no default decision", ExpireReject, ExpireFail)
	}
	item := w.Items[0]
	if item.ToolCallID == "" || item.Name == "" {
		return fmt.Errorf("a call needs a tool_call_id and a name")
	}
	var err error
	if item.Args, err = compact(item.Args); err != nil {
		return fmt.Errorf("args: %w", err)
	}
	if item.ArgsSHA256, err = ArgsSHA256(item.Name, item.Args); err != nil {
		return fmt.Errorf("args: %w", err)
	}
	if item.ArgsSchema != nil {
		if item.ArgsSchema, err = compact(item.ArgsSchema); err == nil {
			_, err = CompileSchema(item.ArgsSchema)
		}
		if err != nil {
			return fmt.Errorf("args_schema: %w", err)
		}
	}
	if len(item.Allowed) == 0 {
		item.Allowed = verbs
	}
	for _, v := range item.Allowed {
		if !slices.Contains(verbs, v) {
			return fmt.Errorf("%q is not one of the verbs %q", v, verbs)
		}
	}
	item.Allowed, item.Status = slices.Clone(item.Allowed), "pending"
	w.Items = []ToolItem{item}
	return nil
}

// mayAnswer says whether whoever sent a command may answer the wait.
func (w *Wait) mayAnswer(by Cause) error {
	if (w.Kind == WaitToolApproval || w.Kind == WaitBudget) && strings.HasPrefix(by.Actor, AgentActor) {
		return Errorf(CodeForbidden, "%s can ask, but not decide about wait %s; a person does", by.Actor, w.ID).onWait(w.ID)
	}
	if len(w.Assignees) == 0 || by.Actor != "" && slices.Contains(w.Assignees, by.Actor) {
		return nil
	}
	for _, group := range by.Groups {
		if slices.Contains(w.Assignees, group) {
			return nil
		}
	}
	return Errorf(CodeForbidden, "%q is not among those who may answer wait %s: %q", by.Actor, w.ID, w.Assignees).onWait(w.ID)
}

// objectFaults says what is wrong with an object's members: unknown ones, and
// those that are not of the kind, which is a word of kindName or empty for any.
func objectFaults(at string, raw JSON, known map[string]string) (faults []Fault) {
	if raw[0] != '{' {
		return []Fault{{at, "is " + kindName(raw) + ", not an object"}}
	}
	for name, val := range parts(raw) {
		kind, ok := known[name]
		switch {
		case !ok:
			faults = append(faults, Fault{at + pointer(name), "is not known here"})
		case kind != "" && kindName(val) != kind:
			faults = append(faults, Fault{at + pointer(name), "is " + kindName(val) + ", not " + kind})
		}
	}
	return faults
}

var (
	approvalMembers = map[string]string{"decisions": "a list", "approved": "a boolean", "message": "a string", "remember": "an object"}
	decisionMembers = map[string]string{"tool_call_id": "a string", "args_sha256": "a string", "type": "a string", "args": "", "message": "a string", "reason": "a string"}
	rememberMembers = map[string]string{"scope": "a string", "match": "a string"}
)

// checkApproval returns every reason why answer is no decision about the wait's call.
func (w *Wait) checkApproval(answer JSON) []Fault {
	faults := objectFaults("", answer, approvalMembers)
	if len(faults) > 0 {
		return faults
	}
	for name, val := range parts(answer) {
		switch name {
		case "decisions":
			i := 0
			for _, d := range parts(val) {
				faults = append(faults, objectFaults(fmt.Sprintf("/decisions/%d", i), d, decisionMembers)...)
				i++
			}
		case "remember":
			faults = append(faults, objectFaults("/remember", val, rememberMembers)...)
		}
	}
	if len(faults) > 0 {
		return faults
	}
	var a Approval
	if err := decodeOwn(answer, &a); err != nil {
		return []Fault{{"", err.Error()}}
	}
	item := &w.Items[0]
	switch {
	case (a.Approved == nil) == (a.Decisions == nil):
		return []Fault{{"", `exactly one of "decisions" and "approved" is needed`}}
	case a.Decisions != nil && a.Message != "":
		faults = append(faults, Fault{"/message", `goes with "approved" only; a decision has its own`})
	case a.Decisions != nil && len(a.Decisions) == 0:
		return []Fault{{"/decisions", "is empty"}}
	}
	if a.Approved != nil {
		if d, _ := a.Decision(item.ToolCallID); !slices.Contains(item.Allowed, d.Type) {
			faults = append(faults, Fault{"/approved", fmt.Sprintf("%q is not allowed here; %q are", d.Type, item.Allowed)})
		}
	}
	seen := false
	for i := range a.Decisions {
		faults = append(faults, item.decisionFaults(fmt.Sprintf("/decisions/%d", i), &a.Decisions[i])...)
		if a.Decisions[i].ToolCallID != item.ToolCallID {
			continue
		}
		if seen {
			faults = append(faults, Fault{fmt.Sprintf("/decisions/%d", i), fmt.Sprintf("call %q is decided twice", item.ToolCallID)})
		}
		seen = true
	}
	if a.Remember != nil {
		d, _ := a.Decision(item.ToolCallID)
		faults = append(faults, a.Remember.faults(d.Type)...)
	}
	return faults
}

// decisionFaults returns every reason why d, at a place in the answer, is no decision about the item.
func (item *ToolItem) decisionFaults(at string, d *ToolDecision) (faults []Fault) {
	add := func(field, format string, args ...any) {
		faults = append(faults, Fault{at + field, fmt.Sprintf(format, args...)})
	}
	if d.ToolCallID != item.ToolCallID {
		add("/tool_call_id", "%q is not a call of this wait; %q is", d.ToolCallID, item.ToolCallID)
		return faults
	}
	runs := d.Type == VerbApprove || d.Type == VerbEdit
	switch {
	case !slices.Contains(verbs, d.Type):
		add("/type", "%q is not one of %q", d.Type, verbs)
	case !slices.Contains(item.Allowed, d.Type):
		add("/type", "%q is not allowed here; %q are", d.Type, item.Allowed)
	}
	switch {
	case d.ArgsSHA256 == "" && runs:
		add("/args_sha256", "is missing; send that of the arguments which were decided about")
	case item.stale(d):
		add("/args_sha256", "is not that of the arguments now proposed, which is %s", item.ArgsSHA256)
	}
	switch {
	case d.Args == nil && d.Type == VerbEdit:
		add("/args", "is missing")
	case d.Args != nil && d.Type != VerbEdit:
		add("/args", "goes with type %q only", VerbEdit)
	case d.Args != nil && item.ArgsSchema != nil:
		for _, f := range CheckSchema(item.ArgsSchema, d.Args) {
			add("/args"+f.Path, "%s", f.Message)
		}
	}
	if d.Type == VerbRespond && d.Message == "" {
		add("/message", "is missing; it is the call's result")
	}
	return faults
}

// stale reports whether a decision is about other arguments than the item's.
func (item *ToolItem) stale(d *ToolDecision) bool {
	return d.ArgsSHA256 != "" && d.ArgsSHA256 != item.ArgsSHA256
}

// refusal is the code for an answer that does not fit.
func (w *Wait) refusal(answer JSON) Code {
	var a Approval
	if w.Kind == WaitToolApproval && decodeOwn(answer, &a) == nil {
		if d, ok := a.Decision(w.Items[0].ToolCallID); ok && w.Items[0].stale(&d) {
			return CodeArgsChanged
		}
	}
	return CodeInvalidAnswer
}

// decided is what a decision about its call means for the effect: another
// attempt, in which the handler finds it, or a result without the handler.
func (w *Wait) decided(answer JSON, actor string) (outcome, error) {
	var a Approval
	if err := decodeOwn(answer, &a); err != nil {
		return outcome{}, err
	}
	item := &w.Items[0]
	d, _ := a.Decision(item.ToolCallID)
	res := NotCalled{ToolCallID: item.ToolCallID, Name: item.Name, DecidedBy: actor}
	switch d.Type {
	case VerbRespond:
		res.Status, res.Content = CallResponded, d.Message
	case VerbReject:
		res.Status, res.Content = CallRejected, "The call was not made: it was rejected."
		if d.Message != "" {
			res.Content = "The call was not made: it was rejected, with the message: " + d.Message
		}
	default:
		return outcome{again: true}, nil
	}
	raw, err := encodeOwn(res)
	return outcome{result: raw}, err
}

// notDecided is what the deadline of an approval means for the effect.
func (w *Wait) notDecided() (outcome, error) {
	item := &w.Items[0]
	raw, err := encodeOwn(NotCalled{ToolCallID: item.ToolCallID, Name: item.Name, Status: CallExpired,
		Content: "The call was not made: nobody decided about it before " + formatTime(w.ExpiresAt) + "."})
	return outcome{result: raw}, err
}
