package search_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/search"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestASearchIsWordsAndFields(t *testing.T) {
	for text, want := range map[string]search.Query{
		"":                                 {},
		"  order   42 ":                    {Words: []string{"order", "42"}},
		`"Order 42" x`:                     {Words: []string{"order 42", "x"}},
		`"a:b"`:                            {Words: []string{"a:b"}},
		"status:waiting,failed":            {Statuses: []bide.Status{"waiting", "failed"}},
		"status:waiting status:paused":     {Statuses: []bide.Status{"waiting", "paused"}},
		"flow:refund version:3":            {Workflows: []string{"refund"}, Versions: []string{"3"}},
		"label:team=ops label:urgent":      {Labels: []search.Label{{Name: "team", Value: "ops"}, {Name: "urgent", Any: true}}},
		`label:team="front desk"`:          {Labels: []search.Label{{Name: "team", Value: "front desk"}}},
		"since:90m":                        {Since: now.Add(-90 * time.Minute)},
		"since:3d until:2w":                {Since: now.AddDate(0, 0, -3), Until: now.AddDate(0, 0, -14)},
		"until:2026-11-01":                 {Until: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)},
		"since:2026-11-01T10:00:00Z":       {Since: time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)},
		"session:s parent:p actor:a key:k": {Sessions: []string{"s"}, Parents: []string{"p"}, Actors: []string{"a"}, Keys: []string{"k"}},
		"wait:question root:r":             {Waiting: bide.WaitQuestion, Roots: []string{"r"}},
		"is:set-aside is:due":              {SetAside: true, Due: now},
	} {
		got, err := search.Parse(text, now)
		if err != nil {
			t.Errorf("Parse(%q) = %v", text, err)
		} else if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("Parse(%q) differs (-want +got):\n%s", text, diff)
		}
	}
}

func TestEveryFaultOfASearchIsNamedWithAWayOut(t *testing.T) {
	for text, want := range map[string]string{
		"stauts:waiting":          `did you mean "status"?`,
		"status:wating":           `did you mean "waiting"?`,
		"status:done":             "it is one of running, waiting",
		"colour:red":              "fields are status, flow",
		"http://example.com":      "quote it",
		"since:yesterday":         "write how long ago",
		"since:-1h":               "write how long ago",
		"since:":                  "for example since:1h",
		"label:=x":                "label:team=ops",
		"wait:qestion":            `did you mean "question"?`,
		"wait:lunch":              "it is one of question, form",
		"wait:question wait:form": "one kind of wait",
		"is:late":                 "is:set-aside and is:due",
		`"open`:                   "open at the end",
		"stauts:x since:y":        "since:y",
	} {
		_, err := search.Parse(text, now)
		if !errors.Is(err, bide.ErrInvalidInput) || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, want ErrInvalidInput that says %q", text, err, want)
		}
	}
	var e *bide.Error
	if _, err := search.Parse("stauts:x since:y ok", now); !errors.As(err, &e) || len(e.Faults) != 2 {
		t.Errorf("two faults give %v", err)
	}
}

func TestARunMatchesWhenEveryPartDoes(t *testing.T) {
	run := bide.RunInfo{ID: "0192-abc", Workflow: "refund", Version: "3", Status: bide.StatusWaiting, Node: "ask", Key: "order-42", Session: "s1",
		Actor: "Ann", Parent: "p", Labels: map[string]string{"team": "ops"}, CreatedAt: now.Add(-time.Hour), WakeAt: now.Add(-time.Minute), SetAside: "broken"}
	for text, want := range map[string]bool{
		"":                                  true,
		"status:waiting flow:refund":        true,
		"status:failed":                     false,
		"status:failed,waiting":             true,
		"flow:refund flow:other":            true,
		"flow:ref":                          false,
		"version:3":                         true,
		"version:4":                         false,
		"label:team":                        true,
		"label:team=ops":                    true,
		"label:team=dev":                    false,
		"label:team=ops label:urgent":       false,
		"since:2h":                          true,
		"since:30m":                         false,
		"until:30m":                         true,
		"until:2h":                          false,
		"ORDER-4":                           true,
		"ann":                               true,
		"team=op":                           true,
		"order-42 nothing":                  false,
		"actor:Ann key:order-42 session:s1": true,
		"actor:ann":                         false,
		"parent:p is:set-aside is:due":      true,
		"parent:q":                          false,
	} {
		q, err := search.Parse(text, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Match(&run); got != want {
			t.Errorf("Match(%q) = %v, want %v", text, got, want)
		}
	}
	for text, change := range map[string]func(*bide.RunInfo){
		"is:set-aside": func(r *bide.RunInfo) { r.SetAside = "" },
		"is:due":       func(r *bide.RunInfo) { r.WakeAt = now.Add(time.Second) },
	} {
		other := run
		change(&other)
		q, err := search.Parse(text, now)
		if err != nil {
			t.Fatal(err)
		}
		if q.Match(&other) {
			t.Errorf("Match(%q) = true for a run that is not so", text)
		}
	}
}

func TestWhatAStoreCanCountIsTold(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "status:failed,waiting flow:a,b since:1h wait:form is:set-aside label:team=ops session:s root:r parent:p": true,
		"order": false, "version:1": false, "actor:ann": false, "key:k": false, "session:a,b": false, "parent:a,b": false, "root:a,b": false,
		"is:due": false, "label:team": false, "label:team=ops label:team=sales": false,
	} {
		if got := bide.Must(search.Parse(text, now)).Countable(); got != want {
			t.Errorf("%q is countable: %v, want %v", text, got, want)
		}
	}
}

func TestAMisspeltNameFindsTheNearest(t *testing.T) {
	names := []string{"store", "output", "actor", "worker.runs"}
	for name, want := range map[string]string{"stroe": "store", "outptu": "output", "Actor": "actor", "worker.run": "worker.runs", "sto": "store", "xyz": "", "so": "", "": ""} {
		if got := search.Nearest(name, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

// What the store is asked for must never leave out a run that matches.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"status:waiting flow:refund since:1h label:k=v text", `"a b" is:due`, "since:2w until:1d", "flow:a,b session:x"} {
		f.Add(seed, "refund", "waiting", "s")
	}
	f.Fuzz(func(t *testing.T, text, workflow, status, session string) {
		q, err := search.Parse(text, now)
		if err != nil {
			if !errors.Is(err, bide.ErrInvalidInput) {
				t.Fatalf("Parse(%q) = %v, want ErrInvalidInput", text, err)
			}
			return
		}
		run := bide.RunInfo{ID: "r", Workflow: workflow, Status: bide.Status(status), Session: session, CreatedAt: now}
		rq := q.RunQuery()
		if q.Match(&run) && (rq.Workflow != "" && rq.Workflow != workflow || rq.Status != "" && rq.Status != run.Status || rq.Session != "" && rq.Session != session) {
			t.Errorf("Parse(%q): RunQuery %+v leaves out a run that matches: %+v", text, rq, run)
		}
	})
}
