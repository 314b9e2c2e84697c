package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/store/mem"
)

// timed is a server whose runs begin and end when its clock says so.
func timed(t *testing.T) (*server, *bidetest.Clock) {
	clock := bidetest.NewClock(time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC))
	store := mem.New()
	rt := bide.Must(bide.New(store, &bide.Options{Clock: clock}))
	return serverOf(t, rt, store, &gateway.Options{Workflows: []bide.Workflow{broken()}, Clock: clock.Now}), clock
}

// end answers the question of a run and lets it end.
func (s *server) end(run *bide.Run) {
	s.t.Helper()
	if _, err := s.rt.Resume(s.t.Context(), run.ID, run.Waits[0].ID, "approve"); err != nil {
		s.t.Fatal(err)
	}
	s.tick(run.ID)
}

// Charts are drawn of these: what began and ended when, how long it took, and what the time went into.
func TestStatisticsAddUpOverTime(t *testing.T) {
	s, clock := timed(t)
	start := func(as string) *bide.Run { return s.start(as, `{"workflow":"approval","input":{"amount":1}}`) }
	var open []*bide.Run
	for range 4 {
		open = append(open, start("operator"))
	}
	s.start("operator", `{"workflow":"broken"}`)
	foreign := start("operator@acme")
	clock.Advance(90 * time.Minute) // 09:30
	s.end(open[0])
	s.end(foreign)
	clock.Advance(time.Hour) // 10:30
	for _, run := range open[1:3] {
		s.end(run)
	}
	clock.Advance(time.Minute)
	if got := s.ask("operator", "POST", "/v1/runs/"+open[3].ID+"/cancel", ""); got.Status != 200 {
		t.Fatalf("cancel = %d %s", got.Status, got.Body)
	}

	at := func(hour int) time.Time { return time.Date(2026, 11, 23, hour, 0, 0, 0, time.UTC) }
	const in = "from=2026-11-23T07:10:00Z&to=2026-11-23T11:00:00Z"
	const span = in + "&every=1h"
	var outcomes api.Outcomes
	s.ask("viewer", "GET", "/v1/stats/outcomes?"+span, "").into(t, &outcomes)
	want := api.Outcomes{Span: api.Span{From: at(7), To: at(11), Every: bide.Duration(time.Hour)}, Buckets: []api.Outcome{
		{At: at(7)}, {At: at(8), Started: 5, Failed: 1}, {At: at(9), Completed: 1}, {At: at(10), Completed: 2, Cancelled: 1}}}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		t.Errorf("outcomes differ (-want +got):\n%s", diff)
	}
	var latency api.Latencies
	s.ask("viewer", "GET", "/v1/stats/latency?"+span, "").into(t, &latency)
	whole := api.Latency{Runs: 3, P50: 9000, P90: 9000, P99: 9000, Max: 9000}
	if diff := cmp.Diff(whole, latency.Whole); diff != "" || latency.Buckets[2].P50 != 5400 || latency.Buckets[2].Runs != 1 || latency.Buckets[1].Runs != 0 || latency.Partial {
		t.Errorf("latencies differ (-want +got):\n%s%+v", diff, latency)
	}
	s.ask("viewer", "GET", "/v1/stats/latency?q=status:cancelled,running&"+span, "").into(t, &latency)
	if latency.Whole.Runs != 1 || latency.Whole.Max != 9060 {
		t.Errorf("of those that were cancelled: %+v", latency.Whole)
	}
	var sums api.TimeSums
	s.ask("viewer", "GET", "/v1/stats/time?"+in, "").into(t, &sums)
	people := float64(5400 + 2*9000 + 9060)
	if diff := cmp.Diff(api.TimeSums{Sample: api.Sample{Runs: 5}, Workflows: []api.WorkflowTime{{Workflow: "approval", Runs: 4, People: people}, {Workflow: "broken", Runs: 1}}}, sums); diff != "" {
		t.Errorf("time differs (-want +got):\n%s", diff)
	}
	s.ask("viewer", "GET", "/v1/stats/time?from=2026-11-23T10:00:00Z&to=2026-11-23T11:00:00Z", "").into(t, &sums)
	if sums.Runs != 3 {
		t.Errorf("%d runs changed from ten to eleven, want 3", sums.Runs)
	}
}

// Counted by the store or one by one, searches count what a listing has, for everybody what they see.
func TestCountsAreOfWhatAListingHas(t *testing.T) {
	s := newServer(t, &gateway.Options{Workflows: []bide.Workflow{broken()}})
	for i := range 3 {
		for _, as := range []string{"operator", "operator@acme", "refunder"} {
			run := s.start(as, fmt.Sprintf(`{"workflow":"approval","input":{"amount":%d},"labels":{"team":"ops","n":"%d"}}`, i, i))
			if i == 1 {
				s.end(run)
			}
		}
		s.start("operator", `{"workflow":"broken"}`)
	}
	for _, as := range []string{"viewer", "viewer@acme", "viewer@empty", "refunder"} {
		for _, q := range []string{"", "status:waiting", "status:waiting,failed", "flow:broken", "flow:broken,approval status:completed", "approval", "label:n=1", "label:n",
			"wait:question", "since:1h", "until:1h", "version:1", "actor:operator"} {
			for _, internal := range []string{"false", "true"} {
				path := "?internal=" + internal + "&q=" + url.QueryEscape(q)
				var page api.RunPage
				s.ask(as, "GET", "/v1/runs"+path+"&limit=1000", "").into(t, &page)
				want := api.RunCounts{Workflows: []api.WorkflowCount{}}
				slices.SortFunc(page.Runs, func(a, b bide.RunInfo) int { return len(a.Workflow) - len(b.Workflow) })
				var got api.RunCounts
				s.ask(as, "GET", "/v1/stats/runs"+path, "").into(t, &got)
				for _, w := range got.Workflows {
					count := api.WorkflowCount{Workflow: w.Workflow}
					for _, r := range page.Runs {
						if r.Workflow == w.Workflow {
							count.Runs++
							count.Statuses.Add(r.Status, 1)
							want.Runs++
							want.Statuses.Add(r.Status, 1)
						}
					}
					want.Workflows = append(want.Workflows, count)
				}
				if diff := cmp.Diff(want, got); diff != "" || int(got.Runs) != len(page.Runs) {
					t.Errorf("%s counts %q: %d of %d (-want +got):\n%s", as, q, got.Runs, len(page.Runs), diff)
				}
			}
		}
	}
}

// In every order, pages put together are the whole, in that order.
func TestAListingHasItsOrder(t *testing.T) {
	s, clock := timed(t)
	var runs []*bide.Run
	for range 7 {
		runs = append(runs, s.start("operator", `{"workflow":"approval","input":{"amount":1}}`))
		clock.Advance(time.Minute)
	}
	for _, i := range []int{5, 0, 3} {
		s.end(runs[i])
		clock.Advance(time.Minute)
	}
	s.start("operator", `{"workflow":"broken"}`)
	number := map[string]int{}
	for i, run := range runs {
		number[run.ID] = i
	}
	for order, want := range map[string]string{
		"created": "[7 6 5 4 3 2 1 0]", "created_asc": "[0 1 2 3 4 5 6 7]", "updated": "[7 3 0 5 6 4 2 1]", "updated_asc": "[1 2 4 6 5 0 3 7]",
		"status": "[6 4 2 1 5 3 0 7]", "status_desc": "[7 5 3 0 6 4 2 1]",
	} {
		for _, limit := range []int{1, 2, 3, 100} {
			var got []int
			for cursor := ""; ; {
				var page api.RunPage
				s.ask("viewer", "GET", fmt.Sprintf("/v1/runs?order=%s&limit=%d&cursor=%s", order, limit, url.QueryEscape(cursor)), "").into(t, &page)
				for _, r := range page.Runs {
					n, ok := number[r.ID]
					if !ok {
						n = len(runs) // the broken one
					}
					got = append(got, n)
				}
				if cursor = page.Next; cursor == "" || len(got) > 20 {
					break
				}
			}
			if fmt.Sprint(got) != want {
				t.Errorf("in the order %s by pages of %d: %v, want %s", order, limit, got, want)
			}
		}
	}
	var page map[string]json.RawMessage
	s.ask("viewer", "GET", "/v1/runs?order=status&q=status:failed,completed&limit=3", "").into(t, &page)
	if next := string(page["next"]); next != `"failed/"` {
		t.Errorf("after the completed ones it goes on at %s", next)
	}
}
