// Package flowtest runs the cases of a flow document: a run on a store in memory, with a clock that
// moves when nothing else can happen, prepared answers, and prepared results of effects. It must not know
// a terminal, nor any other store.
package flowtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/store/mem"
)

// Epoch is the time at which every case begins.
var Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// maxRounds bounds a case.
const maxRounds = 10_000

// Result is what came of a case.
type Result struct {
	Case   flow.Case
	Run    *bide.Run
	Steps  []string // of the run that did something, in order
	Said   []string
	Faults []string // what is otherwise than expected; none when the case holds
}

// Run runs every case, in order. It fails only when ctx ends.
func Run(ctx context.Context, doc *flow.Doc, cases *flow.Cases) (out []Result, err error) {
	for _, c := range cases.List {
		r, err := newPlay(doc, c).run(ctx)
		if ctx.Err() != nil {
			return out, context.Cause(ctx)
		}
		if err != nil {
			r = &Result{Case: c, Faults: []string{err.Error()}}
		}
		out = append(out, *r)
	}
	return out, nil
}

// play is one case at work.
type play struct {
	doc    *flow.Doc
	c      flow.Case
	rt     *bide.Runtime
	clock  *bidetest.Clock
	root   string
	asked  map[string]time.Time // when waits were first seen
	turn   map[string]int       // by wait: which of its step's it is
	opened map[string]int       // by step: waits seen
	called map[string]int       // by run, node, step and effect: attempts
	events int                  // sent
	alarms []time.Time          // when answers and events are due
}

func newPlay(doc *flow.Doc, c flow.Case) *play {
	return &play{doc: doc, c: c, clock: bidetest.NewClock(Epoch), asked: map[string]time.Time{}, turn: map[string]int{}, opened: map[string]int{}, called: map[string]int{}}
}

func (p *play) run(ctx context.Context) (*Result, error) {
	var err error
	if p.rt, err = bide.New(mem.New(), &bide.Options{Clock: p.clock, Random: func() float64 { return 0 }}); err != nil {
		return nil, err
	}
	h := &flow.Handlers{Env: func(name string) (string, bool) { v, ok := p.c.Env[name]; return v, ok }, Secrets: secrets(p.c.Secrets)}
	all := h.ByType(p.rt)
	for _, typ := range append(p.doc.Effects(), flow.TypeLLM, flow.TypeTool) {
		if _, known := all[typ]; !known {
			all[typ] = nil
		}
	}
	for typ, real := range all {
		p.rt.Handle(typ, p.handler(typ, real))
	}
	for name, reply := range p.c.Flows {
		if err := p.rt.Register(child(name, reply)); err != nil {
			return nil, err
		}
	}
	run, err := p.rt.Start(ctx, p.doc.Workflow(), p.c.Input, &bide.StartOptions{Timeout: p.doc.Timeout()})
	if err != nil {
		return nil, err
	}
	p.root = run.ID
	for range maxRounds {
		moved, err := p.round(ctx)
		if err != nil {
			return nil, err
		}
		if run, err = p.rt.Get(ctx, p.root); err != nil {
			return nil, err
		}
		if run.ContinuedAs != "" {
			p.root = run.ContinuedAs
			continue
		}
		if run.Status.Final() || !moved && !p.advance(ctx) {
			return p.judge(ctx, run)
		}
	}
	return nil, fmt.Errorf("the run goes on and on: it has not ended after %d rounds", maxRounds)
}

// child stands for a flow that the document starts.
func child(name string, reply flow.CaseEffect) bide.Workflow {
	return bide.Workflow{ID: name, Version: "1", Entry: "reply", Nodes: bide.Nodes{"reply": func(*bide.Run) (bide.StepPlan, error) {
		if reply.Result == nil {
			return bide.Fail("%s", reply.Error), nil
		}
		return bide.Complete(reply.Result), nil
	}}}
}

type secrets map[string]string

func (s secrets) Secret(_ context.Context, name string) (string, error) {
	v, ok := s[name]
	if !ok {
		return "", bide.Permanent(fmt.Errorf("the case has no secret %q", name))
	}
	return v, nil
}

// handler does as the case says for the step, or what is real.
func (p *play) handler(typ string, real bide.Handler) bide.Handler {
	return func(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
		step, _, _ := strings.Cut(call.Node, "@")
		replies := p.c.Effects[step]
		if typ == flow.TypeEnv {
			replies = nil
		}
		if len(replies) == 0 {
			if real != nil && typ != flow.TypeHTTP && typ != flow.TypeExec {
				return real(ctx, call)
			}
			return bide.Outcome{}, &bide.Failure{Code: "no_reply", Permanent: true, Message: fmt.Sprintf("the case says nothing of what the %s step %q gets; add it under effects", typ, step)}
		}
		reply := replies[min(p.called[step], len(replies)-1)]
		p.called[step]++
		if reply.Result != nil {
			return bide.Completed(reply.Result), nil
		}
		f := &bide.Failure{Code: reply.Code, Message: reply.Error, Permanent: reply.Permanent}
		if f.Code == "" {
			f.Code = bide.FailureHandler
		}
		return bide.Outcome{}, f
	}
}

// round ticks every run that is open and gives what answers and events are due; it reports whether anything moved.
func (p *play) round(ctx context.Context) (moved bool, err error) {
	for _, status := range []bide.Status{bide.StatusRunning, bide.StatusWaiting} {
		for q := (bide.RunQuery{Status: status, Limit: 1000}); ; {
			page, err := p.rt.Runs(ctx, q)
			if err != nil {
				return moved, err
			}
			for _, info := range page.Runs {
				r, err := p.rt.Tick(ctx, info.ID)
				if err != nil {
					return moved, err
				}
				moved = moved || r.Seq != info.Seq
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
	}
	if moved {
		return true, nil
	}
	return p.respond(ctx)
}

// respond gives the answers and events that are due.
func (p *play) respond(ctx context.Context) (moved bool, err error) {
	p.alarms = p.alarms[:0]
	now := p.clock.Now()
	for q := (bide.WaitQuery{Limit: 1000}); ; {
		page, err := p.rt.Waits(ctx, q)
		if err != nil {
			return moved, err
		}
		for i := range page.Waits {
			w := &page.Waits[i]
			did, err := p.meet(ctx, w, now)
			if err != nil {
				return moved, err
			}
			moved = moved || did
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return moved, nil
		}
	}
}

// meet gives a wait its answer or event, if it is due, or notes when it will be.
func (p *play) meet(ctx context.Context, w *bide.Wait, now time.Time) (bool, error) {
	runID, _ := bide.WaitRun(w.ID)
	since, seen := p.asked[w.ID]
	if !seen {
		p.asked[w.ID], since = now, now
	}
	due := func(after time.Duration) bool {
		at := since.Add(after)
		if at.After(now) {
			p.alarms = append(p.alarms, at)
		}
		return !at.After(now)
	}
	switch w.Kind {
	case bide.WaitForEvent:
		if p.events >= len(p.c.Events) {
			return false, nil
		}
		e := p.c.Events[p.events]
		parts := strings.SplitN(w.Key, ":", 4)
		if len(parts) < 4 || parts[3] != e.Name && parts[3] != "*" || !due(e.After) {
			return false, nil
		}
		p.events++
		return true, p.rt.Send(ctx, bide.Event{ID: fmt.Sprintf("case-%d", p.events), Scope: bide.Scope(parts[1]), ScopeID: parts[2], Name: e.Name, Payload: e.Payload})
	case bide.WaitQuestion, bide.WaitForm, bide.WaitJob, bide.WaitAttention, bide.WaitCustom:
		step, _, _ := strings.Cut(w.Node, "@")
		answers := p.c.Answers[step]
		if len(answers) == 0 {
			return false, nil
		}
		turn, known := p.turn[w.ID]
		if !known {
			turn = p.opened[step]
			p.turn[w.ID] = turn
			p.opened[step]++
		}
		a := answers[min(turn, len(answers)-1)]
		if !due(a.After) {
			return false, nil
		}
		_, err := p.rt.Resume(ctx, runID, w.ID, a.Answer, bide.Command{Actor: "case"})
		if errors.Is(err, bide.ErrInvalidAnswer) {
			err = fmt.Errorf("the answer to step %s: %w", step, err)
		}
		return err == nil, err
	}
	return false, nil
}

// advance moves the clock to what happens next; it reports whether there is anything.
func (p *play) advance(ctx context.Context) bool {
	next := time.Time{}
	earlier := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, at := range p.alarms {
		earlier(at)
	}
	for _, status := range []bide.Status{bide.StatusRunning, bide.StatusWaiting} {
		page, err := p.rt.Runs(ctx, bide.RunQuery{Status: status, Limit: 1, WakeBefore: p.clock.Now().AddDate(100, 0, 0)})
		if err == nil && len(page.Runs) > 0 {
			earlier(page.Runs[0].WakeAt)
		}
	}
	if next.IsZero() {
		return false
	}
	if next.After(p.clock.Now()) {
		p.clock.Set(next)
	}
	return true
}

// judge compares what came of the case with what was expected.
func (p *play) judge(ctx context.Context, run *bide.Run) (*Result, error) {
	r := &Result{Case: p.c, Run: run}
	if err := p.retell(ctx, r); err != nil {
		return nil, err
	}
	want := p.c.Expect
	differ := func(what string, got, want any) {
		r.Faults = append(r.Faults, fmt.Sprintf("%s is %v, want %v", what, got, want))
	}
	reason := ""
	if run.Error != nil {
		reason = run.Error.Code
	}
	if want.Status != "" && string(run.Status) != want.Status {
		got := string(run.Status)
		if run.Error != nil {
			got += " (" + run.Error.Error() + ")"
		}
		for _, w := range run.Waits {
			got += fmt.Sprintf(" (step %s waits: %s %s)", w.Node, w.Kind, w.Message)
		}
		differ("status", got, want.Status)
	}
	if want.Error != "" && reason != want.Error {
		differ("error", reason, want.Error)
	}
	if want.Output != nil && !same(run.Output, want.Output) {
		differ("output", string(run.Output), string(want.Output))
	}
	if want.Steps != nil && !slices.Equal(r.Steps, want.Steps) {
		differ("steps", r.Steps, want.Steps)
	}
	if want.Said != nil && !slices.Equal(r.Said, want.Said) {
		differ("said", fmt.Sprintf("%q", r.Said), fmt.Sprintf("%q", want.Said))
	}
	if took := p.clock.Now().Sub(Epoch); want.Took != nil && took != *want.Took {
		differ("took", took, *want.Took)
	}
	return r, nil
}

// same compares two JSON values; the order of members does not matter, the text of numbers does.
func same(a, b json.RawMessage) bool {
	norm := func(raw json.RawMessage) ([]byte, error) {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		var v any
		if err := dec.Decode(&v); err != nil {
			return nil, err
		}
		return json.Marshal(v)
	}
	x, err := norm(a)
	y, err2 := norm(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// retell reads from the ledgers what the steps did.
func (p *play) retell(ctx context.Context, r *Result) error {
	ids := []string{p.root}
	for i := 0; i < len(ids); i++ {
		for rec, err := range p.rt.Ledger(ctx, ids[i], 1) {
			if err != nil {
				return err
			}
			if rec.Kind != bide.KindStepPlanned {
				continue
			}
			data, err := rec.Decode()
			if err != nil {
				return err
			}
			plan := data.(*bide.StepPlanned).Plan
			step, helper, _ := strings.Cut(rec.Node, "@")
			did := len(plan.Effects)+len(plan.Writes) > 0 || plan.Exit.Complete || plan.Exit.Fail != nil
			if i == 0 && did && step != "" && (helper == "" || helper[0] >= '0' && helper[0] <= '9' && !strings.Contains(helper, "@")) {
				r.Steps = append(r.Steps, step)
			}
			for _, e := range plan.Effects {
				var said struct {
					Message string `json:"message"`
				}
				if e.Type == bide.TypeTell && json.Unmarshal(e.Payload, &said) == nil {
					r.Said = append(r.Said, said.Message)
				}
			}
		}
		for q := (bide.RunQuery{Parent: ids[i], Limit: 1000}); ; {
			page, err := p.rt.Runs(ctx, q)
			if err != nil {
				return err
			}
			at := len(ids)
			for _, info := range page.Runs {
				ids = slices.Insert(ids, at, info.ID) // listed newest first
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
	}
	return nil
}
