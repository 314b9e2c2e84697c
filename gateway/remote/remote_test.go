package remote_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/auth/authtest"
	"github.com/bide-dev/bide/gateway/remote"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/worker"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

const lease = 30 * time.Second

// calls is a workflow of one effect.
func calls(id string, e bide.Effect) bide.Workflow {
	return bide.Workflow{ID: id, Version: "1", Entry: "a", Nodes: bide.Nodes{
		"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Do(e.As("out")).ThenCompleteWith("out"), nil },
	}}
}

// host is a server with a worker for its runs, whose leases of remote calls follow a clock.
type host struct {
	*bide.Runtime
	clock *bidetest.Clock
	guard *auth.Guard
	url   string
	news  chan bide.RunInfo // of runs that ended or wait
}

func newHost(t *testing.T, workflows ...bide.Workflow) *host {
	t.Helper()
	store := mem.New()
	h := &host{Runtime: bide.Must(bide.New(store, nil)), clock: bidetest.NewClock(noon), guard: auth.New(store, nil), news: make(chan bide.RunInfo, 1000)}
	if err := h.Register(workflows...); err != nil {
		t.Fatal(err)
	}
	pool := remote.New(h.Runtime, []string{"shout", "divide"}, &remote.Options{Lease: lease, Clock: h.clock})
	h.Observe(func(n bide.Notice) {
		if n.Commit != nil && (n.Commit.Info.Status.Final() || n.Commit.Info.Status == bide.StatusWaiting) {
			h.news <- n.Commit.Info
		}
	})
	api := bide.Must(gateway.New(h.Runtime, store, &gateway.Options{Authenticate: h.guard.Protect, Remote: pool}))
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	t.Cleanup(api.Close)
	h.url = server.URL
	w, err := worker.New(h.Runtime, store, &worker.Options{Grace: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); group.Wait() })
	return h
}

// next waits for a run to end or to wait.
func (h *host) next(t *testing.T) *bide.Run {
	t.Helper()
	select {
	case info := <-h.news:
		return bide.Must(h.Get(t.Context(), info.ID))
	case <-time.After(time.Minute):
		t.Fatal("no run ended")
		return nil
	}
}

func (h *host) token(t *testing.T, ns string, roles ...auth.Role) string {
	t.Helper()
	text, _, err := h.guard.Tokens().Create(t.Context(), auth.TokenSpec{Name: "w", Roles: roles, Namespace: ns}, "")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// post sends a body as JSON and reads the answer into out.
func (h *host) post(t *testing.T, token, path string, body, out any) int {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", h.url+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if out != nil && res.StatusCode == http.StatusOK {
		if err := json.NewDecoder(res.Body).Decode(out); err != nil {
			t.Fatal(err)
		}
	}
	return res.StatusCode
}

// poll takes the next call.
func (h *host) poll(t *testing.T, token, worker string) (c remote.Call) {
	t.Helper()
	if status := h.post(t, token, "/v1/work", remote.PollRequest{Worker: worker, Types: []string{"shout"}}, &c); status != 200 {
		t.Fatalf("poll = %d", status)
	}
	return c
}

var shout = calls("shout", bide.Call("shout", map[string]any{"text": "hello", "n": json.Number("9007199254740993")}))

func TestARemoteWorkerCompletesAnEffect(t *testing.T) {
	h := newHost(t, shout)
	token := h.token(t, "", auth.Worker)
	run := bide.Must(h.Start(t.Context(), shout, nil, nil))
	c := h.poll(t, token, "one")
	if c.RunID != run.ID || c.Type != "shout" || c.Key != run.ID+"/1/0" || c.Attempt != 1 || time.Duration(c.Lease) != lease || !strings.Contains(string(c.Payload), "9007199254740993") {
		t.Fatalf("call %+v", c)
	}
	at := "/v1/work/" + c.ID
	for range 3 { // it takes longer than the lease, and says so
		h.clock.Advance(lease - time.Second)
		if status := h.post(t, token, at+"/heartbeat", remote.Heartbeat{Token: c.Token}, nil); status != 200 {
			t.Fatalf("heartbeat = %d", status)
		}
	}
	if status := h.post(t, token, at+"/complete", remote.Completion{Token: c.Token, Result: bide.JSON(`{"n":9007199254740993}`)}, nil); status != 204 {
		t.Fatalf("complete = %d", status)
	}
	if run = h.next(t); string(run.Output) != `{"n":9007199254740993}` {
		t.Errorf("run %s: %s", run.Status, run.Output)
	}
	if status := h.post(t, token, at+"/complete", remote.Completion{Token: c.Token}, nil); status != 204 {
		t.Errorf("complete again = %d, want 204: it may not have heard that it was heard", status)
	}
	if status := h.post(t, token, at+"/complete", remote.Completion{Token: c.Token + 1}, nil); status != 409 {
		t.Errorf("complete with another token = %d, want 409", status)
	}
}

func TestALostWorkerIsStaleAndItsCallOfferedAgain(t *testing.T) {
	h := newHost(t, shout)
	token := h.token(t, "", auth.Worker)
	bide.Must(h.Start(t.Context(), shout, nil, nil))
	first := h.poll(t, token, "one")
	h.clock.Advance(lease)
	second := h.poll(t, token, "two")
	if second.Key != first.Key || second.Token <= first.Token {
		t.Errorf("first %+v, second %+v", first, second)
	}
	for verb, body := range map[string]any{
		"heartbeat": remote.Heartbeat{Token: first.Token},
		"complete":  remote.Completion{Token: first.Token, Result: bide.JSON(`"stale"`)},
		"fail":      remote.Failure{Token: first.Token, Message: "stale"},
	} {
		if status := h.post(t, token, "/v1/work/"+first.ID+"/"+verb, body, nil); status != 409 {
			t.Errorf("%s with a stale token = %d, want 409", verb, status)
		}
	}
	if status := h.post(t, token, "/v1/work/"+second.ID+"/complete", remote.Completion{Token: second.Token, Result: bide.JSON(`"fresh"`)}, nil); status != 204 {
		t.Errorf("complete = %d", status)
	}
	if run := h.next(t); string(run.Output) != `"fresh"` {
		t.Errorf("run %s: %s", run.Status, run.Output)
	}
}

func TestAnAttemptThatLosesWorkerAfterWorkerFails(t *testing.T) {
	h := newHost(t, shout)
	token := h.token(t, "", auth.Worker)
	bide.Must(h.Start(t.Context(), shout, nil, nil))
	for range 3 {
		h.poll(t, token, "one")
		h.clock.Advance(lease)
	}
	if run := h.next(t); run.Status != bide.StatusFailed || !strings.Contains(run.Error.Message, "3 remote workers were lost") {
		t.Errorf("run %s: %v", run.Status, run.Error)
	}
}

func TestALostCallThatMayBeMadeOnceIsForAPersonToDecide(t *testing.T) {
	once := calls("once", bide.Call("shout", 1).Once())
	for answer, want := range map[string]struct {
		status bide.Status
		output string
	}{
		`{"type":"done","result":"it happened"}`:  {bide.StatusCompleted, `"it happened"`},
		`{"type":"fail","message":"it did not"}`:  {bide.StatusFailed, ""},
		`{"type":"again"}`:                        {bide.StatusCompleted, `"made again"`},
		`{"type":"perhaps"}`:                      {bide.StatusWaiting, ""},
		`{"type":"done","result":1,"unknown":""}`: {bide.StatusWaiting, ""},
	} {
		h := newHost(t, once)
		token := h.token(t, "", auth.Worker)
		bide.Must(h.Start(t.Context(), once, nil, nil))
		h.poll(t, token, "one")
		h.clock.Advance(lease)
		run := h.next(t)
		if run.Status != bide.StatusWaiting || !strings.Contains(run.Waits[0].Message, `"one"`) {
			t.Fatalf("run %s: %+v", run.Status, run.Waits)
		}
		_, err := h.Resume(t.Context(), run.ID, run.Waits[0].ID, bide.JSON(answer))
		if (err != nil) != (want.status == bide.StatusWaiting) {
			t.Errorf("%s: %v", answer, err)
		}
		if err != nil {
			continue
		}
		if strings.Contains(answer, "again") {
			c := h.poll(t, token, "two")
			h.post(t, token, "/v1/work/"+c.ID+"/complete", remote.Completion{Token: c.Token, Result: bide.JSON(`"made again"`)}, nil)
		}
		if run = h.next(t); run.Status != want.status || string(run.Output) != want.output {
			t.Errorf("%s: run %s %s %v", answer, run.Status, run.Output, run.Error)
		}
	}
}

func TestFailuresFollowTheRetryPolicy(t *testing.T) {
	retried := calls("retried", bide.Call("shout", 1).WithRetry(bide.RetryPolicy{Attempts: 5, Backoff: bide.Duration(time.Millisecond)}))
	h := newHost(t, retried)
	token := h.token(t, "", auth.Worker)
	bide.Must(h.Start(t.Context(), retried, nil, nil))
	for i, f := range []remote.Failure{{Message: "busy"}, {Message: "never", Code: "no_such_text", Permanent: true}} {
		c := h.poll(t, token, "one")
		if c.Attempt != i+1 {
			t.Errorf("attempt %d, want %d", c.Attempt, i+1)
		}
		f.Token = c.Token
		if status := h.post(t, token, "/v1/work/"+c.ID+"/fail", f, nil); status != 204 {
			t.Fatalf("fail = %d", status)
		}
	}
	run := h.next(t)
	for !run.Status.Final() { // between the attempts
		run = h.next(t)
	}
	if run.Status != bide.StatusFailed || run.Error.Code != "no_such_text" {
		t.Errorf("run %s: %+v", run.Status, run.Error)
	}
}

func TestACancelledRunTakesTheCallFromItsWorker(t *testing.T) {
	h := newHost(t, shout)
	token := h.token(t, "", auth.Worker)
	run := bide.Must(h.Start(t.Context(), shout, nil, nil))
	c := h.poll(t, token, "one")
	bide.Must(h.Cancel(t.Context(), run.ID))
	h.next(t)
	for status := 200; status != 409; { // the handler's context ends a moment later
		if status = h.post(t, token, "/v1/work/"+c.ID+"/heartbeat", remote.Heartbeat{Token: c.Token}, nil); status != 200 && status != 409 {
			t.Fatalf("heartbeat = %d", status)
		}
	}
}

func TestRequestsForWorkAreRefused(t *testing.T) {
	h := newHost(t, shout)
	token := h.token(t, "", auth.Worker)
	good := remote.PollRequest{Worker: "w", Types: []string{"shout"}, Wait: bide.Duration(time.Millisecond)}
	for _, c := range []struct {
		name, token, path string
		body              any
		status            int
	}{
		{"no credentials", "", "/v1/work", good, 401},
		{"no right", h.token(t, "", auth.Operator), "/v1/work", good, 403},
		{"no name", token, "/v1/work", remote.PollRequest{Types: good.Types}, 422},
		{"no types", token, "/v1/work", remote.PollRequest{Worker: "w"}, 422},
		{"a type that is not remote", token, "/v1/work", remote.PollRequest{Worker: "w", Types: []string{"charge"}}, 422},
		{"an unknown member", token, "/v1/work", map[string]any{"worker": "w", "types": good.Types, "x": 1}, 422},
		{"another shape", token, "/v1/work", []int{1}, 422},
		{"too large", token, "/v1/work", remote.PollRequest{Worker: strings.Repeat("x", 10<<20)}, 413},
		{"no such call", token, "/v1/work/x/complete", remote.Completion{Token: 1}, 409},
		{"no token", token, "/v1/work/x/heartbeat", remote.Heartbeat{}, 409},
	} {
		if status := h.post(t, c.token, c.path, c.body, nil); status != c.status {
			t.Errorf("%s: %d, want %d", c.name, status, c.status)
		}
	}
}

func TestARequestForWorkEndsWithoutWork(t *testing.T) {
	h := newHost(t, shout)
	token := h.token(t, "", auth.Worker)
	got := make(chan int)
	go func() {
		got <- h.post(t, token, "/v1/work", remote.PollRequest{Worker: "w", Types: []string{"shout"}, Wait: bide.Duration(time.Second)}, nil)
	}()
	for {
		h.clock.Advance(time.Second)
		select {
		case status := <-got:
			if status != 204 {
				t.Errorf("poll = %d, want 204", status)
			}
			return
		default:
		}
	}
}

func TestWorkIsForWorkersOfTheNamespace(t *testing.T) {
	h := newHost(t, shout)
	authtest.Matrix(t, []authtest.Operation{{Name: "complete", Right: auth.Work}}, func(t *testing.T, _ authtest.Operation, as *auth.Principal) int {
		token := ""
		if as != nil {
			var err error
			if token, _, err = h.guard.Tokens().Create(t.Context(), auth.TokenSpec{Name: "x", Actor: as.Actor, Roles: as.Roles, Namespace: as.Namespace}, ""); err != nil {
				t.Fatal(err)
			}
		}
		return h.post(t, token, "/v1/work/x/complete", remote.Completion{Token: 1}, nil)
	})
	own, foreign := h.token(t, "own", auth.Worker), h.token(t, "foreign", auth.Worker)
	mine := bide.Must(h.Start(t.Context(), shout, nil, &bide.StartOptions{Labels: map[string]string{auth.NamespaceLabel: "own"}}))
	theirs := bide.Must(h.Start(t.Context(), shout, nil, &bide.StartOptions{Labels: map[string]string{auth.NamespaceLabel: "foreign"}}))
	c, d := h.poll(t, own, "o"), h.poll(t, foreign, "f")
	if c.RunID != mine.ID || d.RunID != theirs.ID {
		t.Errorf("own got %s, foreign %s", c.RunID, d.RunID)
	}
	if status := h.post(t, foreign, "/v1/work/"+c.ID+"/complete", remote.Completion{Token: c.Token}, nil); status != 409 {
		t.Errorf("another namespace completes: %d", status)
	}
}

func TestThePythonWorkerServesEffects(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("python3 is not installed; scripts/python does it")
	}
	divide := calls("divide", bide.Call("divide", map[string]int{"a": 1, "b": 0}))
	h := newHost(t, shout, divide)
	cmd := exec.Command(python, "../../examples/python-worker/worker.py")
	cmd.Env = append(os.Environ(), "BIDE_URL="+h.url, "BIDE_TOKEN="+h.token(t, "", auth.Worker), "BIDE_WORKER=snake")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	bide.Must(h.Start(t.Context(), shout, nil, nil))
	if run := h.next(t); string(run.Output) != `{"text":"HELLO","key":"`+run.ID+`/1/0"}` {
		t.Errorf("shout: %s %s %v", run.Status, run.Output, run.Error)
	}
	bide.Must(h.Start(t.Context(), divide, nil, nil))
	if run := h.next(t); run.Error == nil || !strings.Contains(run.Error.Message, "ZeroDivisionError") {
		t.Errorf("divide: %s %v", run.Status, run.Error)
	}
}
