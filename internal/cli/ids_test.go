package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
)

// A whole id always means its run, even when it begins others. The beginning of
// one means it when no other begins so; else the error says how many do.
func TestABeginningMeansARunWhenNoOtherBeginsSo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rt, err := bide.New(mem.New(), nil)
		if err != nil {
			t.Fatal(err)
		}
		wf := bide.Workflow{ID: "w", Version: "1", Entry: "a", Nodes: bide.Nodes{"a": func(*bide.Run) (bide.StepPlan, error) { return bide.Complete(nil), nil }}}
		ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[ab]{1,5}`), 1, 12, func(id string) string { return id }).Draw(t, "ids")
		for _, id := range ids {
			if _, err := rt.Start(t.Context(), wf, nil, &bide.StartOptions{RunID: id}); err != nil {
				t.Fatal(err)
			}
		}
		l := &local{rt: rt, now: time.Now}
		ref := rapid.StringMatching(`[ab]{1,5}`).Draw(t, "ref")
		var begin []string
		for _, id := range ids {
			if strings.HasPrefix(id, ref) {
				begin = append(begin, id)
			}
		}
		got, err := resolve(t.Context(), l, ref)
		var p *problem
		switch {
		case slices.Contains(ids, ref):
			if got != ref || err != nil {
				t.Errorf("resolve(%q) = %q, %v, want itself", ref, got, err)
			}
		case len(begin) == 1:
			if got != begin[0] || err != nil {
				t.Errorf("resolve(%q) = %q, %v, want %q", ref, got, err, begin[0])
			}
		case len(begin) == 0:
			if !errors.As(err, &p) || p.code != exitNotFound {
				t.Errorf("resolve(%q) = %q, %v, want not found", ref, got, err)
			}
		default:
			if !errors.As(err, &p) || p.code != exitUsage || !strings.Contains(p.what, fmt.Sprintf("%d runs", len(begin))) {
				t.Errorf("resolve(%q) = %q, %v, want that %d runs begin so", ref, got, err, len(begin))
			}
		}
	})
}

// A page boundary must hide no run: neither from a search nor from a scan for a beginning.
func TestPagesOfAListingLeaveOutNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rt, err := bide.New(mem.New(), nil)
		if err != nil {
			t.Fatal(err)
		}
		done := func(*bide.Run) (bide.StepPlan, error) { return bide.Complete(nil), nil }
		var want []string
		for i := range rapid.IntRange(0, 30).Draw(t, "runs") {
			flow := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "flow")
			run, err := rt.Start(t.Context(), bide.Workflow{ID: flow, Version: "1", Entry: "a", Nodes: bide.Nodes{"a": done}}, nil,
				&bide.StartOptions{RunID: fmt.Sprintf("r%d", i), Labels: map[string]string{"odd": fmt.Sprint(i % 2)}})
			if err != nil {
				t.Fatal(err)
			}
			if flow == "x" && i%2 == 1 {
				want = append(want, run.ID)
			}
		}
		l := &local{rt: rt, now: time.Now}
		var got []string
		q := runsQuery{Search: "flow:x label:odd=1", Limit: rapid.IntRange(1, 5).Draw(t, "limit")}
		for range 100 {
			page, err := l.Runs(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Runs {
				got = append(got, r.ID)
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d give %q, want %q", q.Limit, got, want)
		}
	})
}
