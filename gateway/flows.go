package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
)

const tagFlows = "workflows"

func (s *Server) registerFlows() {
	register(s, operation{id: "list-workflows", method: http.MethodGet, path: "/v1/workflows", tag: tagFlows, right: auth.View,
		summary: "What can be started: the newest version of each flow and workflow"}, s.listFlows)
	register(s, operation{id: "upload-flow", method: http.MethodPost, path: "/v1/workflows", tag: tagFlows, right: auth.Author, status: http.StatusCreated,
		summary: "Publish a flow document", about: "Its version is the hash of its content: published again, it is left as it is. A name belongs to the namespace that published under it first; those of the default namespace are seen by all. A document with faults is a problem of type invalid_workflow that lists them all."}, s.uploadFlow)
	register(s, operation{id: "list-versions", method: http.MethodGet, path: "/v1/workflows/{workflow}", tag: tagFlows, right: auth.View,
		summary: "The versions of a flow or workflow, newest first"}, s.listVersions)
	register(s, operation{id: "get-workflow", method: http.MethodGet, path: "/v1/workflows/{workflow}/versions/{version}", tag: tagFlows, right: auth.View,
		summary: "A version of a flow or workflow, with its source and the schema of its input", about: "The version newest is the one that is started when none is named."}, s.getFlow)
	register(s, operation{id: "get-graph", method: http.MethodGet, path: "/v1/workflows/{workflow}/versions/{version}/graph", tag: tagFlows, right: auth.View,
		summary: "What leads where in a version of a flow or workflow"}, s.getGraph)
}

func (s *Server) listFlows(ctx context.Context, _ *none) (*result[api.FlowList], error) {
	return s.flows(ctx, "", true)
}

// OneWorkflow is the input of what is about one flow or workflow.
type OneWorkflow struct {
	Workflow string `path:"workflow" maxLength:"100" doc:"id of the flow or workflow"`
}

func (s *Server) listVersions(ctx context.Context, in *OneWorkflow) (*result[api.FlowList], error) {
	out, err := s.flows(ctx, in.Workflow, false)
	if err == nil && len(out.Body.Flows) == 0 {
		return nil, bide.Errorf(bide.CodeNotFound, "there is no workflow %q", in.Workflow)
	}
	return out, err
}

// flows lists versions, of one workflow when id is not empty.
func (s *Server) flows(ctx context.Context, id string, newestOnly bool) (*result[api.FlowList], error) {
	p := auth.From(ctx)
	docs, err := s.library.list(ctx, p.Namespace, id)
	if err != nil {
		return nil, err
	}
	out := &api.FlowList{Flows: []api.Flow{}}
	seen := map[string]bool{}
	add := func(f api.Flow) {
		f.Newest = !seen[f.ID]
		seen[f.ID] = true
		if (f.Newest || !newestOnly) && mayStart(p, f.ID) {
			out.Flows = append(out.Flows, f)
		}
	}
	for i := range slices.Backward(s.library.code) {
		if wf := &s.library.code[i]; id == "" || wf.ID == id {
			add(api.Flow{ID: wf.ID, Version: wf.Version})
		}
	}
	for _, d := range docs {
		f := newFlow(d.doc, false)
		f.Published = d.at
		add(f)
	}
	if newestOnly {
		slices.SortFunc(out.Flows, func(a, b api.Flow) int { return cmp.Compare(a.ID, b.ID) })
	}
	return ok(out), nil
}

// mayStart reports whether credentials that are limited to workflows include one.
func mayStart(p *auth.Principal, workflow string) bool {
	return len(p.Workflows) == 0 || slices.Contains(p.Workflows, workflow)
}

func newFlow(d *flow.Doc, whole bool) api.Flow {
	f := api.Flow{ID: d.ID(), Version: d.Version(), Label: d.Label(), Title: d.Title(), Document: true, Schema: d.InputSchema(), Calls: d.Flows()}
	if whole {
		f.Source = string(d.Source())
		for _, w := range d.Lint() {
			f.Warnings = append(f.Warnings, w.String())
		}
	}
	return f
}

type uploadFlow struct {
	Keyed
	Body api.Upload
}

func (s *Server) uploadFlow(ctx context.Context, in *uploadFlow) (*result[api.Flow], error) {
	d, err := flow.Parse(cmp.Or(in.Body.Name, "flow.yaml"), []byte(in.Body.Source))
	var bad *flow.Error
	if errors.As(err, &bad) {
		out := &bide.Error{Code: bide.CodeInvalidWorkflow, Message: fmt.Sprintf("faults in the document: %d", len(bad.Faults))}
		for _, f := range bad.Faults {
			out.Faults = append(out.Faults, bide.Fault{Path: fmt.Sprintf("%d:%d", f.Line, f.Column), Message: f.Message})
		}
		return nil, out
	}
	if err != nil {
		return nil, err
	}
	p := auth.From(ctx)
	if !mayStart(p, d.ID()) {
		return nil, bide.Errorf(bide.CodeForbidden, "these credentials are limited to other workflows than %q", d.ID())
	}
	if err := s.publish(ctx, p, in.command(ctx, ""), d); err != nil {
		return nil, err
	}
	f := newFlow(d, true)
	newest, _, err := s.library.find(ctx, p.Namespace, d.ID(), "")
	if err != nil {
		return nil, err
	}
	f.Newest = newest != nil && newest.Version() == d.Version()
	return ok(&f), nil
}

// OneVersion is the input of what is about one version of a flow or workflow.
type OneVersion struct {
	OneWorkflow
	Version string `path:"version" maxLength:"100" doc:"the version, or newest"`
}

// version finds a version that is seen.
func (s *Server) version(ctx context.Context, in *OneVersion) (*flow.Doc, *bide.Workflow, error) {
	p := auth.From(ctx)
	if !mayStart(p, in.Workflow) {
		return nil, nil, bide.Errorf(bide.CodeUnknownWorkflow, "there is no workflow %q", in.Workflow)
	}
	version := in.Version
	if version == "newest" {
		version = ""
	}
	return s.library.find(ctx, p.Namespace, in.Workflow, version)
}

func (s *Server) getFlow(ctx context.Context, in *OneVersion) (*result[api.Flow], error) {
	d, wf, err := s.version(ctx, in)
	if err != nil {
		return nil, err
	}
	all, err := s.flows(ctx, in.Workflow, false)
	if err != nil {
		return nil, err
	}
	f := api.Flow{}
	version := ""
	if d != nil {
		f, version = newFlow(d, true), d.Version()
	} else {
		f, version = api.Flow{ID: wf.ID, Version: wf.Version}, wf.Version
	}
	for _, listed := range all.Body.Flows {
		if listed.Version == version {
			f.Newest, f.Published = listed.Newest, listed.Published
		}
	}
	doc, err := s.store.Document(ctx, uploadKind, version)
	if err == nil {
		var u upload
		if u, err = readUpload(doc); err == nil && u.Namespace == auth.From(ctx).Namespace {
			f.PublishedBy = u.Actor
		}
	}
	if err != nil && !errors.Is(err, bide.ErrNotFound) {
		return nil, err
	}
	return ok(&f), nil
}

func (s *Server) getGraph(ctx context.Context, in *OneVersion) (*result[api.Graph], error) {
	d, wf, err := s.version(ctx, in)
	if err != nil {
		return nil, err
	}
	g := &api.Graph{Nodes: []api.Node{}}
	if d != nil {
		compiled := d.Workflow()
		wf, g.Mermaid = &compiled, d.Mermaid()
	}
	g.Entry = wf.Entry
	for _, name := range slices.Sorted(maps.Keys(wf.Nodes)) {
		g.Nodes = append(g.Nodes, api.Node{ID: name, Exits: wf.Exits[name]})
	}
	return ok(g), nil
}
