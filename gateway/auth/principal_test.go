package auth_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/schedule"
	"github.com/bide-dev/bide/store/mem"
)

func TestRolesHaveTheRightsTheySay(t *testing.T) {
	want := map[auth.Role][]auth.Right{
		auth.Viewer:        {auth.View},
		auth.Operator:      {auth.View, auth.Operate},
		auth.Approver:      {auth.View, auth.Decide},
		auth.FlowAuthor:    {auth.View, auth.Operate, auth.Author},
		auth.Administrator: {auth.View, auth.Operate, auth.Decide, auth.Author, auth.Admin, auth.Work},
		auth.Worker:        {auth.Work},
		"king":             nil,
	}
	for role, rights := range want {
		for _, right := range []auth.Right{auth.View, auth.Operate, auth.Decide, auth.Author, auth.Admin, auth.Work} {
			p := auth.Principal{Actor: "user:a", Roles: []auth.Role{role}}
			if got := p.May(right, nil); got != slices.Contains(rights, right) {
				t.Errorf("%s may %s = %v", role, right, got)
			}
			p.Actor = bide.AgentActor + "a"
			if got := p.May(right, nil); got != (slices.Contains(rights, right) && right != auth.Decide) {
				t.Errorf("an agent that is %s may %s = %v", role, right, got)
			}
		}
	}
	if len(auth.Roles()) != len(want)-1 {
		t.Errorf("Roles() = %v", auth.Roles())
	}
}

func TestNamesOfNamespacesCannotBeMadeUpInOthers(t *testing.T) {
	seen := map[string]string{}
	for _, ns := range []string{"", "a", "b", "a-b"} {
		p := auth.Principal{Namespace: ns}
		for _, name := range []string{"x", "_x", "a", "_a_x", "__a_x", "_b_x", "_a-b_x", "a_x", "_", "__x", "___x"} {
			scoped := p.Scoped(name)
			if was, ok := seen[scoped]; ok {
				t.Errorf("%q of namespace %q and %s are both %q", name, ns, was, scoped)
			}
			seen[scoped] = name + " of " + ns
			if back, ok := p.Local(scoped); back != name || !ok {
				t.Errorf("Local(Scoped(%q)) in %q = %q, %v", name, ns, back, ok)
			}
		}
		if p.Scoped("") != "" {
			t.Errorf("Scoped of no name in %q = %q", ns, p.Scoped(""))
		}
	}
	if _, ok := (&auth.Principal{Namespace: "b"}).Local("_a_x"); ok {
		t.Error("a name of namespace a is one of b")
	}
}

func TestNamesOfNamespacesAreChecked(t *testing.T) {
	for name, ok := range map[string]bool{"": true, "acme": true, "a-1": true, "A": false, "a_b": false, "-a": false, "a/b": false, "a:b": false} {
		if err := auth.CheckNamespace(name); (err == nil) != ok {
			t.Errorf("CheckNamespace(%q) = %v", name, err)
		}
	}
}

func TestAStartHasTheLabelsOfItsPrincipal(t *testing.T) {
	p := auth.Principal{Namespace: "acme", Workflows: []string{"refund"}, Labels: map[string]string{"team": "eu"}}
	got, err := p.Starts("refund", map[string]string{"order": "7"})
	if want := map[string]string{"order": "7", "team": "eu", auth.NamespaceLabel: "acme"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("labels = %v, %v, want %v", got, err, want)
	}
	for _, c := range []struct {
		workflow string
		labels   map[string]string
		want     error
	}{
		{"refund", map[string]string{auth.NamespaceLabel: "other"}, bide.ErrInvalidInput},
		{"refund", map[string]string{"team": "us"}, bide.ErrForbidden},
		{"pay", nil, bide.ErrForbidden},
	} {
		if _, err := p.Starts(c.workflow, c.labels); !errors.Is(err, c.want) {
			t.Errorf("Starts(%s, %v) = %v, want %v", c.workflow, c.labels, err, c.want)
		}
	}
}

// family is a workflow with a child that has labels of its own, as if of another namespace.
var family = []bide.Workflow{
	{ID: "parent", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.StartRun("child", nil, &bide.ChildOptions{Labels: map[string]string{auth.NamespaceLabel: "other"}}).As("c")).ThenCompleteWith("c"), nil
	}}},
	{ID: "child", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Ask("Well?", nil).As("a")).ThenCompleteWith("a"), nil
	}}},
}

func TestATreeBelongsToTheNamespaceOfItsFirstRun(t *testing.T) {
	rt := bide.Must(bide.New(mem.New(), nil))
	if err := rt.Register(family...); err != nil {
		t.Fatal(err)
	}
	acme := &auth.Principal{Actor: "token:a", Namespace: "acme", Roles: []auth.Role{auth.Viewer}, Workflows: []string{"parent"}}
	other := &auth.Principal{Actor: "token:o", Namespace: "other", Roles: []auth.Role{auth.Administrator}}
	none := &auth.Principal{Actor: "token:n", Roles: []auth.Role{auth.Administrator}}
	labels, err := acme.Starts("parent", nil)
	if err != nil {
		t.Fatal(err)
	}
	parent := bide.Must(rt.Run(t.Context(), family[0], nil, &bide.StartOptions{Labels: labels}))
	page := bide.Must(rt.Runs(t.Context(), bide.RunQuery{Parent: parent.ID}))
	if len(page.Runs) != 1 {
		t.Fatalf("%d children", len(page.Runs))
	}
	trees := auth.NewTrees(rt)
	for _, run := range []*bide.RunInfo{&parent.RunInfo, &page.Runs[0]} {
		for p, want := range map[*auth.Principal]bool{acme: true, other: false, none: false} {
			for range 2 { // and from what is remembered
				if got, err := trees.Sees(t.Context(), p, run); got != want || err != nil {
					t.Errorf("%s sees the run of %s = %v, %v, want %v", p.Actor, run.Workflow, got, err, want)
				}
				if got, err := trees.SeesRun(t.Context(), p, run.ID); got != want || err != nil {
					t.Errorf("%s sees run %s = %v, %v, want %v", p.Actor, run.Workflow, got, err, want)
				}
			}
		}
		if may, err := trees.May(t.Context(), acme, auth.Operate, run); may || err != nil {
			t.Errorf("a viewer may operate: %v, %v", may, err)
		}
		if root, err := trees.Root(t.Context(), run.ID); err != nil || root.ID != parent.ID || root.Workflow != "parent" || root.Labels[auth.NamespaceLabel] != "acme" {
			t.Errorf("root = %+v, %v", root, err)
		}
	}
	if got, err := trees.SeesRun(t.Context(), none, "gone"); got || err != nil {
		t.Errorf("a run that is gone is seen: %v, %v", got, err)
	}
}

func TestARunOfAScheduleIsTheFirstOfItsTree(t *testing.T) {
	rt := bide.Must(bide.New(mem.New(), nil))
	if err := errors.Join(rt.Register(family...), schedule.Register(rt)); err != nil {
		t.Fatal(err)
	}
	s := bide.Must(schedule.Create(t.Context(), rt, schedule.Spec{Name: "nightly", Interval: bide.Duration(1000 * time.Hour), Workflow: "parent",
		Labels: map[string]string{auth.NamespaceLabel: "acme"}}))
	bide.Must(rt.Tick(t.Context(), s.RunID))
	if err := schedule.Trigger(t.Context(), rt, "nightly"); err != nil {
		t.Fatal(err)
	}
	bide.Must(rt.Tick(t.Context(), s.RunID))
	parents := bide.Must(rt.Runs(t.Context(), bide.RunQuery{Workflow: "parent"})).Runs
	if len(parents) != 1 || parents[0].Parent != s.RunID {
		t.Fatalf("the schedule started %+v", parents)
	}
	bide.Must(rt.Tick(t.Context(), parents[0].ID))
	children := bide.Must(rt.Runs(t.Context(), bide.RunQuery{Workflow: "child"})).Runs
	if len(children) != 1 || children[0].Root != s.RunID {
		t.Fatalf("the run started %+v", children)
	}
	trees := auth.NewTrees(rt)
	for ns, want := range map[string]bool{"acme": true, "other": false, "": false} {
		p := &auth.Principal{Namespace: ns, Workflows: []string{"parent"}}
		for _, run := range []*bide.RunInfo{&parents[0], &children[0]} {
			if got, err := trees.Sees(t.Context(), p, run); got != want || err != nil {
				t.Errorf("namespace %q sees the run of %s = %v, %v, want %v", ns, run.Workflow, got, err, want)
			}
		}
	}
}
