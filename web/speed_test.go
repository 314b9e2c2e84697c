package web_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/storetest"
)

// What these tests log with -v is how long it took in the browser, from the navigation on; docs/ui.md has the figures.

// A run of 10,000 records opens whole, in all three views, and no more rows are drawn than are in sight.
func TestALongRunIsOpenedAndScrolled(t *testing.T) {
	s := newSite(t)
	run, err := s.rt.Start(t.Context(), marching(), map[string]int{"steps": 5000}, &bide.StartOptions{MaxSteps: 100_000})
	check(t, err)
	s.ended(t, run.ID)
	total := s.length(t, run.ID)
	if total < 10_000 {
		t.Fatalf("the run has %d records, want 10,000", total)
	}
	p := s.newPage(t, "")
	p.says(".connection", "Live")
	for view, drawn := range map[string]string{"graph": ".graph .node.completed", "timeline": ".timeline .bar", "ledger": ".ledger .rec"} {
		p.run(chromedp.Navigate("about:blank"), chromedp.Navigate(p.base+"#/runs/"+run.ID+"?view="+view))
		p.sees(fmt.Sprintf(`document.querySelector(".scrub-at")?.innerText.includes("of %d ") && !!document.querySelector(%q)`, total, drawn))
		t.Logf("%s of %d records: %.0f ms; first paint %.0f ms", view, total, value[float64](p, "performance.now()"), value[float64](p, `performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0`))
	}
	for view, want := range map[string][2]string{"timeline": {".timeline", ".lane"}, "ledger": {".ledger", ".rec"}} {
		p.click(".tabs", map[string]string{"timeline": "Timeline", "ledger": "Ledger"}[view])
		p.sees(fmt.Sprintf(`document.querySelectorAll(%q).length > 5`, want[1]))
		longest := value[float64](p, fmt.Sprintf(`(async () => {
			const box = document.querySelector(%q);
			let longest = 0, last = performance.now();
			for (let i = 0; i <= 60; i++) {
				box.scrollTop = box.scrollHeight * i / 60;
				await new Promise(requestAnimationFrame);
				longest = Math.max(longest, performance.now() - last);
				last = performance.now();
			}
			return longest;
		})()`, want[0]))
		t.Logf("scrolled through the %s: the longest frame took %.0f ms", view, longest)
		if n := value[int](p, fmt.Sprintf(`document.querySelectorAll(%q).length`, want[1])); n > 200 {
			t.Errorf("the %s draws %d rows at once", view, n)
		}
	}
	p.click(".tabs", "Ledger")
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".ledger").scrollTop = 1e9`))
	p.says(".rec .seq", fmt.Sprint(total))
	p.record("run.completed")
	p.says(".inspector h3", fmt.Sprintf("#%d", total))
}

// Among 100,000 runs a search finds its few at once.
func TestAHundredThousandRunsAreSearched(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "bide.db"), nil)
	check(t, err)
	s := newSiteOn(t, store)
	const many = 100_000
	for from := 0; from < many; from += 1000 {
		parent := storetest.NewChain(fmt.Sprintf("batch-%06d", from))
		parent.Info.Workflow, parent.Info.Status = "batch", bide.StatusCompleted
		batch := parent.Next(1)
		for i := from; i < from+1000; i++ {
			c := storetest.NewChain(fmt.Sprintf("run-%06d", i))
			c.Info.CreatedAt = c.Info.CreatedAt.Add(time.Duration(i+1) * time.Second)
			c.Info.Status, c.Info.EndedAt = bide.StatusCompleted, c.Info.CreatedAt.Add(time.Second)
			if i%1000 == 7 {
				c.Info.Status = bide.StatusFailed
			}
			c.Info.Workflow = []string{"refund", "report", "mail"}[i%3]
			c.Info.Labels = map[string]string{"customer": fmt.Sprint("c", i%500)}
			batch.Starts = append(batch.Starts, c.Next(1))
		}
		check(t, s.store.Commit(t.Context(), batch))
	}
	p := s.newPage(t, "")
	p.says(".connection", "Live")
	search := func(q, first string, rows int) {
		t.Helper()
		began := time.Now()
		p.fillSearch(q)
		p.sees(fmt.Sprintf(`document.querySelectorAll("table.runs tbody tr").length === %d && document.querySelector("table.runs tbody tr").innerText.includes(%q)`, rows, first))
		t.Logf("%q among %d runs: %d ms", q, many, time.Since(began).Milliseconds())
	}
	p.run(chromedp.Navigate("about:blank"), chromedp.Navigate(p.base+"#/runs"))
	p.sees(`document.querySelectorAll("table.runs tbody tr").length === 100`)
	t.Logf("the list of %d runs: %.0f ms", many, value[float64](p, "performance.now()"))
	// Columns sort all of them, not those that are shown.
	for _, c := range []struct{ column, first, order string }{
		{"Status", "run-099999", "status"}, {"Status", "run-099007", "status_desc"}, {"Changed", "run-099999", "updated"}, {"Changed", "batch-", "updated_asc"}, {"Started", "run-099999", "created"}, {"Started", "batch-", "created_asc"},
	} {
		began := time.Now()
		p.click("thead", c.column)
		p.sees(fmt.Sprintf(`document.querySelector("table.runs tbody tr")?.innerText.includes(%q) && (new URLSearchParams(location.hash.split("?")[1]).get("order") ?? "created") === %q`, c.first, c.order))
		t.Logf("sorted by %s: %d ms", c.order, time.Since(began).Milliseconds())
	}
	p.sees(`document.querySelector("th[aria-sort=ascending]")?.innerText.startsWith("Started")`)
	p.click(".pager", "Next page")
	p.says(".pager", "page 2")
	p.click("thead", "Started")
	p.sees(`!document.querySelector(".pager").innerText.includes("page 2") && document.querySelector("th[aria-sort=descending]")?.innerText.startsWith("Started")`)
	search("status:failed", "run-099007", 100)
	search("flow:refund label:customer=c42", "run-099", 67)
	search("054321", "run-054321", 1) // a word: read through, page by page
}

// fillSearch searches runs.
func (p *page) fillSearch(q string) {
	p.t.Helper()
	p.run(chromedp.Evaluate[chromedp.Void](`{ const box = document.querySelector("input[type=search]"); box.focus(); box.select(); }`), chromedp.KeyEvent("\b"), chromedp.KeyEvent(q+"\r"))
}
