package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/webhook"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/worker"
)

var (
	acme  = &auth.Principal{Actor: "user:ada", Roles: []auth.Role{auth.Administrator}, Namespace: "acme"}
	other = &auth.Principal{Actor: "user:bob", Roles: []auth.Role{auth.Administrator}, Namespace: "other"}
	root  = &auth.Principal{Actor: "user:root", Roles: []auth.Role{auth.Administrator}}
)

// ask asks, after a wait that a rule resolves at once and a timer, which are nobody's to answer.
var ask = bide.Workflow{ID: "ask", Version: "1", Entry: "leave", Nodes: bide.Nodes{
	"leave": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Call("leave", nil), bide.SleepFor(0)).Then("ask"), nil
	},
	"ask": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Ask("Pay?", &bide.AskOptions{Choices: []string{"yes", "no"}}).As("a")).ThenCompleteWith("a.choice"), nil
	},
}}

// listen waits for an event of its session.
var listen = bide.Workflow{ID: "listen", Version: "1", Entry: "a", Nodes: bide.Nodes{
	"a": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.WaitEvent("push", &bide.EventOptions{Scope: bide.ScopeSession}).As("e")).Then("b"), nil
	},
	"b": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.WaitEvent("push", &bide.EventOptions{Scope: bide.ScopeSession}).As("f")).ThenCompleteWith("f.payload"), nil
	},
}}

// quick tries again at once.
var quick = &bide.RetryPolicy{Attempts: 5, Backoff: bide.Duration(time.Millisecond), Max: bide.Duration(time.Millisecond)}

// server is a runtime with a worker and webhooks at work.
type server struct {
	*bide.Runtime
	hooks *webhook.Hooks
	ended chan string // ids of deliveries that ended
}

func newServer(t *testing.T, store *mem.Store, opts webhook.Options) *server {
	t.Helper()
	rt := bide.Must(bide.New(store, nil))
	if err := rt.Register(ask, listen); err != nil {
		t.Fatal(err)
	}
	rt.Handle("leave", func(context.Context, *bide.Invocation) (bide.Outcome, error) {
		return bide.Decided(bide.Wait{Kind: bide.WaitQuestion, FreeText: true}, "yes"), nil
	})
	if opts.Retry == nil {
		opts.Retry = quick
	}
	hooks, err := webhook.New(rt, store, &opts)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{rt, hooks, make(chan string, 1000)}
	rt.Observe(func(n bide.Notice) {
		if n.Commit != nil && n.Commit.Info.Workflow == webhook.WorkflowID && n.Commit.Info.Status.Final() {
			s.ended <- n.Commit.RunID
		}
	})
	w, err := worker.New(rt, store, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for _, run := range []func(context.Context) error{w.Run, hooks.Run} {
		group.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { cancel(); group.Wait() })
	return s
}

// delivery waits for the end of the next delivery.
func (s *server) delivery(t *testing.T) *bide.Run {
	t.Helper()
	select {
	case id := <-s.ended:
		return bide.Must(s.Get(t.Context(), id))
	case <-time.After(time.Minute):
		t.Fatal("no delivery ended")
		return nil
	}
}

// start begins a run as a principal.
func (s *server) start(t *testing.T, p *auth.Principal, wf bide.Workflow, opts bide.StartOptions) *bide.Run {
	t.Helper()
	labels, err := p.Starts(wf.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	opts.Labels, opts.Session, opts.Key = labels, p.Scoped(opts.Session), p.Scoped(opts.Key)
	return bide.Must(s.Start(t.Context(), wf, nil, &opts))
}

// receiver is a server that messages are sent to.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status []int // of the next answers; 200 when there are none left
	header http.Header
	got    []received
}

type received struct {
	header http.Header
	body   []byte
}

func newReceiver(t *testing.T, status ...int) *receiver {
	r := &receiver{status: status, header: http.Header{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, received{req.Header, body})
		for name := range r.header {
			w.Header().Set(name, r.header.Get(name))
		}
		if len(r.status) > 0 {
			w.WriteHeader(r.status[0])
			r.status = r.status[1:]
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.got...)
}

func TestMessagesSayWhatHappenedAndAreTriedAgain(t *testing.T) {
	s := newServer(t, mem.New(), webhook.Options{AllowPrivate: true})
	to := newReceiver(t, 500, 302, 200)
	secret, sub, err := s.hooks.Subscribe(t.Context(), acme, webhook.SubscriptionSpec{URL: to.URL + "/x?token=hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	s.start(t, other, ask, bide.StartOptions{})
	s.start(t, root, ask, bide.StartOptions{})
	run := s.start(t, acme, ask, bide.StartOptions{Key: "order-42"})
	d := s.delivery(t)
	if d.Status != bide.StatusCompleted || d.Labels[webhook.LabelSubscription] != sub.ID || d.Labels[auth.NamespaceLabel] != "acme" {
		t.Fatalf("delivery %s %v: %v", d.Status, d.Labels, d.Error)
	}
	got := to.all()
	if len(got) != 3 {
		t.Fatalf("%d attempts, want 3", len(got))
	}
	for i, m := range got {
		id, err := webhook.Verify(m.header, []string{secret}, time.Now(), m.body)
		if err != nil || id != got[0].header.Get(webhook.HeaderID) || string(m.body) != string(got[0].body) {
			t.Errorf("attempt %d: id %q, %v, body %s", i+1, id, err, m.body)
		}
	}
	var m webhook.Message
	if err := json.Unmarshal(got[0].body, &m); err != nil {
		t.Fatal(err)
	}
	if m.Type != "wait.opened" || m.Data.RunID != run.ID || m.Data.Key != "order-42" || m.Data.Wait == nil || m.Data.Wait.Message != "Pay?" || len(m.Data.Wait.Choices) != 2 {
		t.Errorf("message %s", got[0].body)
	}
	for rec, err := range s.Ledger(t.Context(), d.ID, 1) {
		if err != nil || strings.Contains(string(rec.Raw), "hunter2") || strings.Contains(string(rec.Raw), secret) {
			t.Errorf("the ledger of a delivery holds a secret: %s, %v", rec.Raw, err)
		}
	}
	bide.Must(s.Resume(t.Context(), run.ID, m.Data.Wait.ID, "yes", bide.Command{Actor: "user:ada"}))
	s.delivery(t)
	if got = to.all(); len(got) != 4 || !strings.Contains(string(got[3].body), `"run.completed"`) || strings.Contains(string(got[3].body), "yes") {
		t.Errorf("the last message: %s", got[len(got)-1].body)
	}
}

func TestAReceiverThatIsGoneIsLeftAlone(t *testing.T) {
	s := newServer(t, mem.New(), webhook.Options{AllowPrivate: true})
	to := newReceiver(t, 410)
	_, sub, err := s.hooks.Subscribe(t.Context(), acme, webhook.SubscriptionSpec{URL: to.URL, Types: []string{"run.started"}})
	if err != nil {
		t.Fatal(err)
	}
	s.start(t, acme, ask, bide.StartOptions{})
	d := s.delivery(t)
	if d.Status != bide.StatusFailed || len(to.all()) != 1 {
		t.Errorf("delivery %s after %d attempts", d.Status, len(to.all()))
	}
	subs := bide.Must(s.hooks.Subscriptions(t.Context(), acme))
	if len(subs) != 1 || !strings.Contains(subs[0].Disabled, "410") {
		t.Errorf("subscriptions %+v", subs)
	}
	if _, err := s.hooks.Redeliver(t.Context(), acme, d.ID, bide.Command{}); err != nil {
		t.Fatal(err)
	}
	if d = s.delivery(t); d.Status != bide.StatusFailed || len(to.all()) != 1 {
		t.Errorf("sent to a disabled subscription: %s, %d", d.Status, len(to.all()))
	}
	secret, err := s.hooks.Rotate(t.Context(), acme, sub.ID)
	if err != nil {
		t.Fatal(err)
	}
	bide.Must(s.hooks.Redeliver(t.Context(), acme, d.ID, bide.Command{}))
	if d = s.delivery(t); d.Status != bide.StatusCompleted {
		t.Fatalf("after the secret was changed: %s %v", d.Status, d.Error)
	}
	got := to.all()
	if _, err := webhook.Verify(got[1].header, []string{secret}, time.Now(), got[1].body); err != nil || len(strings.Fields(got[1].header.Get(webhook.HeaderSignature))) != 2 {
		t.Errorf("signed with %q: %v", got[1].header.Get(webhook.HeaderSignature), err)
	}
}

func TestAMessageIsSentAgainUnderItsID(t *testing.T) {
	s := newServer(t, mem.New(), webhook.Options{AllowPrivate: true})
	to := newReceiver(t)
	if _, _, err := s.hooks.Subscribe(t.Context(), acme, webhook.SubscriptionSpec{URL: to.URL, Types: []string{"run.started"}}); err != nil {
		t.Fatal(err)
	}
	run := s.start(t, acme, ask, bide.StartOptions{})
	d := s.delivery(t)
	again := bide.Must(s.hooks.Redeliver(t.Context(), acme, d.ID, bide.Command{ID: "c1", Actor: "user:ada"}))
	s.delivery(t)
	if same := bide.Must(s.hooks.Redeliver(t.Context(), acme, d.ID, bide.Command{ID: "c1", Actor: "user:ada"})); same.ID != again.ID || again.ID == d.ID {
		t.Errorf("the same command began %s after %s", same.ID, again.ID)
	}
	got := to.all()
	if len(got) != 2 || got[0].header.Get(webhook.HeaderID) != got[1].header.Get(webhook.HeaderID) {
		t.Errorf("%d messages: %v", len(got), got)
	}
	for name, c := range map[string]struct {
		as *auth.Principal
		id string
	}{"another namespace": {other, d.ID}, "no message": {acme, run.ID}, "nothing": {acme, "x"}} {
		if _, err := s.hooks.Redeliver(t.Context(), c.as, c.id, bide.Command{}); !errors.Is(err, bide.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMessagesDoNotGoToPrivateAddresses(t *testing.T) {
	s := newServer(t, mem.New(), webhook.Options{})
	to := newReceiver(t)
	port := to.URL[strings.LastIndex(to.URL, ":"):]
	for _, url := range []string{"http://example.com/", "https://127.0.0.1/", "https://[::1]/", "https://10.0.0.1/", "https://169.254.169.254/", "https://u:p@example.com/", "ftp://example.com", "x"} {
		_, _, err := s.hooks.Subscribe(t.Context(), acme, webhook.SubscriptionSpec{URL: url})
		if !errors.Is(err, bide.ErrInvalidInput) {
			t.Errorf("Subscribe(%s) = %v", url, err)
		}
	}
	// A name says nothing until it is resolved, when the connection is made.
	if _, _, err := s.hooks.Subscribe(t.Context(), acme, webhook.SubscriptionSpec{URL: "https://localhost" + port, Types: []string{"run.started"}}); err != nil {
		t.Fatal(err)
	}
	s.start(t, acme, ask, bide.StartOptions{})
	if d := s.delivery(t); d.Status != bide.StatusFailed || !strings.Contains(d.Error.Message, "not public") || len(to.all()) != 0 {
		t.Errorf("delivery %s: %v", d.Status, d.Error)
	}
}

func TestSubscriptionsSeeNoMoreThanWhoMadeThem(t *testing.T) {
	s := newServer(t, mem.New(), webhook.Options{AllowPrivate: true})
	limited := &auth.Principal{Actor: "token:l", Roles: []auth.Role{auth.Administrator}, Namespace: "acme", Workflows: []string{"listen"}}
	if _, _, err := s.hooks.Subscribe(t.Context(), limited, webhook.SubscriptionSpec{URL: "https://example.com"}); !errors.Is(err, bide.ErrForbidden) {
		t.Errorf("all workflows: %v", err)
	}
	_, sub, err := s.hooks.Subscribe(t.Context(), limited, webhook.SubscriptionSpec{URL: "https://example.com", Workflows: []string{"listen"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.hooks.Subscribe(t.Context(), acme, webhook.SubscriptionSpec{URL: "https://example.com", Types: []string{"run.exploded"}}); !errors.Is(err, bide.ErrInvalidInput) {
		t.Errorf("an unknown type: %v", err)
	}
	if subs := bide.Must(s.hooks.Subscriptions(t.Context(), other)); len(subs) != 0 {
		t.Errorf("another namespace lists %+v", subs)
	}
	if err := s.hooks.Unsubscribe(t.Context(), other, sub.ID); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("another namespace unsubscribes: %v", err)
	}
	if _, err := s.hooks.Rotate(t.Context(), other, sub.ID); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("another namespace rotates: %v", err)
	}
	if err := s.hooks.Unsubscribe(t.Context(), acme, sub.ID); err != nil {
		t.Error(err)
	}
	if subs := bide.Must(s.hooks.Subscriptions(t.Context(), acme)); len(subs) != 0 {
		t.Errorf("left %+v", subs)
	}
}

func TestSeveralServersMakeAMessageOnce(t *testing.T) {
	store := mem.New()
	a, b := newServer(t, store, webhook.Options{AllowPrivate: true}), newServer(t, store, webhook.Options{AllowPrivate: true})
	to := newReceiver(t)
	if _, _, err := a.hooks.Subscribe(t.Context(), root, webhook.SubscriptionSpec{URL: to.URL, Types: []string{"run.started"}}); err != nil {
		t.Fatal(err)
	}
	const runs = 30
	for range runs {
		a.start(t, root, ask, bide.StartOptions{})
	}
	for range runs {
		select {
		case <-a.ended:
		case <-b.ended:
		case <-time.After(time.Minute):
			t.Fatal("not all deliveries ended")
		}
	}
	if err := errors.Join(a.hooks.CatchUp(t.Context()), b.hooks.CatchUp(t.Context())); err != nil {
		t.Fatal(err)
	}
	page := bide.Must(a.Runs(t.Context(), bide.RunQuery{Workflow: webhook.WorkflowID, Limit: 1000}))
	if len(page.Runs) != runs || len(to.all()) != runs {
		t.Errorf("%d deliveries, %d messages, want %d", len(page.Runs), len(to.all()), runs)
	}
}

func TestOldMessagesAreRemoved(t *testing.T) {
	clock := bidetest.NewClock(noon)
	store := mem.New()
	rt := bide.Must(bide.New(store, &bide.Options{Clock: clock}))
	hooks, err := webhook.New(rt, store, &webhook.Options{AllowPrivate: true, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	to := newReceiver(t)
	if _, _, err := hooks.Subscribe(t.Context(), root, webhook.SubscriptionSpec{URL: to.URL, Types: []string{"run.started"}}); err != nil {
		t.Fatal(err)
	}
	bide.Must(rt.Start(t.Context(), listen, nil, &bide.StartOptions{Session: "s"}))
	if err := hooks.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	messages := func() []bide.RunInfo {
		return bide.Must(rt.Runs(t.Context(), bide.RunQuery{Workflow: webhook.WorkflowID})).Runs
	}
	if len(messages()) != 1 {
		t.Fatalf("%d messages", len(messages()))
	}
	bide.Must(rt.Tick(t.Context(), messages()[0].ID))
	for _, c := range []struct {
		after time.Duration
		left  int
	}{{7*24*time.Hour - time.Second, 1}, {2 * time.Second, 0}} {
		clock.Advance(c.after)
		if err := hooks.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(messages()) != c.left {
			t.Errorf("after %s: %d messages, want %d", c.after, len(messages()), c.left)
		}
	}
}

func TestASlowReceiverDoesNotHoldTheWorker(t *testing.T) {
	clock := bidetest.NewClock(noon)
	store := mem.New()
	rt := bide.Must(bide.New(store, &bide.Options{Clock: clock}))
	hooks, err := webhook.New(rt, store, &webhook.Options{AllowPrivate: true, Clock: clock, Timeout: 1000 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	const atOnce, messages = 8, 10
	came, answer := make(chan bool, messages), make(chan bool)
	to := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { came <- true; <-answer }))
	defer to.Close()
	if _, _, err := hooks.Subscribe(t.Context(), root, webhook.SubscriptionSpec{URL: to.URL, Types: []string{"run.started"}}); err != nil {
		t.Fatal(err)
	}
	for range messages {
		bide.Must(rt.Start(t.Context(), listen, nil, &bide.StartOptions{Session: "s"}))
	}
	if err := hooks.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	page := bide.Must(rt.Runs(t.Context(), bide.RunQuery{Workflow: webhook.WorkflowID})).Runs
	var slow sync.WaitGroup
	for _, run := range page[:atOnce] {
		slow.Go(func() { bide.Must(rt.Tick(context.Background(), run.ID)) })
		<-came
	}
	waiting := make(chan *bide.Run, messages)
	for _, run := range page[atOnce:] {
		slow.Go(func() { waiting <- bide.Must(rt.Tick(context.Background(), run.ID)) })
	}
	for len(waiting) < messages-atOnce { // they wait in line for a second
		clock.Advance(100 * time.Millisecond)
		runtime.Gosched()
	}
	for range messages - atOnce {
		if r := <-waiting; r.Status != bide.StatusWaiting || r.WakeAt.IsZero() {
			t.Errorf("message beside %d others: %s", atOnce, r.Status)
		}
	}
	close(answer)
	slow.Wait()
	clock.Advance(3 * time.Second)
	for _, run := range page {
		r := bide.Must(rt.Tick(t.Context(), run.ID))
		if r.Status != bide.StatusCompleted || r.Step != 1 {
			t.Errorf("message %s: %s %v", run.ID, r.Status, r.Error)
		}
	}
}
