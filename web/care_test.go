package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/ledger"
	"github.com/bide-dev/bide/ledger/transfer"
)

// A record is marked, found again, compared with another one, and forked from.
func TestARecordIsBookmarked(t *testing.T) {
	s := newSite(t)
	id := s.start(t, "refund", `{"order":"order-42","amount":120}`)
	wait := s.awaitWait(t, id)
	other := s.start(t, "refund", `{"order":"order-43","amount":9}`)
	s.awaitWait(t, other)
	_, err := s.rt.Resume(t.Context(), id, wait.ID, "approve")
	check(t, err)
	p := s.newPage(t, "#/runs/"+id+"?seq=1")
	mark := func(name, tags, note string) {
		t.Helper()
		p.click(".inspector header", "Bookmark")
		p.fill("Name", name)
		p.fill("Tags", tags)
		p.fill("Note", note)
		p.click("dialog", "Keep it")
		p.says(".marks", name)
	}
	mark("before the answer", "review ops", "as it came <b>in</b>")
	p.accessible("a run with a bookmark")
	p.run(chromedp.Navigate("about:blank"), chromedp.Navigate(p.base+"#/runs/"+other))
	p.says(".inspector h3", "wait.opened")
	mark("the other one", "review", "")
	p.click("nav", "⚑")
	p.sees(`document.querySelectorAll(".lines li").length === 2`)
	p.accessible("bookmarks")
	p.click(".toolbar", "ops")
	p.sees(`document.querySelectorAll(".lines li").length === 1`)
	p.says(".lines", "as it came <b>in</b>")
	p.click(".toolbar", "All")
	p.fillSearch("other")
	p.sees(`document.querySelectorAll(".lines li").length === 1 && document.querySelector(".lines").innerText.includes("the other one")`)
	p.fillSearch(" ")
	p.sees(`document.querySelectorAll(".lines li").length === 2`)

	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll(".lines li input").forEach(e => e.click())`))
	p.click(".bulk", "Compare")
	p.says(".changes", "order-43") // the vars then
	p.says(".cards", "First that differs")
	p.accessible("two runs compared")

	p.run(chromedp.Navigate(p.base + "#/bookmarks"))
	p.click(".lines", "before the answer")
	p.says(".sentence", "After record 1")
	p.sees(`document.querySelector(".marks [aria-pressed=true]")?.innerText.includes("before the answer")`)
	p.run(chromedp.Navigate(p.base + "#/bookmarks"))
	p.click(".lines", "Fork")
	p.says("dialog", "goes on from the state after this record")
	p.click("dialog footer", "Fork")
	p.says(".sentence", "Refund 120 EUR for order-42?")
	p.sees(fmt.Sprintf(`!location.hash.includes(%q)`, id))

	p.run(chromedp.Navigate(p.base + "#/bookmarks"))
	p.click(".lines", "Remove")
	p.says("dialog", "the run stays")
	p.click("dialog footer", "Remove")
	p.sees(`document.querySelectorAll("main .lines li").length === 1`)
}

// Old runs are looked at and removed; one that is held says why, and stays.
func TestOldRunsAreRemovedButForWhatIsHeld(t *testing.T) {
	s := newSite(t)
	var ids []string
	for range 3 {
		id := s.start(t, "reporting", `{}`)
		s.ended(t, id)
		ids = append(ids, id)
	}
	busy := s.start(t, "counting", `null`)
	s.awaitWait(t, busy)
	p := s.newPage(t, "#/runs/"+ids[0])
	p.says("details", "Keeping it")
	p.run(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("summary")].find(e => e.innerText === "Keeping it").click()`))
	p.says("details", "Nothing keeps it")
	p.click("details[open]", "Hold it")
	p.fill("Why it must be kept", "a lawsuit")
	p.click("dialog footer", "Hold it")
	p.says("details", "a lawsuit, by ann")
	p.click(".sentence", "Delete")
	p.click("dialog footer", "Delete")
	p.says("dialog .refusal", "a hold is on its tree")

	p.run(chromedp.Navigate("about:blank"), chromedp.Navigate(p.base+"#/retention"))
	p.says(".lines", "a lawsuit")
	p.click(".card", "Look what would go")
	p.says("[role=status]", "Nothing would go")
	p.run(chromedp.Evaluate[chromedp.Void](`{ const f = document.querySelector("[aria-label='Days ago']"); f.focus(); f.select(); }`), chromedp.KeyEvent("0.000001"))
	p.sees(`!document.querySelector("main [role=status]")`) // what was seen was seen of other rules
	p.click(".card", "Look what would go")
	p.says("[role=status]", "2 trees with 2 runs would go")
	p.says("[role=status]", "One tree would stay for a hold.")
	p.accessible("what would be removed")
	if run, err := s.rt.Get(t.Context(), ids[1]); err != nil {
		t.Errorf("looking removed run %v: %v", run, err)
	}
	p.click("[role=status]", "Remove 2 trees")
	p.says("dialog", "2 runs go for good")
	p.click("dialog footer", "Remove 2 trees")
	p.says(".decided", "2 trees with 2 runs removed")
	for i, id := range ids {
		want := http.StatusNotFound
		if i == 0 {
			want = http.StatusOK
		}
		if got := s.ask(t, http.MethodGet, "/v1/runs/"+id); got != want {
			t.Errorf("run %d = %d, want %d", i, got, want)
		}
	}
	p.click(".lines", "Lift the hold")
	p.click("dialog footer", "Lift the hold")
	p.sees(`document.querySelectorAll("[aria-label=Holds] li").length === 0`)
	p.click("[aria-label=Space]", "Remove unused artifacts")
	p.says("dialog", "All stores that share the artifacts")
	p.click("dialog footer", "Remove unused artifacts")
	p.says("[aria-label=Space] [role=status]", "0 artifacts removed")
	p.click("[aria-label=Space]", "Compact the store")
	p.click("dialog footer", "Compact the store")
	p.says("dialog .refusal", "needs no compacting")
}

// The strip of evidence says what nobody has signed, who signed the rest, and hands over a proof that holds.
func TestASignatureIsShownAndProved(t *testing.T) {
	s := newSite(t)
	id := s.start(t, "counting", `null`)
	s.awaitWait(t, id)
	p := s.newTab(t)
	p.run(before(`const url = URL.createObjectURL; URL.createObjectURL = (b) => { b.text?.().then((t) => { window.saved = t; }); return url(b); };`), chromedp.Navigate(p.base+"#/runs/"+id))
	p.says(".trust", "Ledger verified")
	p.says(".trust", "No signed checkpoint speaks for it yet")
	p.click(".trust", "Sign now")
	p.says("dialog", "with its key")
	p.click("dialog footer", "Sign now")
	signed := s.length(t, id)
	p.says(".trust", "Signed by site+")
	p.says(".trust", fmt.Sprintf("speaks for all %d records", signed))
	p.says(".trust", "Checked with the key of this server")
	p.accessible("a run that is signed")
	p.click(".trust", "Download the proof")
	p.sees(`!!window.saved`)
	proof, err := ledger.ParseProof([]byte(value[string](p, "window.saved")))
	check(t, err)
	if leaf, _, err := proof.RunProof.Check(s.keys); err != nil || leaf.RunID != id || leaf.Seq != signed {
		t.Errorf("the proof shows %v, %v; want record %d of run %s", leaf, err, signed, id)
	}
	check(t, s.rt.Send(t.Context(), bide.Event{ScopeID: id, Name: "go"}))
	p.sees(fmt.Sprintf(`document.querySelector(".scrub-at")?.innerText.includes("of %d ")`, s.length(t, id)))
	p.click(".trust", "Verify")
	p.says(".trust", fmt.Sprintf("speaks for records 1 to %d; the ", signed))
}

// Runs are taken out as a file and put in from one, which is refused when it was changed; the store is signed as a whole.
func TestRunsComeAndGoAsFiles(t *testing.T) {
	from, to := newSite(t), newSite(t)
	id := from.start(t, "refund", `{"order":"order-42","amount":120}`)
	from.awaitWait(t, id)
	p := from.newPage(t, "#/settings")
	p.says("[aria-label=Checkpoints]", "Nothing is signed yet")
	p.click("[aria-label=Checkpoints]", "Sign now")
	p.click("dialog footer", "Sign now")
	p.says("[aria-label=Checkpoints]", "entries")
	p.accessible("settings")
	file := value[string](p, `fetch([...document.querySelectorAll("[aria-label='Moving runs'] a")].find(a => a.innerText === "Export all runs").href).then(r => r.text())`)
	if content, err := transfer.Inspect(strings.NewReader(file), nil, nil); err != nil || !content.OK() || content.Runs != 1 {
		t.Fatalf("the export is %+v, %v; want one run", content, err)
	}

	p = to.newPage(t, "#/settings")
	choose := func(content string) {
		t.Helper()
		p.sees(`!!document.querySelector("input[type=file]")`)
		p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`{ const f = document.querySelector("input[type=file]"), d = new DataTransfer();
			d.items.add(new File([%q], "all.bide")); f.files = d.files; f.dispatchEvent(new Event("change", {bubbles: true})); }`, content)))
		p.click("[aria-label='Moving runs'] form", "Import")
	}
	choose(strings.Replace(file, "order-42", "order-43", 1))
	p.says("[aria-label='Moving runs'] .refusal", "the file was changed")
	if got := to.ask(t, http.MethodGet, "/v1/runs/"+id); got != http.StatusNotFound {
		t.Errorf("a run of the changed file = %d, want 404", got)
	}
	p.run(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("[aria-label='Moving runs'] form input[type=checkbox]")].at(-1).click()`))
	p.says("[aria-label='Moving runs']", "Make sure that they do not go on where they come from")
	choose(file)
	p.says("[aria-label='Moving runs'] [role=status]", "one run imported, 0 here already; 1 to go on, 0 as history")
	choose(file)
	p.says("[aria-label='Moving runs'] [role=status]", "0 runs imported, 1 here already")
	p.run(chromedp.Navigate(p.base + "#/inbox"))
	p.says("main", "Refund 120 EUR for order-42?")
}
