package storetest

import (
	"fmt"
	"time"

	"github.com/bide-dev/bide"
)

// The second scenario, which a worker drives: a run that starts
// children, takes an event of its session that was sent before, and one of its
// own that is sent after it waits. Its first child needs an event and a timer, the second goes on by
// itself until it is cancelled from outside.
var (
	trip = bide.Workflow{ID: "trip", Version: "1", Entry: "book", Nodes: bide.Nodes{
		"book": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(
				bide.StartRun("leg", "there", nil).As("leg"),
				bide.StartRun("stay", "hotel", &bide.ChildOptions{Detached: true}).As("stay"),
				bide.Call("mail", "booked").As("mailed"),
			).Then("ticket"), nil
		},
		"ticket": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.WaitEvent("ticket", &bide.EventOptions{Scope: bide.ScopeSession}).As("ticket")).Then("go"), nil
		},
		"go": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.WaitEvent("*", nil).As("start")).Then("end"), nil
		},
		"end": func(r *bide.Run) (bide.StepPlan, error) {
			leg, err := bide.Get[bide.ChildResult](r.Vars, "leg")
			if err != nil {
				return bide.StepPlan{}, err
			}
			ticket, err := bide.Get[bide.ReceivedEvent](r.Vars, "ticket")
			if err != nil {
				return bide.StepPlan{}, err
			}
			begin, err := bide.Get[bide.ReceivedEvent](r.Vars, "start")
			return bide.Complete([]any{leg.Output, ticket.Payload, begin.Name, begin.Payload}), err
		},
	}}
	leg = bide.Workflow{ID: "leg", Version: "1", Entry: "wait", Nodes: bide.Nodes{
		"wait": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(
				bide.WaitEvent("depart", &bide.EventOptions{Scope: bide.ScopeWorkflow}).As("depart"),
				bide.SleepFor(time.Hour),
				bide.Call("charge", "fare").Once().As("fare"),
			).ThenCompleteWith("fare"), nil
		},
	}}
	stay = bide.Workflow{ID: "stay", Version: "1", Entry: "wait", Nodes: bide.Nodes{
		"wait": func(*bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.WaitEvent("never", nil)).ThenComplete(nil), nil
		},
	}}
)

// trips plays the client of a trip.
func (p *process) trips() *ending {
	run := p.done(p.rt.Start(p.ctx, trip, "first", &bide.StartOptions{Key: "trip-1", Session: "s", Command: bide.Command{ID: "start"}}))
	p.send(bide.Event{ID: "e1", Scope: bide.ScopeSession, ScopeID: "s", Name: "ticket", Payload: "window seat"})
	p.drive()
	p.send(bide.Event{ID: "e2", Scope: bide.ScopeWorkflow, ScopeID: "leg", Name: "depart"})
	p.send(bide.Event{ID: "e2", Scope: bide.ScopeWorkflow, ScopeID: "leg", Name: "depart"})
	p.drive()
	if now := p.done(p.rt.Get(p.ctx, run.ID)); !now.Status.Final() {
		if now.Node != "go" {
			p.t.Errorf("a run that can take an event that was kept rests in node %s", now.Node)
		}
		p.send(bide.Event{ID: "e3", ScopeID: run.ID, Name: "begin", Payload: []int{1, 2}})
	}
	p.drive()
	ids := []string{run.ID}
	page, err := p.rt.Runs(p.ctx, bide.RunQuery{Parent: run.ID})
	if p.store.isDead() {
		panic(again{})
	}
	if err != nil || len(page.Runs) != 2 {
		p.t.Fatalf("Runs of the children = %v, %v, want 2", page, err)
	}
	for _, child := range page.Runs {
		ids = append(ids, child.ID)
		if child.Workflow == "stay" {
			p.done(p.rt.Cancel(p.ctx, child.ID, bide.Command{ID: "leave"}))
		}
	}
	return p.end(ids...)
}

func (p *process) send(e bide.Event) {
	p.t.Helper()
	p.done(nil, p.rt.Send(p.ctx, e))
}

// drive does what a worker does until no run can proceed and no timer is set:
// it claims runs, ticks them, and gives them back. Runs of the client's own are left alone.
func (p *process) drive() {
	p.t.Helper()
	q := bide.ClaimQuery{Owner: fmt.Sprint("worker-", p.lives), Limit: 2, Sole: true,
		Workflows: []bide.WorkflowVersion{{ID: "trip", Version: "1"}, {ID: "leg", Version: "1"}, {ID: "stay", Version: "1"}}}
	for range 100 {
		q.Now = p.world.clock.Now()
		claims, err := p.store.Claim(p.ctx, q)
		p.done(nil, err)
		for _, c := range claims {
			run := p.done(p.rt.TickClaimed(p.ctx, c, nil))
			p.attend(run)
			p.done(nil, p.store.Release(p.ctx, q.Owner, []string{c.RunID}, run.Status != bide.StatusRunning))
		}
		if len(claims) > 0 {
			continue
		}
		next, err := p.store.NextWake(p.ctx, q.Now)
		p.done(nil, err)
		if next.IsZero() {
			return
		}
		p.world.clock.advanceTo(next)
	}
	p.t.Fatal("the runs do not come to rest")
}
