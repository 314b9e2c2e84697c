package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/llm"
	"github.com/bide-dev/bide/store/postgres"
)

// listens counts who listens for what is under way elsewhere.
type listens struct{ atomic.Int64 }

func (l *listens) Offer(string, func(bool) []string) func() { return func() {} }
func (l *listens) Listen(string, func(string)) func()       { l.Add(1); return func() { l.Add(-1) } }

// What models say elsewhere is listened for while somebody follows a run that goes on.
func TestOnlyRunsThatGoOnAreListenedFor(t *testing.T) {
	relay := &listens{}
	s := newServer(t, &gateway.Options{Deltas: llm.NewDeltas(relay)})
	url := s.listen()
	run := s.start("operator", `{"workflow":"approval","input":{"amount":1}}`)
	f := follow(t, url+"/v1/runs/"+run.ID+"/stream", "viewer")
	f.must()
	during := relay.Load()
	if _, err := s.rt.Cancel(t.Context(), run.ID); err != nil {
		t.Fatal(err)
	}
	for e := f.must(); e.Name != "end"; {
		e = f.must()
	}
	if _, err := f.next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	after := relay.Load()
	ended := follow(t, url+"/v1/runs/"+run.ID+"/stream", "viewer")
	ended.must()
	if again := relay.Load(); during != 1 || after != 0 || again != 0 {
		t.Errorf("listened for %d while it went on, %d after its end, and %d for a run that has ended, want 1, 0 and 0", during, after, again)
	}
}

// Two servers share a PostgreSQL: a stream of one has what a model says in the other, before the record of it.
func TestTheStreamOfARunHasWhatAModelSaysInAnotherServer(t *testing.T) {
	database, heard := pgtest.Start(t), make(chan struct{})
	talk := bide.Workflow{ID: "talk", Version: "1", Entry: "say", Nodes: bide.Nodes{"say": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(llm.Call(llm.Request{Model: "test/greet", Messages: []llm.Message{llm.User("hi")}}).As("reply")).ThenCompleteWith("reply"), nil
	}}}
	var servers []*server
	for range 2 {
		store := bide.Must(postgres.Open(t.Context(), database, nil))
		t.Cleanup(func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		rt := bide.Must(bide.New(store, &bide.Options{Poll: time.Minute}))
		if err := store.Hints(t.Context(), rt.Hint); err != nil {
			t.Fatal(err)
		}
		models := bide.Must(llm.New(llm.Config{Providers: map[string]llm.ProviderConfig{"test": {Kind: "patient"}}},
			llm.Kinds{"patient": func(llm.ProviderConfig, llm.Env) (llm.Provider, error) { return patient(heard), nil }}, &llm.Options{Relay: store}))
		rt.Handle(llm.Type, models.Handle)
		servers = append(servers, serverOf(t, rt, store, &gateway.Options{Deltas: models.Deltas(), Workflows: []bide.Workflow{talk}}))
	}
	here, there := servers[0], servers[1]
	id := here.ask("operator", http.MethodPost, "/v1/runs", `{"workflow":"talk"}`).field(t, "run_id")
	url := there.listen()
	if theirs := follow(t, url+"/v1/runs/"+id+"/stream", "viewer@acme"); theirs.resp.StatusCode != http.StatusNotFound {
		t.Errorf("a stranger may follow the run: %s", theirs.resp.Status)
	}
	f := follow(t, url+"/v1/runs/"+id+"/stream", "viewer")
	f.must()
	said := make(chan error, 1)
	go func() {
		_, err := here.rt.Tick(context.WithoutCancel(t.Context()), id)
		said <- err
	}()
	var told []string
	for e := f.must(); e.Name != "end"; e = f.must() {
		if e.Name == "record" {
			told = append(told, kindOf(t, e))
			continue
		}
		var d llm.Event
		if err := json.Unmarshal([]byte(e.Data), &d); err != nil || e.ID != "" || d.Run != id {
			t.Fatalf("event %v: %v", e, err)
		}
		if told = append(told, string(d.Kind)); d.Delta != nil {
			told = append(told, d.Delta.Part.Text)
			close(heard) // only now the model ends
		}
	}
	wantSpoken(t, told)
	if err := <-said; err != nil {
		t.Error(err)
	}
}
