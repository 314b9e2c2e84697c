package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/bide-dev/bide/flow"
)

// A token is made, shown once, counts, and is revoked.
func TestATokenIsMadeAndRevoked(t *testing.T) {
	s := newSite(t)
	p := s.newPage(t, "#/settings")
	p.click(".card", "Make a token")
	p.fill("Name", "shop")
	p.click("dialog", "Make it")
	p.says("dialog", "shown this once")
	token := value[string](p, `document.querySelector("dialog .command code").innerText`)
	p.accessible("a token that is shown")
	status := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/me", nil)
		check(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		check(t, err)
		check(t, resp.Body.Close())
		return resp.StatusCode
	}
	if got := status(); got != http.StatusOK {
		t.Errorf("with the token = %d, want 200", got)
	}
	p.click("dialog footer", "Done")
	p.says(".lines", "token:shop, viewer")
	if strings.Contains(value[string](p, "document.body.innerText"), token) {
		t.Error("the token is still shown")
	}
	p.click(".lines", "Revoke")
	p.says("dialog", "locked out at once")
	p.click("dialog footer", "Revoke")
	p.says(".lines", "revoked")
	if got := status(); got != http.StatusUnauthorized {
		t.Errorf("with the revoked token = %d, want 401", got)
	}
}

// A webhook is made, a message is delivered, and sent again.
func TestAMessageOfAWebhookIsSentAgain(t *testing.T) {
	s := newSite(t)
	var got atomic.Int32
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil && strings.Contains(string(body), "run.completed") {
			got.Add(1)
		}
	}))
	defer receiver.Close()
	p := s.newPage(t, "#/events")
	p.click(".card", "Make a webhook")
	p.fill("Address", receiver.URL)
	p.accessible("making a webhook")
	p.click("dialog", "Make it")
	p.says("dialog", "whsec_")
	p.click("dialog footer", "Done")
	p.says(".webhook", receiver.URL)
	s.ended(t, s.start(t, "reporting", `{}`))
	p.says(".webhook .lines", "completed")
	p.click(".webhook .lines", "Send again")
	p.sees(`document.querySelectorAll(".webhook .lines li").length === 2 && [...document.querySelectorAll(".webhook .lines .status")].every(e => e.innerText.includes("completed"))`)
	if n := got.Load(); n != 2 {
		t.Errorf("the receiver got %d messages, want 2", n)
	}
}

// Two versions are drawn as one, with what is new and what is gone; nodes show what runs did there.
func TestVersionsAreComparedAndNodesCounted(t *testing.T) {
	s := newSite(t)
	id := s.start(t, "refund", `{"order":"order-42","amount":120}`)
	s.awaitWait(t, id)
	p := s.newPage(t, "#/workflows/refund")
	p.says(".graph .node", "1×, none fails, 1 here")
	next := strings.Replace(strings.Replace(refund, `version: "1"`, `version: "2"`, 1), "  - say: Refunded.\n", "  - id: check\n    say: Checked.\n", 1)
	doc, err := flow.Parse("refund.yaml", []byte(next))
	check(t, err)
	check(t, flow.Publish(t.Context(), s.rt, doc))
	p.run(chromedp.Navigate("about:blank"), chromedp.Navigate(p.base+"#/workflows/refund"))
	p.says("h1 + p", " 2 ")
	p.sees(`(s => { const o = s && [...s.options].find(o => o.text.startsWith("1 ")); if (!o) return false; s.value = o.value; s.dispatchEvent(new Event("change", {bubbles: true})); return true; })([...document.querySelectorAll("label")].find(l => l.innerText.startsWith("Compare"))?.control)`)
	p.says(".graph .node.added", "check")
	p.says(".graph .node.removed", "say@")
	p.accessible("two versions")
}

// Charts count what happened, and can be read as tables.
func TestChartsCountWhatHappened(t *testing.T) {
	s := newSite(t)
	for range 3 {
		s.ended(t, s.start(t, "reporting", `{}`))
	}
	s.start(t, "counting", `null`)
	p := s.newPage(t, "#/charts")
	p.says(".card", "4 started, 3 completed, 0 failed")
	p.says(".shares", "counting")
	// They may have ended before and after the full hour.
	p.sees(`[...document.querySelectorAll(".chart table")].some(t => [1, 2, 3].map(i => [...t.tBodies[0].rows].reduce((n, r) => n + Number(r.cells[i].textContent), 0)).join() === "3,0,0")`)
	p.run(chromedp.Navigate(p.base + "#/runs"))
	for _, chip := range []string{"Completed 3", "All 4"} {
		p.sees(`[...document.querySelectorAll(".chip")].some(e => e.textContent === "` + chip + `")`)
	}
}
