package web_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// mails starts runs that each want to send a mail, and waits until all of them ask.
func (s *site) mails(t *testing.T, to ...string) (ids []string) {
	t.Helper()
	for _, address := range to {
		id := s.start(t, "mailing", fmt.Sprintf(`{"to":%q,"subject":"Refund"}`, address))
		s.awaitWait(t, id)
		ids = append(ids, id)
	}
	return ids
}

// Calls of one tool are decided about at once, but for those that one leaves out.
func TestCallsOfOneToolAreDecidedTogether(t *testing.T) {
	s := newSite(t)
	ids := s.mails(t, "ann@example.com", "bob@example.com", "zoe@example.com")
	p := s.newPage(t, "#/inbox")
	p.click(".wait-pane", "Decide about all 3 calls of send_email")
	p.sees(`document.querySelectorAll("dialog .lines input:checked").length === 3`)
	p.accessible("several calls to decide about")
	p.run(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("dialog .lines li")].find(e => e.innerText.includes("bob@")).querySelector("input").click()`))
	p.click("dialog footer", "Approve these")
	p.sees(`[...document.querySelectorAll("dialog .lines li")].filter(e => e.innerText.includes("approved")).length === 2`)
	for _, i := range []int{0, 2} {
		if run := s.ended(t, ids[i]); !strings.Contains(string(run.Output), "sent to ") {
			t.Errorf("the output is %s, want the mail sent", run.Output)
		}
	}
	if run, err := s.rt.Get(t.Context(), ids[1]); err != nil || len(run.Waits) != 1 {
		t.Errorf("the call that was left out was decided about: %v, %v", run, err)
	}
	p.click("dialog header", "✕")
	p.sees(`document.title.startsWith("(1) ")`)
}

// Every decision has its key.
func TestTheInboxIsAnsweredByKeys(t *testing.T) {
	s := newSite(t)
	ids := s.mails(t, "ann@example.com", "bob@example.com", "zoe@example.com")
	p := s.newPage(t, "#/inbox")
	here := func(address string) { t.Helper(); p.says(".wait-pane .json", address) }
	key := func(k string) { t.Helper(); p.run(chromedp.KeyEvent(k)) }
	here("ann@")
	key("n")
	here("bob@")
	key("n")
	here("zoe@")
	key("n")
	here("ann@")
	key("e")
	p.says(".wait-pane h4", "Your changes")
	p.click(".wait-pane", "Back")
	key("r")
	p.fill("Why not", "no more mails: a, e, r, x and n are letters here")
	p.click(".wait-pane", "Reject")
	p.says(".decided", "no more mails: a, e, r, x and n are letters here")
	key("n")
	here("bob@")
	key("x")
	p.fill("The result that the model gets", "it was sent by hand")
	p.click(".wait-pane", "Respond")
	p.says(".decided", "it was sent by hand")
	key("n")
	here("zoe@")
	key("a")
	p.says(".decided", "You answered. ann answered")
	for i, want := range []string{"no more mails", "it was sent by hand", "sent to zoe@example.com"} {
		if run := s.ended(t, ids[i]); !strings.Contains(string(run.Output), want) {
			t.Errorf("the output of run %d is %s, want %q in it", i, run.Output, want)
		}
	}
}

// What was allowed for a whole workflow is asked about again once the grant is taken away.
func TestAGrantIsRevoked(t *testing.T) {
	s := newSite(t)
	first := s.mails(t, "ann@example.com")[0]
	p := s.newPage(t, "#/inbox")
	p.sees(`(s => { if (!s) return false; s.value = "workflow tool"; s.dispatchEvent(new Event("change", {bubbles: true})); return true; })(document.querySelector(".wait-pane .answer select"))`)
	p.click(".wait-pane", "Approve")
	p.says(".decided", "approve")
	s.ended(t, first)
	s.ended(t, s.start(t, "mailing", `{"to":"bob@example.com","subject":"Refund"}`)) // nobody is asked
	p.run(chromedp.Navigate(p.base + "#/tools"))
	p.says(".card", "in the workflow mailing")
	p.click(".card .lines", "Revoke")
	p.says("dialog", "will ask again")
	p.click("dialog footer", "Revoke")
	p.sees(`!document.querySelector("main").innerText.includes("in the workflow mailing")`)
	s.mails(t, "zoe@example.com") // asks
}

// A list of objects is filled in as groups of fields, and what is half written stays when a group before it goes.
func TestAListIsFilledInByGroups(t *testing.T) {
	s := newSite(t)
	id := s.start(t, "ordering", `null`)
	s.awaitWait(t, id)
	p := s.newPage(t, "#/inbox")
	p.says(".wait-pane legend", "line 1")
	p.click(".wait-pane", "Add a line")
	p.click(".wait-pane", "Add a line")
	p.sees(`document.querySelectorAll(".wait-pane .list-item fieldset > legend").length > 5`) // three lines, each with its tags
	group := func(n int) string {
		return fmt.Sprintf(`[...document.querySelectorAll(".wait-pane legend")].find(l => l.innerText === "line %d").parentElement`, n)
	}
	write := func(n int, label, text string) {
		t.Helper()
		p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(f => { f.focus(); f.select(); })([...%s.querySelectorAll("label")].find(l => l.innerText.startsWith(%q)).control)`, group(n), label)), chromedp.KeyEvent(text))
	}
	write(1, "item", "gone")
	write(2, "item", "a")
	write(3, "item", "book")
	write(3, "count", "9007199254740993")
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".wait-pane [aria-label='Remove line 1']").click()`))
	p.sees(`document.querySelectorAll(".wait-pane [aria-label^='Remove line']").length === 2`)
	p.accessible("a list of groups")
	p.click(".wait-pane", "Answer")
	p.says(".fault", "minLength") // at the field of the first line
	write(1, "item", "pen")
	p.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`[...%s.querySelectorAll("button")].find(b => b.innerText.startsWith("Add")).click()`, group(1))))
	write(1, "item 1", "red")
	p.click(".wait-pane", "Answer")
	p.says(".decided", "You answered")
	if run := s.ended(t, id); !strings.Contains(string(run.Output), `{"lines":[{"count":1,"item":"pen","tags":["red"]},{"count":9007199254740993,"item":"book"}]}`) {
		t.Errorf("the output is %s, want both lines as they were written", run.Output)
	}
}

// A link that was made is taken back by itself.
func TestALinkIsTakenBack(t *testing.T) {
	s := newSite(t)
	s.mails(t, "ann@example.com")
	p := s.newPage(t, "#/inbox")
	p.click(".wait-pane", "Send a link")
	links := map[string]string{}
	for _, who := range []string{"bob", "zoe"} {
		p.fill("For whom", who)
		p.click("dialog", "Make it")
		p.sees(`!!document.querySelector("dialog .command code")`)
		links[who] = value[string](p, `document.querySelector("dialog .command code").innerText`)
		p.says("dialog .lines", "link:"+who)
		if who == "bob" {
			p.click("dialog footer", "Done")
			p.click(".wait-pane", "Send a link")
		}
	}
	p.accessible("links that were made")
	p.run(chromedp.Evaluate[chromedp.Void](`[...[...document.querySelectorAll("dialog .lines li")].find(e => e.innerText.includes("link:bob")).querySelectorAll("button")].find(b => b.innerText === "Take back").click()`))
	p.says("dialog .lines", "taken back by ann")
	for who, want := range map[string]int{"bob": http.StatusGone, "zoe": http.StatusOK} {
		resp, err := http.Get(links[who])
		check(t, err)
		body, err := io.ReadAll(resp.Body)
		check(t, err)
		check(t, resp.Body.Close())
		if resp.StatusCode != want || strings.Contains(string(body), "send_email") != (want == http.StatusOK) {
			t.Errorf("the link of %s = %d, want %d:\n%s", who, resp.StatusCode, want, body)
		}
	}
}
