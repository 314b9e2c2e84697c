package bide_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/store/mem"
)

var update = flag.Bool("update", false, "write the transcripts in testdata anew")

// Each file in testdata/transcripts is a story: a line "> command" and below it
// the commits it led to. The files document what the kernel persists, and when.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newStage(t).play(string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("transcript differs (-file +now); run with -update if that is meant:\n%s", diff)
			}
		})
	}
}

// stage is a runtime with a scripted world around it.
type stage struct {
	t       *testing.T
	clock   *bidetest.Clock
	store   *mem.Store
	rt      *bide.Runtime
	crash   *crashStore
	out     strings.Builder
	joined  chan struct{} // closed when the background tick may end
	entered chan string   // a blocking handler is at work
	ticked  chan string
}

func newStage(t *testing.T) *stage {
	s := &stage{
		t: t, clock: bidetest.NewClock(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)), store: mem.New(), entered: make(chan string, 10),
	}
	s.restart()
	return s
}

// restart is a new process over the same store.
func (s *stage) restart() {
	s.crash = &crashStore{Store: s.store, log: &s.out, completed: make(chan struct{})}
	rt, err := bide.New(s.crash, &bide.Options{
		Clock: s.clock, NewID: func() string { return "r1" }, Random: func() float64 { return 0.5 },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.rt = rt
	if err := rt.Register(stageWorkflows()...); err != nil {
		s.t.Fatal(err)
	}
	for typ, h := range s.handlers() {
		completed := s.crash.completed
		rt.Handle(typ, func(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
			if strings.HasSuffix(typ, "_after") { // its neighbour, so that the story is the same each time
				<-completed
			}
			s.crash.note("  handler %s key=%s attempt=%d\n", typ, call.Key, call.Attempt)
			return h(ctx, call)
		})
	}
}

func (s *stage) handlers() map[string]bide.Handler {
	return map[string]bide.Handler{
		"echo": func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
			return bide.Completed(call.Payload), nil
		},
		"charge": func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
			return bide.Completed(map[string]string{"receipt": call.Key}), nil
		},
		"flaky": func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
			if call.Attempt < 3 {
				return bide.Outcome{}, fmt.Errorf("try %d failed", call.Attempt)
			}
			return bide.Completed("at last"), nil
		},
		"review_after": func(context.Context, *bide.Invocation) (bide.Outcome, error) {
			return bide.Waiting(bide.Wait{Kind: bide.WaitQuestion, Message: "Looks good?", Choices: []string{"yes", "no"}}), nil
		},
		"die": func(context.Context, *bide.Invocation) (bide.Outcome, error) {
			s.crash.die()
			return bide.Completed("nobody hears this"), nil
		},
		"block": func(ctx context.Context, call *bide.Invocation) (bide.Outcome, error) {
			s.entered <- call.Type
			<-ctx.Done()
			<-s.joined
			return bide.Outcome{}, context.Cause(ctx)
		},
		"nan": func(context.Context, *bide.Invocation) (bide.Outcome, error) {
			return bide.Completed(math.NaN()), nil
		},
		"garbled": func(context.Context, *bide.Invocation) (bide.Outcome, error) {
			return bide.Completed("a\xffb"), nil
		},
		"mail": func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
			if len(call.Answered) == 0 {
				return bide.Waiting(leave(call.Payload, s.clock.Now().Add(time.Hour))), nil
			}
			return bide.Completed(call.Answered[0].Decision.Answer), nil
		},
		"mail_dies": func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
			if call.Attempt > 1 && len(call.Answered) == 0 {
				return bide.Decided(leave(call.Payload, time.Time{}), bide.Approval{Approved: new(true)}), nil
			}
			s.crash.die()
			return bide.Completed("nobody hears this"), nil
		},
		"kaput":  func(context.Context, *bide.Invocation) (bide.Outcome, error) { panic("kaput") },
		"denied": deny, "denied_after": deny,
	}
}

func deny(context.Context, *bide.Invocation) (bide.Outcome, error) {
	return bide.Outcome{}, &bide.Failure{Code: "card_declined", Message: "the bank said no", Permanent: true}
}

// leave asks whether a mail may be sent.
func leave(args json.RawMessage, until time.Time) bide.Wait {
	return bide.Wait{Kind: bide.WaitToolApproval, Message: "Send it?", ExpiresAt: until, Items: []bide.ToolItem{{
		ToolCallID: "c1", Name: "mail", Args: args, ArgsSchema: json.RawMessage(`{"type":"object","required":["to"]}`),
		Source: bide.ToolSource{Kind: "function", SHA256: "d1"}, Reason: "it cannot be taken back",
	}}}
}

func stageWorkflows() []bide.Workflow {
	simple := func(id string, plan func(*bide.Run) bide.StepPlan) bide.Workflow {
		return bide.Workflow{ID: id, Version: "1", Entry: "act", Nodes: bide.Nodes{
			"act":     func(r *bide.Run) (bide.StepPlan, error) { return plan(r), nil },
			"end":     func(*bide.Run) (bide.StepPlan, error) { return bide.CompleteWith("result"), nil },
			"mend":    func(r *bide.Run) (bide.StepPlan, error) { return bide.Complete("mended: " + r.Caught.Code), nil },
			"tooLate": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete("too late"), nil },
		}}
	}
	do := func(id string, effects ...bide.Effect) bide.Workflow {
		return simple(id, func(*bide.Run) bide.StepPlan { return bide.Do(effects...).Then("end") })
	}
	retry := bide.RetryPolicy{Attempts: 3, Backoff: bide.Duration(time.Second)}
	workflows := []bide.Workflow{
		do("ask", bide.Ask("Pay?", &bide.AskOptions{Choices: []string{"approve", "reject"}}).As("result")),
		do("form", bide.Form("Who?", json.RawMessage(`{"type":"object","required":["name","age"],"properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0}}}`), nil).As("result")),
		do("flaky", bide.Call("flaky", nil).WithRetry(retry).As("result")),
		do("charge", bide.Call("die", map[string]int{"amount": 5}).As("result")),
		do("charge_once", bide.Call("die", map[string]int{"amount": 5}).Once().As("result")),
		do("three", bide.Call("echo", 1).As("result.a"), bide.Call("review_after", nil).As("result.b"), bide.Ask("And you?", nil).As("result.c")),
		do("sleep", bide.SleepFor(time.Hour).As("result")),
		do("sleep_past", bide.SleepUntilText("2026-01-01T12:30:00+02:00").As("result")),
		do("sleep_offset", bide.SleepUntilText("2026-01-01T15:30:00+02:00").As("result")),
		do("sleep_wrong", bide.SleepUntilText("tomorrow").As("result")),
		do("block", bide.Call("block", nil).As("result")),
		do("slow", bide.Call("block", nil).WithAttemptTimeout(time.Minute).As("result")),
		do("nan", bide.Call("nan", nil).As("result")),
		do("garbled", bide.Call("garbled", nil).As("result")),
		do("kaput", bide.Call("kaput", nil).As("result")),
		do("event", bide.WaitEvent("paid", nil).As("result")),
		do("job", bide.Job("render", map[string]int{"pages": 3}).As("result")),
		do("mail", bide.Call("mail", map[string]string{"to": "a@b.com"}).OnceDecided().As("result")),
		do("mail_dies", bide.Call("mail_dies", map[string]string{"to": "a@b.com"}).OnceDecided().As("result")),
		do("excuse", bide.Call("denied_after", nil).WithErrorResult().As("result"), bide.Call("echo", 1).As("other")),
		do("big", bide.Call("echo", json.Number("9007199254740993")).As("result")),
		do("unknown", bide.Call("nobody_does_this", nil)),
		simple("caught", func(*bide.Run) bide.StepPlan {
			return bide.Do(bide.Call("denied", nil)).Then("end").OnError("mend")
		}),
		simple("denied", func(*bide.Run) bide.StepPlan {
			return bide.Do(bide.Call("echo", "once").As("kept"), bide.Call("denied_after", nil).As("result")).Then("end")
		}),
		simple("expire_default", func(*bide.Run) bide.StepPlan {
			return bide.Do(bide.Ask("Pay?", &bide.AskOptions{Choices: []string{"yes", "no"}, Timeout: bide.Duration(time.Hour), Default: "no"}).As("result")).Then("end")
		}),
		simple("expire_node", func(*bide.Run) bide.StepPlan {
			return bide.Do(bide.Ask("Pay?", &bide.AskOptions{Timeout: bide.Duration(time.Hour)}).As("result")).Then("end").OnTimeout("tooLate")
		}),
		simple("panics", func(*bide.Run) bide.StepPlan { panic("a bug") }),
		simple("scalar", func(*bide.Run) bide.StepPlan {
			return bide.Go("end").Set("result", 1).Set("result.deep", 2)
		}),
		simple("tell", func(*bide.Run) bide.StepPlan {
			return bide.Do(bide.Tell("Working on it."), bide.Query("input").As("result")).Then("end")
		}),
		{ID: "loop", Version: "1", Entry: "ask", Nodes: bide.Nodes{
			"ask": func(r *bide.Run) (bide.StepPlan, error) {
				answers, err := bide.Get[[]bide.Answer](r.Vars, "answers")
				if err != nil || len(answers) == 5 {
					return bide.CompleteWith("answers"), err
				}
				return bide.Do(bide.Ask("Again?", nil).AppendTo("answers")).Then("ask"), nil
			},
		}},
	}
	return workflows
}

// play carries out the commands of a transcript and returns it with what happened.
func (s *stage) play(text string) string {
	for _, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
			fmt.Fprintln(&s.out, line)
		case strings.HasPrefix(line, "> "):
			fmt.Fprintf(&s.out, "\n%s\n", line)
			s.do(strings.Fields(line[2:]), line)
		}
	}
	return s.out.String()
}

func (s *stage) do(args []string, line string) {
	ctx, who := context.Background(), bide.Command{}
	if i := slices.Index(args, "as"); i > 0 { // "... as anna"
		who.Actor = args[i+1]
		args = args[:i]
	}
	var run *bide.Run
	var err error
	switch args[0] {
	case "start":
		wf := s.workflow(args[1])
		run, err = s.rt.Start(ctx, wf, json.RawMessage(append(args, "null")[2]), nil)
	case "run":
		run, err = s.rt.Run(ctx, s.workflow(args[1]), nil, nil)
	case "tick":
		run, err = s.rt.Tick(ctx, "r1")
	case "tick&": // in the background, until "join"
		s.joined, s.ticked = make(chan struct{}), make(chan string, 1)
		go func() {
			run, err := s.rt.Tick(ctx, "r1")
			s.ticked <- describe(run, err)
		}()
		<-s.entered
		return
	case "join":
		close(s.joined)
		s.crash.note("%s", <-s.ticked)
		return
	case "answer": // answer N json
		run, err = s.rt.Resume(ctx, "r1", "r1."+args[1], json.RawMessage(strings.Join(args[2:], " ")), who)
	case "pause":
		run, err = s.rt.Pause(ctx, "r1", who)
	case "unpause":
		run, err = s.rt.Unpause(ctx, "r1", who)
	case "cancel":
		run, err = s.rt.Cancel(ctx, "r1", who)
	case "retry":
		run, err = s.rt.Retry(ctx, "r1", who)
	case "crash":
		s.restart()
		return
	case "advance":
		d, perr := time.ParseDuration(args[1])
		if perr != nil {
			s.t.Fatal(perr)
		}
		s.clock.Advance(d)
		return
	default:
		s.t.Fatalf("unknown command %q", line)
	}
	s.crash.note("%s", describe(run, err))
	s.check()
}

func (s *stage) workflow(id string) bide.Workflow {
	for _, wf := range stageWorkflows() {
		if wf.ID == id {
			return wf
		}
	}
	s.t.Fatalf("no workflow %q", id)
	return bide.Workflow{}
}

// check holds every story to the rules that always hold: the chain verifies,
// and the code decides as recorded.
func (s *stage) check() {
	if _, err := s.rt.Get(context.Background(), "r1"); err != nil {
		return
	}
	if _, err := s.rt.Verify(context.Background(), "r1"); err != nil {
		s.t.Errorf("Verify: %v", err)
	}
	if d, err := s.rt.Replay(context.Background(), "r1"); d != nil || err != nil {
		s.t.Errorf("Replay = %v, %v, want no divergence", d, err)
	}
}

func describe(run *bide.Run, err error) string {
	var b strings.Builder
	if err != nil {
		var e *bide.Error
		code := ""
		if errors.As(err, &e) {
			code = string(e.Code) + ": "
		}
		fmt.Fprintf(&b, "= error %s%v\n", code, err)
		return b.String()
	}
	fmt.Fprintf(&b, "= %s", run.Status)
	if run.Output != nil {
		fmt.Fprintf(&b, " output=%s", run.Output)
	}
	if run.Error != nil {
		fmt.Fprintf(&b, " error=%q", run.Error.Error())
	}
	for _, w := range run.Waits {
		fmt.Fprintf(&b, " wait=%s(%s)", w.ID, w.Kind)
	}
	if !run.WakeAt.IsZero() {
		fmt.Fprintf(&b, " wake=%s", run.WakeAt.Format(time.RFC3339))
	}
	return b.String() + "\n"
}

// crashStore writes every commit to a transcript, and can die: then nothing
// reaches the store any more.
type crashStore struct {
	bide.Store
	mu   sync.Mutex
	log  *strings.Builder
	dead bool

	completed chan struct{} // closed at the first effect.completed
}

// stackText is what moves with every edit of this file.
var stackText = regexp.MustCompile(`"stack":"[^"]*"`)

var errDead = errors.New("the process is dead")

func (c *crashStore) die() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	fmt.Fprintln(c.log, "  the process dies here")
}

func (c *crashStore) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.log, format, args...)
}

func (c *crashStore) Commit(ctx context.Context, commit *bide.Commit) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return &bide.Error{Code: bide.CodeStoreClosed, Err: errDead}
	}
	if err := c.Store.Commit(ctx, commit); err != nil {
		return err
	}
	fmt.Fprintf(c.log, "commit %d-%d %s\n", commit.Records[0].Seq, commit.Info.Seq, commit.Info.Status)
	for _, r := range commit.Records {
		fmt.Fprintf(c.log, "  %d %s", r.Seq, r.Kind)
		if r.Kind == bide.KindEffectCompleted && c.completed != nil {
			close(c.completed)
			c.completed = nil
		}
		if r.Step > 0 {
			fmt.Fprintf(c.log, " step=%d node=%s", r.Step, r.Node)
		}
		if r.Actor != "" {
			fmt.Fprintf(c.log, " actor=%s", r.Actor)
		}
		fmt.Fprintf(c.log, " %s\n", stackText.ReplaceAll(r.Data, []byte(`"stack":"…"`)))
	}
	return nil
}
