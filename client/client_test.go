package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/client"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/schedule"
	"github.com/bide-dev/bide/store/mem"
)

// ask is a workflow that asks one question.
func ask() bide.Workflow {
	return bide.Workflow{ID: "ask", Version: "1", Entry: "ask", Nodes: bide.Nodes{"ask": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Ask("Go on?", &bide.AskOptions{Choices: []string{"yes", "no"}}).As("said")).ThenCompleteWith("said.choice"), nil
	}}}
}

// flaky lets a handler answer only now and then: of three requests, one is lost on the way there and one on the way back.
type flaky struct {
	next http.Handler
	mu   sync.Mutex
	n    int
	keys map[string]int // by Idempotency-Key: how often it came
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.n++
	n := f.n
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		f.keys[key]++
	}
	f.mu.Unlock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/stream"):
		f.next.ServeHTTP(&short{ResponseWriter: w, left: 600}, r)
	case n%3 == 0:
		panic(http.ErrAbortHandler)
	case n%3 == 1:
		f.next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	default:
		f.next.ServeHTTP(w, r)
	}
}

// short cuts a stream off after so many bytes, in the middle of an event.
type short struct {
	http.ResponseWriter
	left int
}

func (s *short) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *short) Write(p []byte) (int, error) {
	cut := p[:min(len(p), s.left)]
	n, err := s.ResponseWriter.Write(cut)
	if s.left -= n; err == nil && s.left <= 0 {
		if err := http.NewResponseController(s.ResponseWriter).Flush(); err != nil {
			return n, err
		}
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// connect returns a client of a server through a bad connection, and the runtime of the server.
func connect(t *testing.T) (*client.Client, *bide.Runtime, *flaky) {
	t.Helper()
	store := mem.New()
	rt := bide.Must(bide.New(store, nil))
	if err := schedule.Register(rt); err != nil {
		t.Fatal(err)
	}
	everything := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(auth.With(r.Context(), &auth.Principal{Actor: r.Header.Get("Authorization"), Roles: []auth.Role{auth.Administrator}})))
		})
	}
	srv := bide.Must(gateway.New(rt, store, &gateway.Options{Authenticate: everything, Workflows: []bide.Workflow{ask()}}))
	f := &flaky{next: srv, keys: map[string]int{}}
	ts := httptest.NewServer(f)
	t.Cleanup(func() { srv.Close(); ts.Close() })
	return bide.Must(client.New(ts.URL, &client.Options{Token: "ann", Tries: 20, Pause: time.Millisecond})), rt, f
}

// Over a bad connection, changes are made once and streams tell everything once.
func TestABadConnectionDoublesAndLosesNothing(t *testing.T) {
	c, rt, f := connect(t)
	ctx := t.Context()
	var ids []string
	for i := range 5 {
		run, err := c.Start(ctx, api.StartRun{Workflow: "ask", Input: bide.JSON(fmt.Sprint(i)), Labels: map[string]string{"n": fmt.Sprint(i)}}, "")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, run.ID)
		if _, err := rt.Tick(ctx, run.ID); err != nil {
			t.Fatal(err)
		}
	}
	twice := 0
	for _, n := range f.keys {
		twice += n - 1
	}
	counts, err := c.CountRuns(ctx, client.StatsQuery{Search: "flow:ask"})
	if err != nil || counts.Runs != 5 || counts.Statuses.Waiting != 5 {
		t.Errorf("CountRuns = %+v, %v, want 5 that wait", counts, err)
	}
	last := time.Now().Add(time.Minute)
	outcomes, err := c.Outcomes(ctx, client.StatsQuery{From: last.Add(-time.Hour), To: last, Every: 2 * time.Hour})
	if err != nil || len(outcomes.Buckets) > 2 || outcomes.Buckets[len(outcomes.Buckets)-1].Started+outcomes.Buckets[0].Started < 5 {
		t.Errorf("Outcomes = %+v, %v, want 5 that began", outcomes, err)
	}
	nodes, err := c.NodeSums(ctx, "ask", "", client.StatsQuery{})
	if err != nil || len(nodes.Nodes) != 1 || nodes.Nodes[0].Here != 5 {
		t.Errorf("NodeSums = %+v, %v, want 5 runs at one node", nodes, err)
	}
	if me, err := c.Me(ctx); err != nil || me.Actor != "Bearer ann" {
		t.Errorf("Me = %+v, %v", me, err)
	}
	if out, err := c.Output(ctx, ids[0]); err != nil || out.Status != bide.StatusWaiting || out.Output != nil {
		t.Errorf("Output = %+v, %v, want that of a run that waits", out, err)
	}
	if text, err := c.Report(ctx, ids[0], true); err != nil || !strings.Contains(text, "<html") || !strings.Contains(text, ids[0]) {
		t.Errorf("Report = %.80q, %v", text, err)
	}
	if usage, err := c.UsageOf(ctx, client.RunsQuery{Search: "flow:ask"}); err != nil || len(usage.Runs) != 0 {
		t.Errorf("UsageOf = %+v, %v, want no runs that asked models", usage, err)
	}
	if budgets, err := c.Budgets(ctx, 0, ""); err != nil || len(budgets.Budgets) != 0 {
		t.Errorf("Budgets = %+v, %v, want none", budgets, err)
	}
	if _, err := c.ScheduleTimes(ctx, "nightly", 3); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("ScheduleTimes of no schedule = %v", err)
	}
	page, err := c.Runs(ctx, client.RunsQuery{Search: "flow:ask"})
	if err != nil || len(page.Runs) != 5 || len(f.keys) != 5 || twice == 0 {
		t.Fatalf("5 starts under %d keys, %d of them sent again, made %d runs (%v)", len(f.keys), twice, len(page.Runs), err)
	}
	done, err := c.Answer(ctx, ids[0]+".1", "yes", "")
	if err != nil || done.Wait.Decision.Actor != "Bearer ann" || len(done.Remaining) != 0 {
		t.Fatalf("Answer = %+v, %v", done, err)
	}
	run, err := rt.Tick(ctx, ids[0])
	if err != nil {
		t.Fatal(err)
	}
	var kinds []bide.Kind
	for rec, err := range c.Watch(ctx, ids[0], 0) {
		if err != nil {
			t.Fatal(err)
		}
		if kinds = append(kinds, rec.Kind); rec.Seq != int64(len(kinds)) {
			t.Errorf("record %d came as the %d.", rec.Seq, len(kinds))
		}
	}
	if int64(len(kinds)) != run.Seq || kinds[len(kinds)-1] != bide.KindRunCompleted {
		t.Errorf("the stream told %q of %d records", kinds, run.Seq)
	}
	var fed []string
	for e, err := range c.WatchAll(ctx, bide.FeedQuery{Root: ids[0]}) {
		if err != nil {
			t.Fatal(err)
		}
		fed = append(fed, e.RunID+"/"+string(e.Record.Kind))
		if e.Record.Kind == bide.KindRunCompleted {
			break
		}
	}
	if len(fed) != len(kinds) {
		t.Errorf("the stream of the tree told %q", fed)
	}
	v, err := c.Verify(ctx, ids[0])
	if err != nil || v.Records != run.Seq || v.Head != run.Head {
		t.Errorf("Verify = %+v, %v", v, err)
	}
	open := map[string]bool{}
	for in, err := range c.WatchWaits(ctx, client.WaitsQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		if in.Reset {
			clear(open)
		} else {
			open[in.Wait.RunID] = true
		}
		if len(open) == 1 { // the connection ends before all are told
			break
		}
	}
	if !slices.Contains(ids[1:], firstOf(open)) {
		t.Errorf("the inbox told of %v", open)
	}
}

func firstOf(m map[string]bool) string {
	for k := range m {
		return k
	}
	return ""
}

// Errors are the runtime's, with all that they say.
func TestErrorsAreTheRuntimes(t *testing.T) {
	c, rt, _ := connect(t)
	ctx := t.Context()
	run, err := c.Start(ctx, api.StartRun{Workflow: "ask", Key: "k"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Tick(ctx, run.ID); err != nil {
		t.Fatal(err)
	}
	wait := run.ID + ".1"
	if _, err := c.Answer(ctx, wait, "yes", "a"); err != nil {
		t.Fatal(err)
	}
	var e *bide.Error
	if _, err := c.Answer(ctx, wait, "no", "b"); !errors.As(err, &e) || !errors.Is(err, bide.ErrAlreadyDecided) || e.Decision == nil || string(e.Decision.Answer) != `"yes"` || e.Wait != wait {
		t.Errorf("a late answer = %#v", err)
	}
	for name, do := range map[string]struct {
		err  error
		want error
	}{
		"a missing run":     {second(c.Run(ctx, "nothing", 0)), bide.ErrNotFound},
		"a taken key":       {second(c.Start(ctx, api.StartRun{Workflow: "ask", Key: "k", Input: bide.JSON("1")}, "")), bide.ErrKeyReused},
		"another workflow":  {second(c.Start(ctx, api.StartRun{Workflow: "tell"}, "")), bide.ErrUnknownWorkflow},
		"a wrong status":    {second(c.Unpause(ctx, run.ID, "", "")), bide.ErrWrongStatus},
		"a wrong search":    {second(c.Runs(ctx, client.RunsQuery{Search: "stauts:x"})), bide.ErrInvalidInput},
		"a missing command": {second(c.Command(ctx, run.ID, "zzz")), bide.ErrNotFound},
	} {
		if !errors.Is(do.err, do.want) {
			t.Errorf("%s = %v, want %v", name, do.err, do.want)
		}
	}
	for _, err := range c.Watch(ctx, "nothing", 0) {
		if !errors.Is(err, bide.ErrNotFound) {
			t.Errorf("the stream of a missing run = %v", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestAnAddressThatIsNoServersIsRefused(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1:7878", "ftp://x", "http://", "http://ann:pw@host", "http://host?x=1"} {
		if _, err := client.New(address, nil); !errors.Is(err, bide.ErrInvalidInput) || !strings.Contains(err.Error(), "http://127.0.0.1:7878") {
			t.Errorf("New(%q) = %v", address, err)
		}
	}
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }))
	defer ts.Close()
	c := bide.Must(client.New(ts.URL, nil))
	if _, err := c.Run(t.Context(), "r", 0); err == nil || !strings.Contains(err.Error(), "does not answer as a bide server does") {
		t.Errorf("a page = %v", err)
	}
	ts.Close()
	ctx, stop := context.WithCancel(t.Context())
	c = bide.Must(client.New(ts.URL, &client.Options{Tries: 2, Pause: time.Millisecond}))
	if _, err := c.Ready(ctx); err == nil || !strings.Contains(err.Error(), "reach the server") {
		t.Errorf("nobody there = %v", err)
	}
	stop()
}
