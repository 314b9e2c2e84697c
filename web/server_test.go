package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/webhook"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/schedule"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/tool"
	"github.com/bide-dev/bide/web"
	"github.com/bide-dev/bide/worker"
)

// store is what a site needs of one.
type store interface {
	gateway.Store
	Close() error
}

// site is a server with its worker, as a browser sees it.
type site struct {
	*httptest.Server
	rt    *bide.Runtime
	api   *gateway.Server
	store store
	opts  gateway.Options
	blobs *artifact.Dir
	keys  []note.Verifier // of those who sign the site's checkpoints
	voice voice           // what the model voice/it says
	ready atomic.Bool     // whether the effect of flaky succeeds
}

type mail struct {
	To      string `json:"to" jsonschema:"an address"`
	Subject string `json:"subject"`
	Body    string `json:"body,omitempty"`
}

// newSite serves the API with the pages below /ui/, over a fresh store in memory.
func newSite(t *testing.T) *site { return newSiteOn(t, mem.New()) }

// newSiteOn is newSite over a store, which it closes.
func newSiteOn(t *testing.T, store store) *site {
	t.Helper()
	s := &site{voice: make(voice)}
	rt, err := bide.New(store, nil)
	check(t, err)
	s.rt = rt
	flow.Handle(rt, nil)
	check(t, schedule.Register(rt))
	s.blobs, err = artifact.OpenDir(t.TempDir())
	check(t, err)
	book := tool.NewGrantBook(store, nil)
	set, err := tool.New(&tool.Options{Artifacts: s.blobs, Grants: book}, tool.Func("send_email", "Sends an e-mail.", tool.Once, func(_ context.Context, m mail) (string, error) { return "sent to " + m.To, nil }))
	check(t, err)
	models, err := llm.New(llm.Config{Providers: map[string]llm.ProviderConfig{"voice": {}}}, llm.Kinds{"voice": func(llm.ProviderConfig, llm.Env) (llm.Provider, error) { return s.voice, nil }}, nil)
	check(t, err)
	rt.Handle(llm.Type, models.Handle)
	hooks, err := webhook.New(rt, store, &webhook.Options{AllowPrivate: true})
	check(t, err)
	set.Register(rt)
	rt.Handle("flaky", bide.Typed(func(context.Context, any) (string, error) {
		if !s.ready.Load() {
			return "", errors.New("the bank <b>is closed</b>")
		}
		return "paid", nil
	}))
	rt.Handle("give", bide.Typed(func(_ context.Context, in bide.JSON) (bide.JSON, error) { return in, nil }))
	rt.Handle("count", bide.Typed(func(_ context.Context, in map[string]int) (int, error) { return in["from"] + 1, nil }))
	workflows := []bide.Workflow{mailing(set), payment(), counting(), marching(), talking(), reporting(), parenting(), ordering()}
	guard := auth.New(store, &auth.Options{Anonymous: &auth.Principal{Actor: "ann", Roles: []auth.Role{auth.Administrator}}})
	w, err := worker.New(rt, store, nil)
	check(t, err)
	s.opts = gateway.Options{Tools: set, Models: models, Grants: book, Log: s.log(t, store), Worker: w, Authenticate: guard.Protect, Routes: map[string]http.Handler{"/ui/": http.StripPrefix("/ui/", web.Handler())}, Artifacts: s.blobs, Deltas: models.Deltas(), Webhooks: hooks}
	opts := s.opts
	opts.Workflows = workflows
	srv, err := gateway.New(rt, store, &opts)
	check(t, err)
	s.store = store
	doc, err := flow.Parse("refund.yaml", []byte(refund))
	check(t, err)
	check(t, flow.Publish(t.Context(), rt, doc))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- w.Run(ctx) }()
	go func() { done <- hooks.Run(ctx) }()
	s.api, s.Server = srv, serve(t, srv, listen(t))
	t.Cleanup(func() {
		s.api.Close()
		s.Server.Close()
		stop()
		if err := errors.Join(<-done, <-done, rt.Close(context.Background()), s.blobs.Close(), store.Close()); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return s
}

// log is where the site signs its checkpoints when it is asked to.
func (s *site) log(t *testing.T, docs bide.Documents) *ledger.Log {
	t.Helper()
	private, public, err := ledger.GenerateKey("site")
	check(t, err)
	signers, err := ledger.Signers(private)
	check(t, err)
	s.keys, err = ledger.Verifiers(public)
	check(t, err)
	log, err := ledger.OpenLog(t.Context(), docs, &ledger.LogOptions{Signers: signers})
	check(t, err)
	return log
}

// start starts a run over the API and returns its id.
func (s *site) start(t *testing.T, workflow, input string) string {
	t.Helper()
	resp, err := http.Post(s.URL+"/v1/runs", "application/json", strings.NewReader(fmt.Sprintf(`{"workflow":%q,"input":%s}`, workflow, input)))
	check(t, err)
	defer resp.Body.Close()
	var run struct {
		ID string `json:"run_id"`
	}
	check(t, json.NewDecoder(resp.Body).Decode(&run))
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("start %s = %s", workflow, resp.Status)
	}
	return run.ID
}

// post makes something over the API.
func (s *site) post(t *testing.T, path, body string) {
	t.Helper()
	resp, err := http.Post(s.URL+path, "application/json", strings.NewReader(body))
	check(t, err)
	check(t, resp.Body.Close())
	if resp.StatusCode >= 300 {
		t.Fatalf("POST %s = %s", path, resp.Status)
	}
}

// awaitWait returns the first open wait of a run once there is one.
func (s *site) awaitWait(t *testing.T, runID string) bide.Wait {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for rec, err := range s.rt.Watch(ctx, runID, 1) {
		check(t, err)
		run, err := s.rt.Get(ctx, runID)
		check(t, err)
		if rec.Kind == bide.KindWaitOpened && len(run.Waits) > 0 {
			return run.Waits[0]
		}
	}
	t.Fatalf("run %s ended without an open wait", runID)
	return bide.Wait{}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// only returns the one run of the site.
func (s *site) only(t *testing.T) *bide.Run {
	t.Helper()
	page, err := s.rt.Runs(t.Context(), bide.RunQuery{Workflow: "refund"})
	check(t, err)
	if len(page.Runs) != 1 {
		t.Fatalf("there are %d runs, want 1", len(page.Runs))
	}
	run, err := s.rt.Get(t.Context(), page.Runs[0].ID)
	check(t, err)
	return run
}

// ended returns a run once it has ended.
func (s *site) ended(t *testing.T, id string) *bide.Run {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for _, err := range s.rt.Watch(ctx, id, 1) {
		check(t, err)
	}
	run, err := s.rt.Get(t.Context(), id)
	check(t, err)
	if run.Status != bide.StatusCompleted {
		t.Fatalf("run %s is %s, want completed", id, run.Status)
	}
	return run
}

// length is the number of a run's records.
func (s *site) length(t *testing.T, id string) int64 {
	t.Helper()
	run, err := s.rt.Get(t.Context(), id)
	check(t, err)
	return run.Seq
}

// down ends the server and all its connections; the worker goes on.
func (s *site) down(t *testing.T) {
	t.Helper()
	s.api.Close()
	s.CloseClientConnections()
	s.Server.Close()
}

// up starts another server at the same address.
func (s *site) up(t *testing.T) {
	t.Helper()
	srv, err := gateway.New(s.rt, s.store, &s.opts)
	check(t, err)
	l, err := net.Listen("tcp", s.Listener.Addr().String())
	check(t, err)
	s.api, s.Server = srv, serve(t, srv, l)
}

// listen listens on a port that the system gives nobody who does not ask for it, so that it is still free when a server
// is started again.
func listen(t *testing.T) net.Listener {
	t.Helper()
	for range 100 {
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 20_000+rand.IntN(12_000))); err == nil {
			return l
		}
	}
	t.Fatal("no port is free")
	return nil
}

func serve(t *testing.T, h http.Handler, l net.Listener) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	check(t, server.Listener.Close())
	server.Listener = l
	server.Start()
	return server
}
