package trace_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/ledger/trace"
	"github.com/bide-dev/bide/store/mem"
)

var ctx = context.Background()

func get(t *testing.T, rt *bide.Runtime, id string) *bide.Run {
	t.Helper()
	run, err := rt.Get(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func compare(t *testing.T, w *ledgertest.World, a, b string) *trace.Diff {
	t.Helper()
	d, err := trace.Compare(get(t, w.RT, a), get(t, w.RT, b), w.RT.Ledger(ctx, a, 1), w.RT.Ledger(ctx, b, 1))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAForkIsComparedWithItsOrigin(t *testing.T) {
	w := ledgertest.New(t, mem.New())
	w.Start("r", "x")
	w.Answer("r", "yes")
	if _, err := w.RT.Fork(ctx, "r", 3, &bide.ForkOptions{RunID: "f", Writes: []bide.Write{{Op: bide.OpSet, Path: "input", Value: bide.JSON(`"broken"`)}}}); err != nil {
		t.Fatal(err)
	}
	w.Tick("f")
	w.Answer("f", "no")
	d := compare(t, w, "r", "f")
	if d.Fork == nil || d.Fork.RunID != "r" || d.Fork.Seq != 3 || d.Common != 3 {
		t.Errorf("Compare = fork %+v, common %d; want forked at record 3", d.Fork, d.Common)
	}
	if d.FirstA == nil || d.FirstA.Seq != 4 || d.FirstB == nil {
		t.Errorf("the first records that differ are %v and %v", d.FirstA, d.FirstB)
	}
	paths := map[string]string{}
	for _, c := range d.Changes {
		paths[c.Path] = string(c.A) + "/" + string(c.B)
	}
	if paths["input"] != `"x"/"broken"` || paths["decision.choice"] != `"yes"/"no"` || len(paths["charged.charged"]) == 0 && len(paths["charged"]) == 0 {
		t.Errorf("Changes = %v", paths)
	}
	if back := compare(t, w, "f", "r"); back.Common != 3 || back.Fork == nil || len(back.Changes) != len(d.Changes) {
		t.Errorf("the other way round: %+v", back)
	}
}

func TestRunsOfTheSameInputDifferInNothing(t *testing.T) {
	w := ledgertest.New(t, mem.New())
	wf := bide.Workflow{ID: "sale", Version: "1", Entry: "ask", Nodes: bide.Nodes{
		"ask": ledgertest.Order.Nodes["ask"],
		"pay": func(*bide.Run) (bide.StepPlan, error) { // one effect: several may end in any order
			return bide.Do(bide.Call("charge", 1).As("charged")).ThenCompleteWith("charged"), nil
		},
	}}
	for _, id := range []string{"a", "b"} {
		if _, err := w.RT.Run(ctx, wf, "x", &bide.StartOptions{RunID: id}); err != nil {
			t.Fatal(err)
		}
		w.Answer(id, "yes")
	}
	if d := compare(t, w, "a", "b"); d.FirstA != nil || d.FirstB != nil || len(d.Changes) > 0 || d.Common != get(t, w.RT, "a").Seq {
		t.Errorf("Compare = %+v, want no difference", d)
	}
}

func TestABookmarkIsFoundAndNamesItsRecord(t *testing.T) {
	s := mem.New()
	w := ledgertest.New(t, s)
	run := w.Start("r", "x")
	mark := func(name string, seq int64, tags ...string) error {
		_, err := trace.Mark(ctx, w.RT, s, trace.Bookmark{Name: name, RunID: "r", Seq: seq, Tags: tags, Note: "look " + name}, w.Clock.Now())
		return err
	}
	if err := errors.Join(mark("first", 1, "good"), mark("later", run.Seq, "good", "odd")); err != nil {
		t.Fatal(err)
	}
	if err := mark("first", 2); !errors.Is(err, bide.ErrConflict) {
		t.Errorf("a name that is taken: %v, want ErrConflict", err)
	}
	if err := mark("beyond", run.Seq+1); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("a record that is not there: %v, want ErrNotFound", err)
	}
	for _, c := range []struct {
		tag, text string
		want      string
	}{{"", "", "[first later]"}, {"odd", "", "[later]"}, {"good", "look f", "[first]"}, {"none", "", "[]"}} {
		found, err := trace.Find(ctx, s, c.tag, c.text)
		if err != nil {
			t.Fatal(err)
		}
		names := []string{}
		for _, b := range found {
			names = append(names, b.Name)
		}
		if got := fmt.Sprint(names); got != c.want {
			t.Errorf("Find(%q, %q) = %s, want %s", c.tag, c.text, got, c.want)
		}
	}
	if b, err := trace.Lookup(ctx, s, "later"); err != nil || b.Head != run.Head {
		t.Errorf("Lookup = %+v, %v", b, err)
	}
	for range 2 {
		if err := trace.Unmark(ctx, s, "later"); err != nil {
			t.Error(err)
		}
	}
	if _, err := trace.Lookup(ctx, s, "later"); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("Lookup of what was removed = %v", err)
	}
}

// approvals is a run in which a tool call is edited and approved by a person, with text that would break a page.
func approvals(t *testing.T) *bide.Runtime {
	t.Helper()
	rt := bide.Must(bide.New(mem.New(), nil))
	rt.Handle("send", func(_ context.Context, call *bide.Invocation) (bide.Outcome, error) {
		if len(call.Answered) == 0 {
			return bide.Waiting(bide.Wait{Kind: bide.WaitToolApproval, Message: "<script>alert(1)</script> | `x`", Items: []bide.ToolItem{{ToolCallID: "c1", Name: "send_email", Args: bide.JSON(`{"to":"<b>a</b>"}`)}}}), nil
		}
		return bide.Completed("sent"), nil
	})
	wf := bide.Workflow{ID: "w", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) {
		return bide.Do(bide.Call("send", "```\n# not a heading")).ThenComplete("done"), nil
	}}}
	run, err := rt.Run(ctx, wf, nil, &bide.StartOptions{RunID: "r"})
	if err != nil || len(run.Waits) != 1 {
		t.Fatalf("the run waits for %v, %v", run, err)
	}
	item := run.Waits[0].Items[0]
	_, err = rt.Resume(ctx, "r", run.Waits[0].ID, bide.Approval{Decisions: []bide.ToolDecision{{ToolCallID: "c1", ArgsSHA256: item.ArgsSHA256, Type: bide.VerbEdit,
		Args: bide.JSON(`{"to":"b"}`), Reason: "wrong person"}}}, bide.Command{Actor: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	if run, err = rt.Tick(ctx, "r"); err != nil || run.Status != bide.StatusCompleted {
		t.Fatalf("the run is %+v, %v", run, err)
	}
	return rt
}

func TestAReportSaysWhoApprovedWhatWithWhichArguments(t *testing.T) {
	rt := approvals(t)
	rep, err := trace.Tell(rt.Ledger(ctx, "r", 1))
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Decisions) != 1 || int64(len(rep.Lines)) != rep.Run.Seq {
		t.Fatalf("Tell = %d decisions in %d lines", len(rep.Decisions), len(rep.Lines))
	}
	d := rep.Decisions[0]
	if d.Who != "bob" || d.About != "send_email" || d.Verdict != "edit" || string(d.Args) != `{"to":"<b>a</b>"}` || string(d.Edited) != `{"to":"b"}` || d.ArgsSHA256 == "" || d.Reason != "wrong person" {
		t.Errorf("the decision is %+v", d)
	}
	for rec, err := range rt.Ledger(ctx, "r", 1) {
		if err != nil {
			t.Fatal(err)
		}
		if l := rep.Lines[rec.Seq-1]; l.Hash != rec.Hash || l.Text == "" {
			t.Errorf("the line of record %d is %+v", rec.Seq, l)
		}
	}
	var md, html strings.Builder
	if err := errors.Join(rep.Markdown(&md), rep.HTML(&html)); err != nil {
		t.Fatal(err)
	}
	for _, l := range rep.Lines {
		if !strings.Contains(md.String(), l.Hash.String()) || !strings.Contains(html.String(), l.Hash.String()) || !strings.Contains(html.String(), fmt.Sprintf(`id="r%d"`, l.Seq)) {
			t.Errorf("record %d and its hash are not in both forms", l.Seq)
		}
	}
	if strings.Contains(html.String(), "<script>") || strings.Contains(html.String(), "<b>") {
		t.Error("what a run says becomes part of the page")
	}
	if outside := outsideFences(md.String()); strings.Contains(outside, "<script>") || strings.Contains(outside, "\n# not") {
		t.Errorf("what a run says becomes part of the Markdown:\n%s", outside)
	}
}

// outsideFences is Markdown without its code blocks.
func outsideFences(md string) string {
	var out strings.Builder
	fence := ""
	for line := range strings.Lines(md) {
		trimmed := strings.TrimRight(line, "\n")
		switch {
		case fence == "" && strings.HasPrefix(trimmed, "```"):
			fence = strings.TrimSuffix(trimmed, "json")
		case fence != "" && trimmed == fence:
			fence = ""
		case fence == "":
			out.WriteString(line)
		}
	}
	return out.String()
}

func TestEverySortOfRunIsTold(t *testing.T) {
	w := ledgertest.New(t, mem.New())
	w.Fill()
	for _, id := range []string{"done", "asking", "parent", "failed", "gone", "held"} {
		rep, err := trace.Tell(w.RT.Ledger(ctx, id, 1))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range rep.Lines {
			if l.Text == "" || strings.Contains(l.Text, "%!") {
				t.Errorf("run %s, record %d (%s): %q", id, l.Seq, l.Kind, l.Text)
			}
		}
	}
}
