package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/remote"
	"github.com/bide-dev/bide/gateway/webhook"
	"github.com/bide-dev/bide/schedule"
	"github.com/bide-dev/bide/store/mem"
)

// approval asks a person; amount is needed.
const approval = `
bide: 1
flow: approval
title: Approve a refund
input: {type: object, required: [amount], properties: {amount: {type: number}}}
steps:
  - id: ask
    ask: {prompt: "Refund {{ input.amount }}?", choices: [approve, reject]}
output: {said: "{{ ask.choice }}"}
`

// server is a gateway over a store in memory, to talk to.
type server struct {
	*gateway.Server
	t     testing.TB
	rt    *bide.Runtime
	store gateway.Store
	doc   *flow.Doc
}

// newServer returns one with the flow approval published. The principal of a request is by its token.
func newServer(t testing.TB, opts *gateway.Options) *server {
	t.Helper()
	return serverOver(t, mem.New(), opts)
}

func serverOver(t testing.TB, store gateway.Store, opts *gateway.Options) *server {
	t.Helper()
	return serverOf(t, bide.Must(bide.New(store, nil)), store, opts)
}

func serverOf(t testing.TB, rt *bide.Runtime, store gateway.Store, opts *gateway.Options) *server {
	t.Helper()
	if err := schedule.Register(rt); err != nil {
		t.Fatal(err)
	}
	flow.Handle(rt, nil)
	if opts == nil {
		opts = &gateway.Options{}
	}
	if opts.Remote == nil {
		opts.Remote = remote.New(rt, []string{"resize"}, nil)
	}
	doc := flow.MustParse("approval.yaml", []byte(approval))
	if err := flow.Publish(t.Context(), rt, doc); err != nil {
		t.Fatal(err)
	}
	if opts.Authenticate == nil {
		opts.Authenticate = byToken
	}
	if opts.Artifacts == nil {
		opts.Artifacts = bide.Must(artifact.OpenDir(t.TempDir()))
	}
	if opts.Webhooks == nil {
		opts.Webhooks = bide.Must(webhook.New(rt, store, &webhook.Options{AllowPrivate: true}))
	}
	srv, err := gateway.New(rt, store, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return &server{Server: srv, t: t, rt: rt, store: store, doc: doc}
}

// byToken takes a token of the form role[@namespace] for a principal of that role.
func byToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if ok {
			role, namespace, _ := strings.Cut(token, "@")
			p := &auth.Principal{Actor: token, Groups: []string{"group:" + role}, Roles: []auth.Role{auth.Role(role)}, Namespace: namespace}
			if role == "refunder" { // limited to one workflow and label
				p.Roles, p.Workflows, p.Labels = []auth.Role{auth.Operator}, []string{"approval"}, map[string]string{"team": "ops"}
			}
			if role == "chief" { // an administrator of runs with a label
				p.Roles, p.Labels = []auth.Role{auth.Administrator}, map[string]string{"team": "ops"}
			}
			r = r.WithContext(auth.With(r.Context(), p))
		}
		next.ServeHTTP(w, r)
	})
}

// reply is an answer of the server.
type reply struct {
	Status int
	Header http.Header
	Body   []byte
}

func (r *reply) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(r.Body, v); err != nil {
		t.Fatalf("body %s: %v", r.Body, err)
	}
}

// field returns a member of the body by a path of names and indexes, as JSON.
func (r *reply) field(t testing.TB, path string) string {
	t.Helper()
	var v any
	dec := json.NewDecoder(bytes.NewReader(r.Body))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("body %s: %v", r.Body, err)
	}
	for _, name := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			if i := int(name[0] - '0'); i < len(x) {
				v = x[i]
			} else {
				v = nil
			}
		default:
			v = nil
		}
	}
	if s, ok := v.(string); ok {
		return s
	}
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// ask sends a request as a principal; header are pairs.
func (s *server) ask(as, method, path, body string, header ...string) *reply {
	s.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req := httptest.NewRequestWithContext(s.t.Context(), method, path, in)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if as != "" {
		req.Header.Set("Authorization", "Bearer "+as)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, req)
	return &reply{rec.Code, rec.Header(), rec.Body.Bytes()}
}

// start starts the approval and ticks it to its question.
func (s *server) start(as, body string) *bide.Run {
	s.t.Helper()
	got := s.ask(as, http.MethodPost, "/v1/runs", body)
	if got.Status != http.StatusCreated {
		s.t.Fatalf("start %s = %d %s", body, got.Status, got.Body)
	}
	var run bide.Run
	got.into(s.t, &run)
	return s.tick(run.ID)
}

func (s *server) tick(id string) *bide.Run {
	s.t.Helper()
	run, err := s.rt.Tick(context.WithoutCancel(s.t.Context()), id)
	if err != nil {
		s.t.Fatalf("tick %s: %v", id, err)
	}
	return run
}
