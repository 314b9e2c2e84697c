package flowtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
)

// FromRun writes a file with one case that does what a recorded run of a document did: its input, what its effects and
// the flows that it called gave, the answers and events that it got, and when; and expects what it came to. The case is
// run, and faults says in what it comes to something else: what happened at once in several branches may have
// another order, and what a flow gave that was called more than once is in the case only as it was first.
//
// It fails with bide.ErrWrongStatus when the run has not completed or failed, and when it is the fork of another one
// or was continued as a new one.
func FromRun(ctx context.Context, rt *bide.Runtime, doc *flow.Doc, runID string) (file []byte, faults []string, err error) {
	run, err := rt.Get(ctx, runID)
	if err != nil {
		return nil, nil, err
	}
	if run.Status != bide.StatusCompleted && run.Status != bide.StatusFailed || run.Origin != "" || run.ContinuedAs != "" {
		return nil, nil, bide.Errorf(bide.CodeWrongStatus, "run %s cannot become a case: it is %s; one is needed that began with its input, and completed or failed", runID, run.Status)
	}
	t := &tape{rt: rt, workflow: run.Workflow, answers: map[string][]told{}, effects: map[string][]told{}, flows: map[string]told{}, env: map[string]string{}}
	if err := t.run(ctx, runID); err != nil {
		return nil, nil, err
	}
	r := &Result{}
	if err := (&play{rt: rt, root: runID}).retell(ctx, r); err != nil {
		return nil, nil, err
	}
	if file, err = t.write(ctx, run, r); err != nil {
		return nil, nil, err
	}
	cases, err := flow.ParseCases("the case of run "+runID, file)
	if err != nil {
		return nil, nil, err
	}
	results, err := Run(ctx, doc, cases)
	if err != nil {
		return nil, nil, err
	}
	return file, results[0].Faults, nil
}

// told is something that a run was told: a JSON value of a case, and when.
type told struct {
	at   time.Time
	text string
}

// tape gathers what a run and the bodies that are runs of their own were told.
type tape struct {
	rt       *bide.Runtime
	workflow string
	answers  map[string][]told // by step
	effects  map[string][]told // by step
	flows    map[string]told   // by flow
	events   []told
	env      map[string]string
	apart    bool // bodies were runs of their own, which say what they say in any order
}

// outside are the effects whose results are in a case. The others it carries out as a run does.
var outside = []string{flow.TypeHTTP, flow.TypeExec, flow.TypeScript, flow.TypeLLM, flow.TypeTool}

// run reads the ledger of a run, and then those of its bodies.
func (t *tape) run(ctx context.Context, id string) error {
	waits := map[string]*bide.Wait{}
	var effects []bide.Effect
	for rec, err := range t.rt.Ledger(ctx, id, 1) {
		if err != nil {
			return err
		}
		data, err := rec.Decode()
		if err != nil {
			return err
		}
		step, _, _ := strings.Cut(rec.Node, "@")
		switch d := data.(type) {
		case *bide.StepPlanned:
			effects = d.Plan.Effects
		case *bide.EffectCompleted:
			t.effect(step, effects[d.Effect].Type, rec.At, object(member{"result", d.Result}))
		case *bide.EffectFailed:
			failed := object(member{"error", str(d.Error.Message)}, member{"code", str(d.Error.Code)}, member{"permanent", fmt.Appendf(nil, "%t", d.Error.Permanent)})
			t.effect(step, effects[d.Effect].Type, rec.At, failed)
		case *bide.Wait:
			waits[d.ID] = d
		case *bide.WaitResolved:
			if w := waits[d.WaitID]; w != nil {
				if err := t.resolved(step, effects[w.Effect], w, d, rec.At); err != nil {
					return err
				}
			}
		}
	}
	return t.bodies(ctx, id)
}

func (t *tape) bodies(ctx context.Context, id string) error {
	for q := (bide.RunQuery{Parent: id, Limit: 1000}); ; {
		page, err := t.rt.Runs(ctx, q)
		if err != nil {
			return err
		}
		for _, child := range slices.Backward(page.Runs) { // listed newest first
			if child.Workflow != t.workflow {
				continue
			}
			t.apart = true
			if err := t.run(ctx, child.ID); err != nil {
				return err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
	}
}

// effect notes what a handler gave.
func (t *tape) effect(step, typ string, at time.Time, reply string) {
	switch {
	case typ == flow.TypeEnv:
		var got struct {
			Result map[string]string `json:"result"`
		}
		if json.Unmarshal([]byte(reply), &got) == nil {
			maps.Copy(t.env, got.Result)
		}
	case slices.Contains(outside, typ):
		t.effects[step] = append(t.effects[step], told{at, reply})
	}
}

// resolved notes what closed a wait.
func (t *tape) resolved(step string, e bide.Effect, w *bide.Wait, d *bide.WaitResolved, at time.Time) error {
	after := at.Sub(w.CreatedAt).Truncate(time.Second)
	switch {
	case d.By == bide.ByAnswer && w.Kind != bide.WaitForEvent:
		t.answers[step] = append(t.answers[step], told{at, answer(after, d.Answer)})
	case d.By == bide.ByDeadline && w.Kind != bide.WaitForEvent: // an answer would have come too late
		t.answers[step] = append(t.answers[step], told{at, answer(after+time.Hour, bide.JSON("null"))})
	case d.By == bide.ByEvent && d.Message != nil:
		name := d.Message.Key[strings.LastIndexByte(d.Message.Key, ':')+1:]
		event := []member{{"name", str(name)}, {"payload", d.Answer}}
		if after > 0 {
			event = append(event, member{"after", str(after.String())})
		}
		t.events = append(t.events, told{at, object(event...)})
	case d.By == bide.ByChild:
		return t.called(e, d.Answer, at)
	}
	return nil
}

// called notes what another flow gave.
func (t *tape) called(e bide.Effect, answer bide.JSON, at time.Time) error {
	var spec struct {
		Workflow string `json:"workflow"`
	}
	var c bide.ChildResult
	if err := json.Unmarshal(e.Payload, &spec); err != nil {
		return err
	}
	if err := json.Unmarshal(answer, &c); err != nil {
		return err
	}
	if _, known := t.flows[spec.Workflow]; known || spec.Workflow == t.workflow {
		return nil
	}
	reply := object(member{"result", c.Output})
	if c.Status != bide.StatusCompleted {
		reply = object(member{"error", str(string(c.Status))})
		if c.Error != nil {
			reply = object(member{"error", str(c.Error.Message)})
		}
	}
	t.flows[spec.Workflow] = told{at, reply}
	return nil
}

// write makes the file: YAML on the outside, and values as JSON, which YAML takes.
func (t *tape) write(ctx context.Context, run *bide.Run, r *Result) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# From run %s of %s.\nbide: 1\ncases:\n  - name: %s\n", run.ID, run.CreatedAt.Format(time.RFC3339), str("run "+run.ID))
	began, err := t.rt.StateAt(ctx, run.ID, 1) // the vars may have changed since
	if err != nil {
		return nil, err
	}
	input, _, err := began.Vars.Raw("input")
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, "    input: %s\n", input)
	if len(t.env) > 0 {
		b.WriteString("    env:\n")
		for _, name := range slices.Sorted(maps.Keys(t.env)) {
			fmt.Fprintf(&b, "      %s: %s\n", str(name), str(t.env[name]))
		}
	}
	lists := func(name string, all map[string][]told) {
		if len(all) > 0 {
			fmt.Fprintf(&b, "    %s:\n", name)
		}
		for _, step := range slices.Sorted(maps.Keys(all)) {
			slices.SortStableFunc(all[step], func(a, b told) int { return a.at.Compare(b.at) })
			fmt.Fprintf(&b, "      %s:\n", str(step))
			for _, one := range all[step] {
				fmt.Fprintf(&b, "        - %s\n", one.text)
			}
		}
	}
	lists("answers", t.answers)
	lists("effects", t.effects)
	if len(t.flows) > 0 {
		b.WriteString("    flows:\n")
		for _, name := range slices.Sorted(maps.Keys(t.flows)) {
			fmt.Fprintf(&b, "      %s: %s\n", str(name), t.flows[name].text)
		}
	}
	if len(t.events) > 0 {
		slices.SortStableFunc(t.events, func(a, b told) int { return a.at.Compare(b.at) })
		b.WriteString("    events:\n")
		for _, e := range t.events {
			fmt.Fprintf(&b, "      - %s\n", e.text)
		}
	}
	b.WriteString("    expect:\n")
	own := func(text string) bool { return strings.Contains(text, run.ID) } // which is another one in every run
	switch {
	case run.Error != nil:
		fmt.Fprintf(&b, "      status: failed\n      error: %s\n", str(run.Error.Code))
	case own(string(run.Output)):
		b.WriteString("      status: completed\n")
	default:
		fmt.Fprintf(&b, "      output: %s\n", run.Output)
	}
	list := func(name string, all []string) {
		if len(all) > 0 {
			fmt.Fprintf(&b, "      %s: %s\n", name, bide.Must(json.Marshal(all)))
		}
	}
	list("steps", r.Steps)
	if !t.apart && !slices.ContainsFunc(r.Said, own) {
		list("said", r.Said)
	}
	return b.Bytes(), nil
}

func answer(after time.Duration, value bide.JSON) string {
	if value == nil {
		value = bide.JSON("null")
	}
	if after <= 0 && !bytes.HasPrefix(bytes.TrimSpace(value), []byte("{")) {
		return string(value)
	}
	return object(member{"after", str(after.String())}, member{"answer", value})
}

// object writes an object.
func object(members ...member) string {
	parts := make([]string, len(members))
	for i, m := range members {
		if m.value == nil {
			m.value = []byte("null")
		}
		parts[i] = fmt.Sprintf("%s: %s", str(m.name), m.value)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// member is a member of an object: a name and a JSON value.
type member struct {
	name  string
	value []byte
}

func str(s string) []byte { return bide.Must(json.Marshal(s)) }
