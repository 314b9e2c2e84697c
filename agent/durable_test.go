package agent_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/agent"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/tool"
)

func TestAConversationIsStoredOnce(t *testing.T) {
	const turns, half = 200, 2 << 10
	page := strings.Repeat("0123456789abcdef", half/16)
	d := newDesk(t, desk{}, agent.Config{Tools: auto(tool.Func("lookup", "", tool.ReadOnly, func(context.Context, struct {
		Word string `json:"word"`
	}) (string, error) {
		return page, nil
	}))}, func(turn int, _ *llm.Request) (*llm.Response, error) {
		if turn > turns {
			return says("done")
		}
		r, err := wants("lookup", fmt.Sprintf(`{"word":"w%d"}`, turn))
		r.Parts = append([]llm.Part{llm.Text(page)}, r.Parts...)
		return r, err
	})
	output(t, d.run(agent.Input{Spec: agent.Spec{Limits: &agent.Limits{Iterations: 1000}}}))
	total, first, last := 0, 0, 0 // bytes of all, of turns 11 to 20, and of turns 181 to 190
	turn := 0
	for rec, err := range d.rt.Ledger(ctx, "r", 1) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.Kind == bide.KindStepPlanned && rec.Node == "think" {
			turn++
		}
		total += len(rec.Raw)
		switch {
		case turn > 10 && turn <= 20:
			first += len(rec.Raw)
		case turn > 180 && turn <= 190:
			last += len(rec.Raw)
		}
	}
	messages := bide.Must(llm.Messages(bide.Must(d.rt.Get(ctx, "r")).Vars, "messages"))
	if len(messages) != 2*turns+2 || messages[2].Parts[0].ResultText() != page {
		t.Errorf("the conversation has %d messages", len(messages))
	}
	text := len(bide.Must(json.Marshal(messages))) // of the conversation, as it is sent
	t.Logf("%d bytes of records: %.2f times the conversation of %d bytes, %.2f times what is said in it", total, float64(total)/float64(text), text, float64(total)/(turns*2*half))
	if float64(total) > 1.5*float64(text) {
		t.Errorf("%d bytes of records for a conversation of %d bytes: %.2f times, want at most 1.5", total, text, float64(total)/float64(text))
	}
	if last > first+first/50 {
		t.Errorf("ten turns took %d bytes at the begin and %d at the end", first, last)
	}
	d.replays()
}

// On the disk there are pages and indexes too, and texts do not repeat themselves.
func TestAConversationTakesLittleOfTheDisk(t *testing.T) {
	const turns, half = 200, 2 << 10
	random := rand.NewChaCha8([32]byte{})
	page := func() string {
		b := make([]byte, half)
		_, _ = random.Read(b) // never fails
		return base64.StdEncoding.EncodeToString(b)[:half]
	}
	path := filepath.Join(t.TempDir(), "bide.db")
	store, err := sqlite.Open(ctx, path, &sqlite.Options{Durability: sqlite.DurabilityNormal})
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, desk{store: store}, agent.Config{Tools: auto(tool.Func("lookup", "", tool.ReadOnly, func(context.Context, struct {
		Word string `json:"word"`
	}) (string, error) {
		return page(), nil
	}))}, func(turn int, _ *llm.Request) (*llm.Response, error) {
		if turn > turns {
			return says("done")
		}
		r, err := wants("lookup", fmt.Sprintf(`{"word":"w%d"}`, turn))
		r.Parts = append([]llm.Part{llm.Text(page())}, r.Parts...)
		return r, err
	})
	output(t, d.run(agent.Input{Spec: agent.Spec{Limits: &agent.Limits{Iterations: 1000}}}))
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if ratio := float64(file.Size()) / (turns * 2 * half); ratio > 1.5 {
		t.Errorf("%d bytes of disk, %.2f times the text, want at most 1.5", file.Size(), ratio)
	} else {
		t.Logf("%d bytes of disk, %.2f times the text", file.Size(), ratio)
	}
}

func TestALongConversationIsCutOnRecord(t *testing.T) {
	var most int
	d := newDesk(t, desk{}, agent.Config{Tools: auto(words())}, func(turn int, req *llm.Request) (*llm.Response, error) {
		most = max(most, len(req.Messages))
		if req.Messages[0].Text() != "Do it." || len(req.Messages) > 1 && req.Messages[1].Role == llm.RoleTool {
			t.Errorf("the conversation begins with %q and a message of the %s", req.Messages[0].Text(), req.Messages[1].Role)
		}
		if len(lastWord(req)) > 60 {
			return says("done")
		}
		return wants("lookup", fmt.Sprintf(`{"word":"%s"}`, lastWord(req)+"x"))
	})
	run := d.run(agent.Input{Spec: agent.Spec{Context: &agent.Context{MaxTokens: 30, Keep: 4}, Limits: &agent.Limits{Iterations: 20}}})
	output(t, run)
	first := bide.Must(bide.Get[int](run.Vars, "first"))
	if first == 0 || most > 8 {
		t.Errorf("at most %d messages were sent; the last from number %d on", most, first)
	}
	d.replays()
}

// lastWord is the word of the last call.
func lastWord(req *llm.Request) string {
	for _, m := range slices.Backward(req.Messages) {
		for _, c := range m.ToolCalls() {
			return strings.Trim(strings.TrimPrefix(string(c.Args), `{"word":"`), `"}`)
		}
	}
	return ""
}

func TestALongConversationIsSummarised(t *testing.T) {
	summaries := 0
	d := newDesk(t, desk{}, agent.Config{Tools: auto(words())}, func(_ int, req *llm.Request) (*llm.Response, error) {
		last := req.Messages[len(req.Messages)-1]
		switch {
		case last.Role == llm.RoleUser && strings.HasPrefix(last.Text(), "Summarise"):
			summaries++
			return says(fmt.Sprintf("summary %d", summaries))
		case summaries == 2:
			return says(req.Messages[0].Text() + " " + req.Messages[2].Text())
		}
		r, err := wants("lookup", fmt.Sprintf(`{"word":"w%d"}`, len(req.Messages)))
		n := int64(20 * len(req.Messages))
		r.Usage.Input = &n
		return r, err
	})
	out := output(t, d.run(agent.Input{Spec: agent.Spec{Context: &agent.Context{MaxTokens: 120, Mode: agent.Summarize}}}))
	if out.Answer != "Do it. summary 2" {
		t.Errorf("answer = %q after %d summaries", out.Answer, summaries)
	}
	d.replays()
}

func TestAConversationThatTheModelRefusesAsTooLongIsCut(t *testing.T) {
	for _, mode := range []string{agent.Trim, agent.Summarize} {
		d := newDesk(t, desk{}, agent.Config{Tools: auto(words())}, func(turn int, req *llm.Request) (*llm.Response, error) {
			if len(req.Messages) > 4 {
				return nil, &llm.Error{Code: llm.CodeContextTooLong, Message: "too long"}
			}
			if turn == 2 && len(req.Messages) == 4 {
				return says("done")
			}
			return wants("lookup", fmt.Sprintf(`{"word":"w%d"}`, len(req.Messages)))
		})
		out := output(t, d.run(agent.Input{Spec: agent.Spec{Context: &agent.Context{Mode: mode, MaxTokens: 100_000}, Limits: &agent.Limits{Iterations: 10, Repeats: 100}}}))
		if out.ExitReason != agent.ExitAnswered && out.ExitReason != agent.ExitIterations {
			t.Errorf("output = %+v", out)
		}
	}
	d := newDesk(t, desk{}, agent.Config{}, func(int, *llm.Request) (*llm.Response, error) {
		return nil, &llm.Error{Code: llm.CodeContextTooLong, Message: "too long"}
	})
	if run := d.run(agent.Input{}); run.Status != bide.StatusFailed {
		t.Errorf("with nothing to cut the run is %s, want failed", run.Status)
	}
}

// mortal is a store whose process can die: then nothing is written any more.
type mortal struct {
	*mem.Store
	mu      sync.Mutex
	dead    bool
	left    int  // commits until it dies, if not 0
	applied bool // the last of which is made
}

var errDead = errors.New("the process is dead")

// Commit implements bide.Store.
func (m *mortal) Commit(ctx context.Context, c *bide.Commit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.left == 1
	m.left = max(m.left-1, 0)
	if last && m.applied && !m.dead {
		if err := m.Store.Commit(ctx, c); err != nil {
			return err
		}
	}
	if m.dead = m.dead || last; m.dead {
		return bide.Errorf(bide.CodeStoreClosed, "%w", errDead)
	}
	return m.Store.Commit(ctx, c)
}

func TestATeamThatDiesAtAnyCommitComesToTheSameEnd(t *testing.T) {
	limits := agent.Limits{ToolCalls: 4}
	play := func(store *mortal) (sum agent.Used, answer string, deaths int) {
		for {
			d := team(t, desk{store: store}, limits, 2)
			auto(words()).Register(d.rt)
			run, err := d.rt.Run(ctx, d.agent.Workflow(), agent.Input{Task: "Do it."}, &bide.StartOptions{RunID: "r"})
			for round := 0; err == nil && !run.Status.Final() && round < 50; round++ {
				for _, info := range bide.Must(d.rt.Runs(ctx, bide.RunQuery{})).Runs {
					if _, err = d.rt.Tick(ctx, info.ID); err != nil {
						break
					}
				}
				run = bide.Must(d.rt.Get(ctx, "r"))
			}
			if err != nil {
				if err := d.rt.Close(ctx); err != nil { // nothing of it is at work when the store goes on
					t.Fatal(err)
				}
				store.mu.Lock()
				store.dead = false
				store.mu.Unlock()
				deaths++
				continue
			}
			for _, info := range bide.Must(d.rt.Runs(ctx, bide.RunQuery{})).Runs {
				r := bide.Must(d.rt.Get(ctx, info.ID))
				u := bide.Must(bide.Get[agent.Used](r.Vars, "used"))
				sum.Iterations += u.Iterations
				sum.ToolCalls += u.ToolCalls
				if div, err := d.rt.Replay(ctx, info.ID); div != nil || err != nil {
					t.Errorf("Replay = %v, %v", div, err)
				}
			}
			return sum, output(t, run).Answer, deaths
		}
	}
	want, answer, _ := play(&mortal{Store: mem.New()})
	for _, applied := range []bool{false, true} {
		for n := 1; ; n++ {
			got, said, deaths := play(&mortal{Store: mem.New(), left: n, applied: applied})
			if deaths == 0 {
				if n < 20 {
					t.Errorf("the whole takes only %d commits", n)
				}
				break
			}
			if got.ToolCalls != want.ToolCalls || said != answer {
				t.Errorf("death at commit %d (applied %v): used %+v and said %q, want %+v and %q", n, applied, got, said, want, answer)
			}
		}
	}
}

func TestACrashInTheMiddleOfACallIsMetAsItsSafetySays(t *testing.T) {
	for _, c := range []struct {
		safety tool.Safety
		answer string // to the attention wait; empty when there must be none
		calls  int
		want   string
	}{
		{tool.ReadOnly, "", 2, "done by call 2"},
		{tool.Idempotent, "", 2, "done by call 2"},
		{tool.Once, `{"type":"done","result":"it did"}`, 1, "A person said that the call happened.\n\nit did"},
		{tool.Once, `{"type":"again"}`, 2, "done by call 2"},
		{tool.Once, `{"type":"fail","message":"it did not"}`, 1, "The call failed: it did not"},
	} {
		t.Run(string(c.safety)+" "+c.answer, func(t *testing.T) {
			store := &mortal{Store: mem.New()}
			var keys []string
			pay := tool.Func("pay", "", c.safety, func(context.Context, struct{}) (any, error) { return nil, nil })
			pay.Run = func(_ context.Context, req *tool.Request) (tool.Reply, error) {
				keys = append(keys, req.Key)
				store.dead = len(keys) == 1
				return tool.Reply{Content: fmt.Sprintf("done by call %d", len(keys))}, nil
			}
			answer := func(turn int, req *llm.Request) (*llm.Response, error) {
				if turn == 1 {
					return wants("pay", `{}`)
				}
				return says(req.Messages[2].Parts[0].ResultText())
			}
			first := newDesk(t, desk{store: store}, agent.Config{Tools: auto(pay)}, answer)
			if _, err := first.rt.Run(ctx, first.agent.Workflow(), agent.Input{Task: "Pay."}, &bide.StartOptions{RunID: "r"}); err == nil {
				t.Fatal("the process did not die")
			}
			store.dead = false
			second := newDesk(t, desk{store: store}, agent.Config{Tools: auto(pay)}, answer)
			run := bide.Must(second.rt.Tick(ctx, "r"))
			if c.answer != "" {
				if len(run.Waits) != 1 || run.Waits[0].Kind != bide.WaitAttention {
					t.Fatalf("waits = %+v, want one for attention", run.Waits)
				}
				second.answer(run.Waits[0], bide.JSON(c.answer))
				run = bide.Must(second.rt.Tick(ctx, "r"))
			}
			if out := output(t, run); out.Answer != c.want {
				t.Errorf("answer = %q, want %q", out.Answer, c.want)
			}
			if len(keys) != c.calls || len(slices.Compact(slices.Clone(keys))) != 1 {
				t.Errorf("the tool was called with the keys %q, want %d times the same", keys, c.calls)
			}
			if n := first.model.calls() + second.model.calls(); n != 2 {
				t.Errorf("the model was asked %d times, want 2", n)
			}
			second.replays()
		})
	}
}

func TestApprovalsOfSubAgentsAreListedByTheRoot(t *testing.T) {
	set := bide.Must(tool.New(nil, words()))
	worker := bide.Must(agent.New(agent.Config{ID: "worker", Tools: set}))
	boss := agent.Config{ID: "boss", Agents: []*agent.Agent{worker}}
	d := newDesk(t, desk{}, boss, func(turn int, req *llm.Request) (*llm.Response, error) {
		switch {
		case req.Messages[0].Text() == "find it" && turn == 1:
			return wants("lookup", `{"word":"x"}`)
		case turn == 1:
			return wants("worker", `{"task":"find it"}`)
		}
		return says("so: " + req.Messages[2].Parts[0].ResultText())
	})
	set.Register(d.rt)
	d.run(agent.Input{})
	d.tree()
	var found []bide.Wait
	for _, w := range bide.Must(d.rt.Waits(ctx, bide.WaitQuery{Root: "r"})).Waits {
		if w.Kind == bide.WaitToolApproval {
			found = append(found, w)
		}
	}
	if id, _ := bide.WaitRun(append(found, bide.Wait{})[0].ID); len(found) != 1 || id == "r" {
		t.Fatalf("approvals below the root = %+v", found)
	}
	d.answer(found[0], bide.Approval{Approved: new(true)})
	if out := output(t, d.tree()); out.Answer != "so: so: about x" {
		t.Errorf("answer = %q", out.Answer)
	}
}

func TestAnAgentThatFailsIsAnErrorForTheOneThatCalledIt(t *testing.T) {
	worker := bide.Must(agent.New(agent.Config{ID: "worker"}))
	d := newDesk(t, desk{}, agent.Config{ID: "boss", Agents: []*agent.Agent{worker}}, func(turn int, req *llm.Request) (*llm.Response, error) {
		switch {
		case req.Messages[0].Text() == "fail":
			return nil, &llm.Error{Code: llm.CodeContentFilter, Message: "never"}
		case turn == 1:
			return wants("worker", `{"task":"fail"}`)
		}
		return says(fmt.Sprint(req.Messages[2].Parts[0].IsError, " ", req.Messages[2].Parts[0].ResultText()))
	})
	d.run(agent.Input{})
	if out := output(t, d.tree()); !strings.HasPrefix(out.Answer, "true The agent failed: ") || !strings.Contains(out.Answer, "never") {
		t.Errorf("answer = %q", out.Answer)
	}
}

func TestWithoutDocumentsSharedLimitsSaySo(t *testing.T) {
	d := team(t, desk{store: struct{ bide.Store }{mem.New()}}, agent.Limits{ToolCalls: 4}, 1)
	run := d.run(agent.Input{})
	if run.Status != bide.StatusFailed || !strings.Contains(run.Error.Message, "the store keeps no documents") {
		t.Errorf("the run is %s with %v", run.Status, run.Error)
	}
}
