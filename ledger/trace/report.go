package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/bide-dev/bide"
)

// Report is what happened in a run, line by line; each line names its record and the record's hash.
type Report struct {
	Run *bide.Run `json:"run"`
	// Signed says by which checkpoint the records are fixed; empty when that was not asked.
	Signed string `json:"signed,omitempty"`
	Lines  []Line `json:"lines"`
	// Decisions are what people decided, a part of what Lines say.
	Decisions []Decision `json:"decisions,omitempty"`
}

// Line is one record as a sentence.
type Line struct {
	Seq  int64     `json:"seq"`
	Hash bide.Hash `json:"hash"`
	At   time.Time `json:"at"`
	Kind bide.Kind `json:"kind"`
	Step int64     `json:"step,omitempty"`
	Node string    `json:"node,omitempty"`
	Who  string    `json:"who,omitempty"`
	Why  string    `json:"why,omitempty"` // the reason that was given
	Text string    `json:"text"`
	// Detail is what was asked, answered, sent or received; nil when there is nothing more to say.
	Detail bide.JSON `json:"detail,omitempty"`
}

// Decision is what a person decided: about which question or call, with which arguments.
type Decision struct {
	Seq    int64     `json:"seq"`
	Hash   bide.Hash `json:"hash"`
	Opened int64     `json:"opened"` // the record with which it was asked
	At     time.Time `json:"at"`
	Who    string    `json:"who"` // empty when nobody was named
	About  string    `json:"about"`
	// Verdict is the choice, or approve, edit, reject and so on.
	Verdict string `json:"verdict"`
	// Args are the arguments of the call as proposed, Edited those that replaced them.
	Args       bide.JSON `json:"args,omitempty"`
	Edited     bide.JSON `json:"edited,omitempty"`
	ArgsSHA256 string    `json:"args_sha256,omitempty"`
	Reason     string    `json:"reason,omitempty"`
}

// Tell reads a run's records from the first on and tells what happened. The chain is checked on the way: it fails with ErrCorrupt.
func Tell(records iter.Seq2[bide.Record, error]) (*Report, error) {
	t := &teller{out: &Report{}, waits: map[string]asked{}}
	var failed error
	run, err := bide.Fold(func(yield func(bide.Record, error) bool) {
		for rec, err := range records {
			if !yield(rec, err) || err != nil {
				return
			}
			if failed = t.record(&rec); failed != nil {
				return
			}
		}
	})
	if err == nil {
		err = failed
	}
	t.out.Run = run
	return t.out, err
}

// asked is a wait and the record that opened it.
type asked struct {
	bide.Wait
	seq int64
}

type teller struct {
	out     *Report
	waits   map[string]asked
	effects []bide.Effect // of the step at work
}

func (t *teller) record(rec *bide.Record) error {
	data, err := rec.Decode()
	if err != nil && !errors.Is(err, bide.ErrSealed) {
		return err
	}
	l := Line{Seq: rec.Seq, Hash: rec.Hash, At: rec.At, Kind: rec.Kind, Step: rec.Step, Node: rec.Node, Who: rec.Actor, Why: rec.Reason}
	l.Text, l.Detail = t.sentence(rec, data)
	t.out.Lines = append(t.out.Lines, l)
	if d, ok := data.(*bide.WaitResolved); ok && d.By == bide.ByAnswer {
		t.out.Decisions = append(t.out.Decisions, decision(rec, t.waits[d.WaitID], d.Answer))
	}
	return nil
}

// effect names an effect of the step at work.
func (t *teller) effect(i int) string {
	if i >= 0 && i < len(t.effects) {
		return t.effects[i].Type
	}
	return fmt.Sprintf("effect %d", i)
}

// sentence says what a record records.
func (t *teller) sentence(rec *bide.Record, data any) (string, bide.JSON) {
	if rec.IsSealed() {
		return "The content of this record is encrypted, or was destroyed.", nil
	}
	switch d := data.(type) {
	case *bide.RunShredded:
		return "The content of all records before was destroyed.", nil
	case *bide.RunStarted:
		if d.Continues != "" {
			return fmt.Sprintf("Run of %s, version %s, started in place of run %s.", d.Workflow, d.Version, d.Continues), d.Input
		}
		return fmt.Sprintf("Run of %s, version %s, started.", d.Workflow, d.Version), d.Input
	case *bide.RunForked:
		return fmt.Sprintf("Forked from run %s at record %d.", d.Origin.RunID, d.Origin.Seq), nil
	case *bide.RunMigrated:
		return fmt.Sprintf("Moved to version %s.", d.Version), nil
	case *bide.RunContinued:
		return fmt.Sprintf("Continued as run %s.", d.RunID), d.Input
	case *bide.MailForwarded:
		return fmt.Sprintf("Messages that nobody had taken handed over to run %s: %d.", d.RunID, len(d.Messages)), nil
	case *bide.ChildContinued:
		return fmt.Sprintf("The child continued as run %s.", d.RunID), nil
	case *bide.StepPlanned:
		t.effects = d.Plan.Effects
		return planned(rec.Node, &d.Plan), payloads(d.Plan.Effects)
	case *bide.StepFailed:
		return fmt.Sprintf("Node %s failed: %s.", rec.Node, d.Error.Message), nil
	case *bide.EffectStarted:
		return fmt.Sprintf("Attempt %d of %s announced.", d.Attempt, t.effect(d.Effect)), nil
	case *bide.EffectCompleted:
		return fmt.Sprintf("%s completed.", t.effect(d.Effect)), d.Result
	case *bide.EffectFailed:
		if !d.RetryAt.IsZero() {
			return fmt.Sprintf("Attempt %d of %s failed: %s. The next is at %s.", d.Attempt, t.effect(d.Effect), d.Error.Message, stamp(d.RetryAt)), nil
		}
		return fmt.Sprintf("%s failed: %s.", t.effect(d.Effect), d.Error.Message), nil
	case *bide.EffectInterrupted:
		return fmt.Sprintf("Attempt %d of %s was interrupted.", d.Attempt, t.effect(d.Effect)), nil
	case *bide.EffectLate:
		return fmt.Sprintf("Attempt %d reported late; it changed nothing.", d.Attempt), d.Result
	case *bide.Wait:
		t.waits[d.ID] = asked{*d, rec.Seq}
		return opened(d), nil
	case *bide.WaitResolved:
		return t.resolved(rec, d), d.Answer
	case *bide.GrantRevoked:
		return fmt.Sprintf("Grant %s revoked.", d.GrantID), nil
	case *bide.RunCompleted:
		return "Completed.", d.Output
	case *bide.RunFailed:
		return fmt.Sprintf("Failed: %s (%s).", d.Error.Message, d.Error.Code), nil
	}
	return strings.ToUpper(string(rec.Kind[4:5])) + string(rec.Kind[5:]) + ".", nil // run.paused and the like
}

func planned(node string, p *bide.StepPlan) string {
	var types []string
	for _, e := range p.Effects {
		types = append(types, e.Type)
	}
	then := "goes to " + p.Exit.Node
	switch {
	case p.Exit.Complete:
		then = "completes"
	case p.Exit.Continue:
		then = "continues as a new run"
	case p.Exit.Fail != nil:
		then = "fails"
	}
	if len(types) == 0 {
		return fmt.Sprintf("Node %s %s.", node, then)
	}
	return fmt.Sprintf("Node %s asks for %s, then %s.", node, strings.Join(types, ", "), then)
}

// payloads are what effects are asked to do.
func payloads(effects []bide.Effect) bide.JSON {
	if len(effects) == 1 {
		return effects[0].Payload
	}
	var all []bide.JSON
	for _, e := range effects {
		if e.Payload != nil {
			all = append(all, e.Payload)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return append(append(bide.JSON("["), bytes.Join(asBytes(all), []byte(","))...), ']')
}

func asBytes(in []bide.JSON) (out [][]byte) {
	for _, j := range in {
		out = append(out, j)
	}
	return out
}

func opened(w *bide.Wait) string {
	switch {
	case !w.Until.IsZero():
		return fmt.Sprintf("Waits until %s.", stamp(w.Until))
	case len(w.Items) > 0:
		return fmt.Sprintf("Waits for a decision about the call of %s.", w.Items[0].Name)
	case w.Message != "":
		return fmt.Sprintf("Waits for an answer (%s): %s", w.Kind, w.Message)
	case w.Key != "":
		return fmt.Sprintf("Waits for %s %s.", w.Kind, w.Key)
	}
	return fmt.Sprintf("Waits for %s.", w.Kind)
}

func (t *teller) resolved(rec *bide.Record, d *bide.WaitResolved) string {
	w := t.waits[d.WaitID]
	if d.By == bide.ByAnswer {
		return fmt.Sprintf("%s answered %q.", somebody(rec.Actor), about(w))
	}
	return fmt.Sprintf("The wait for %s ended by %s.", firstOf(w.Key, w.Message, string(w.Kind)), d.By)
}

func somebody(actor string) string { return firstOf(actor, "Somebody") }

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// about is what a wait asked.
func about(w asked) string {
	if len(w.Items) > 0 {
		return w.Items[0].Name
	}
	return firstOf(w.Message, w.Key, string(w.Kind))
}

// decision reads an answer as what was decided.
func decision(rec *bide.Record, w asked, answer bide.JSON) Decision {
	d := Decision{Seq: rec.Seq, Hash: rec.Hash, Opened: w.seq, At: rec.At, Who: rec.Actor, About: about(w), Verdict: string(answer), Reason: rec.Reason}
	if len(w.Items) == 0 {
		return d
	}
	item := w.Items[0]
	d.Args, d.ArgsSHA256 = item.Args, item.ArgsSHA256
	var a bide.Approval
	if err := json.Unmarshal(answer, &a); err != nil {
		return d
	}
	if v, ok := a.Decision(item.ToolCallID); ok {
		d.Verdict, d.Edited, d.Reason = string(v.Type), v.Args, firstOf(v.Reason, v.Message, rec.Reason)
	}
	return d
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }
