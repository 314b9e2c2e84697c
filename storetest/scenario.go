package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bide-dev/bide"
)

// order is the first scenario's workflow: a person is asked, three effects happen at
// once, a timer runs, a form is filled in, an effect fails and is retried by a person.
var order = bide.Workflow{
	ID: "order", Version: "1", Entry: "ask",
	Nodes: bide.Nodes{
		"ask": func(r *bide.Run) (bide.StepPlan, error) {
			return bide.Do(
				bide.Tell("an order came in"),
				bide.Ask("Pay?", &bide.AskOptions{Choices: []string{"yes", "no"}}).As("decision"),
			).Then("pay").Set("asked_at", r.Now()), nil
		},
		"pay": func(r *bide.Run) (bide.StepPlan, error) {
			return bide.Do(
				bide.Call("charge", "money").Once().As("charged"),
				bide.Call("flaky", "stock").WithRetry(bide.RetryPolicy{Attempts: 5, Backoff: bide.Duration(time.Minute), Jitter: -1}).As("reserved"),
				bide.Call("mail", "thanks").As("mailed"),
			).Then("count"), nil
		},
		"count": func(r *bide.Run) (bide.StepPlan, error) {
			n, err := bide.Get[int](r.Vars, "n")
			if n < 3 {
				return bide.Go("count").Set("n", n+1).Append("log", n), err
			}
			return bide.Go("rest"), err
		},
		"rest": func(r *bide.Run) (bide.StepPlan, error) {
			return bide.Do(bide.SleepFor(time.Hour)).Then("form"), nil
		},
		"form": func(r *bide.Run) (bide.StepPlan, error) {
			schema := map[string]any{"type": "object", "required": []string{"street"}}
			return bide.Do(bide.Form("Where to?", schema, nil).As("address")).Then("ship"), nil
		},
		"ship": func(r *bide.Run) (bide.StepPlan, error) {
			return bide.Do(
				bide.Call("broken", "truck").As("shipped"),
				bide.Call("charge", "freight").Once().As("freight"),
			).Then("end"), nil
		},
		"end": func(r *bide.Run) (bide.StepPlan, error) {
			out := map[string]any{}
			for _, name := range []string{"decision", "charged", "reserved", "mailed", "log", "address", "shipped", "freight"} {
				v, err := bide.Get[any](r.Vars, name)
				if err != nil {
					return bide.StepPlan{}, err
				}
				out[name] = v
			}
			return bide.Complete(out), nil
		},
	},
}

// client is who starts and answers a scenario's runs. It outlives the
// processes: it repeats all of its commands, with their ids, until all have been answered.
type client struct {
	t     *testing.T
	world *world
	waits map[string]string // the id of the wait by node, once it was seen
	lives int               // processes so far
}

// ending is how a scenario's runs ended.
type ending struct {
	IDs    []string
	Status []bide.Status
	Output []string
}

// again is the panic that ends the client's attempt at which the process died.
type again struct{}

// play gives all commands to a process. It returns nil when the process died.
func (c *client) play(store *mortal, script scenario) (end *ending) {
	c.t.Helper()
	rt, err := bide.New(store, &bide.Options{Clock: c.world.clock, Random: func() float64 { return 0 }})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := rt.Register(trip, leg, stay); err != nil {
		c.t.Fatal(err)
	}
	c.world.handle(rt)
	c.lives++
	defer func() {
		if v := recover(); v != nil {
			if _, ok := v.(again); !ok {
				panic(v)
			}
			end = nil
		}
		if c.t.Failed() {
			return
		}
		// Handlers end with their process.
		if err := rt.Close(context.Background()); err != nil {
			c.t.Error(err)
		}
	}()
	p := &process{client: c, rt: rt, store: store, ctx: context.Background()}
	return script(p)
}

// process is the client's side of one process.
type process struct {
	*client
	rt    *bide.Runtime
	store *mortal
	ctx   context.Context
}

// done returns what a call gave. When the process died, the client has to begin
// again; any other error ends the test.
func (p *process) done(run *bide.Run, err error) *bide.Run {
	p.t.Helper()
	if err != nil {
		if p.store.isDead() {
			panic(again{})
		}
		p.t.Fatalf("a call failed: %v", err)
	}
	return run
}

// orders plays the client of two orders.
func (p *process) orders() *ending {
	cmd := func(id string) bide.Command { return bide.Command{ID: id, Actor: "anna", Reason: "scenario"} }
	run := p.done(p.rt.Start(p.ctx, order, "first", &bide.StartOptions{Key: "order-1", Command: cmd("start")}))
	id := run.ID

	p.settle(id)
	p.done(p.rt.Pause(p.ctx, id, cmd("pause")))
	p.done(p.rt.Resume(p.ctx, id, p.waits["ask"], "yes", cmd("answer")))
	p.done(p.rt.Resume(p.ctx, id, p.waits["ask"], "yes"))
	p.done(p.rt.Unpause(p.ctx, id, cmd("unpause")))

	p.settle(id)
	p.refused(id, "form", map[string]any{"town": "Ulm"}, bide.ErrInvalidAnswer)
	p.done(p.rt.Resume(p.ctx, id, p.waits["form"], map[string]any{"street": "Main St 1"}, cmd("address")))
	p.refused(id, "ask", "no", bide.ErrAlreadyDecided)

	p.settle(id)
	p.world.repair()
	p.done(p.rt.Retry(p.ctx, id, cmd("retry")))

	second := p.done(p.rt.Run(p.ctx, order, "second", &bide.StartOptions{Key: "order-2"}))
	p.done(p.rt.Cancel(p.ctx, second.ID, cmd("cancel")))

	return p.end(id, second.ID)
}

// end moves runs to their ends and checks their ledgers.
func (p *process) end(ids ...string) *ending {
	p.t.Helper()
	out := &ending{IDs: ids}
	for _, id := range ids {
		run := p.settle(id)
		out.Status = append(out.Status, run.Status)
		out.Output = append(out.Output, string(run.Output))
		p.verify(id)
	}
	return out
}

// settle moves a run on until it has ended, is paused, or needs the client. It
// lets the clock go on to the next timer and tells what happened to effects in doubt.
func (p *process) settle(id string) *bide.Run {
	p.t.Helper()
	for {
		run := p.done(p.rt.Tick(p.ctx, id))
		if run.Status != bide.StatusWaiting {
			return run
		}
		switch {
		case p.attend(run):
		case run.WakeAt.IsZero():
			return run
		default:
			p.world.clock.advanceTo(run.WakeAt)
		}
	}
}

// attend tells what happened to a run's effects in doubt, and remembers its
// questions. It reports whether it told anything.
func (p *process) attend(run *bide.Run) (told bool) {
	p.t.Helper()
	for _, w := range run.Waits {
		switch w.Kind {
		case bide.WaitAttention:
			result := bide.Attention{Type: bide.AttentionDone, Result: chargeResult(run.Effects[w.Effect].Key)}
			p.done(p.rt.Resume(p.ctx, run.ID, w.ID, result, bide.Command{ID: "attention-" + w.ID}))
			told = true
		case bide.WaitQuestion, bide.WaitForm:
			if p.waits == nil {
				p.waits = map[string]string{}
			}
			p.waits[w.Node] = w.ID
		}
	}
	return told
}

// refused gives an answer that must be refused; when the wait is decided, as too late.
func (p *process) refused(id, node string, answer any, want *bide.Error) {
	p.t.Helper()
	_, err := p.rt.Resume(p.ctx, id, p.waits[node], answer)
	if p.store.isDead() {
		panic(again{})
	}
	if !errors.Is(err, want) && !errors.Is(err, bide.ErrAlreadyDecided) {
		p.t.Errorf("Resume of %s with %v = %v, want code %s", node, answer, err, want.Code)
	}
}

// verify checks a run's ledger: its chain, its state, and the decisions of its nodes.
func (p *process) verify(id string) {
	p.t.Helper()
	if _, err := p.rt.Verify(p.ctx, id); err != nil {
		p.t.Errorf("Verify(%s) = %v", id, err)
	}
	if d, err := p.rt.Replay(p.ctx, id); d != nil || err != nil {
		p.t.Errorf("Replay(%s) = %v, %v", id, d, err)
	}
}
