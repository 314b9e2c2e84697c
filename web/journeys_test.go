package web_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/bide-dev/bide"
)

func TestAFlowIsStartedByItsForm(t *testing.T) {
	s := newSite(t)
	p := s.newPage(t, "#/workflows")
	p.click("table", "refund")
	p.fill("amount", "-1")
	p.fill("order", "order-7")
	p.click(".start", "Start")
	p.says(".refusal", "/amount")
	p.sees(`document.querySelectorAll("[aria-invalid]").length === 1`)
	p.accessible("a form with a fault")
	p.fill("amount", "9007199254740993")
	p.click(".start", "Start")
	p.says(".sentence", "It waits for a person's answer: “Refund 9007199254740993 EUR for order-7?”")
	run := s.only(t)
	if got, _, err := run.Vars.Raw("input"); err != nil || !strings.Contains(string(got), `"amount":9007199254740993`) {
		t.Errorf("the input of the run is %s, %v; want the amount as it was written", got, err)
	}
}

func TestAQuestionAndAFormAreAnswered(t *testing.T) {
	s := newSite(t)
	id := s.start(t, "refund", `{"order":"order-42","amount":120}`)
	s.awaitWait(t, id)
	p := s.newPage(t, "#/inbox")
	p.sees(`document.title.startsWith("(1) ")`)
	p.click(".wait-pane", "approve")
	p.says(".decided", "You answered. ann answered")
	p.says(".wait-list", "How was it paid?")
	p.run(chromedp.KeyEvent("n"))
	p.says(".wait-pane h2", "How was it paid?")
	p.fill("receipt", "R1")
	p.click(".wait-pane", "Answer")
	p.says(".fault, .refusal", "minLength") // the server's word
	p.fill("receipt", "R-17")
	p.click(".wait-pane", "Answer")
	p.says(".decided", "You answered")
	p.sees(`!document.title.startsWith("(")`)
	run := s.ended(t, id)
	if want := `{"paid":true,"receipt":"R-17"}`; string(run.Output) != want {
		t.Errorf("the output is %s, want %s", run.Output, want)
	}
}

func TestACallIsApprovedWithAnEditThatTheLedgerShows(t *testing.T) {
	s := newSite(t)
	id := s.start(t, "mailing", `{"to":"bob@example.com","subject":"Refund"}`)
	s.awaitWait(t, id)
	p := s.newPage(t, "#/inbox")
	p.says(".wait-pane h2", "May it call send_email?")
	p.run(chromedp.KeyEvent("e"))
	p.fill("to", "ann@example.com")
	p.says(".changes del", "bob@example.com")
	p.says(".changes ins", "ann@example.com")
	p.accessible("a call that is edited")
	p.fill("Why (for the ledger)", "wrong person")
	p.click(".wait-pane", "Approve with these arguments")
	p.says(".decided", "edit")
	if run := s.ended(t, id); !strings.Contains(string(run.Output), "sent to ann@example.com") {
		t.Errorf("the output is %s, want the mail sent to the address of the edit", run.Output)
	}
	p.run(chromedp.Navigate(p.base + "#/runs/" + id + "?view=ledger"))
	p.click(".tabs", "Ledger")
	p.says(".rec.wait", "edit")
	p.record("wait.resolved")
	p.says(".inspector", "wrong person")
	p.says(".trust", "Ledger verified")
}

func TestACallIsRejected(t *testing.T) {
	s := newSite(t)
	id := s.start(t, "mailing", `{"to":"bob@example.com","subject":"Refund"}`)
	s.awaitWait(t, id)
	p := s.newPage(t, "#/runs/"+id)
	p.click(".inline-wait", "Reject")
	p.fill("Why not", "not on Fridays")
	p.click(".inline-wait", "Reject")
	p.says(".decided", "not on Fridays")
	if run := s.ended(t, id); !strings.Contains(string(run.Output), "not on Fridays") {
		t.Errorf("the output is %s, want the reason of the rejection", run.Output)
	}
	p.says(".sentence", "It completed")
}

func TestOfTwoPeopleTheSecondSeesWhatTheFirstAnswered(t *testing.T) {
	s := newSite(t)
	id := s.start(t, "refund", `{"order":"order-42","amount":120}`)
	wait := s.awaitWait(t, id)
	live := s.newPage(t, "#/runs/"+id)
	live.says(".inline-wait", "Refund 120 EUR for order-42?")
	late := s.newTab(t)
	late.run(before(`window.EventSource = class extends EventTarget {}; EventSource.CLOSED = 2;`), chromedp.Navigate(late.base+"#/inbox"))
	late.says(".wait-pane h2", "Refund 120 EUR for order-42?")
	_, err := s.rt.Resume(t.Context(), id, wait.ID, "reject", bide.Command{Actor: "zoe"})
	check(t, err)
	live.sees(`[...document.querySelectorAll(".decided")].some(e => /zoe answered (just now|.* ago): “reject”/.test(e.innerText))`)
	late.click(".wait-pane", "approve") // it has no word of zoe yet
	late.says(".decided", "zoe answered")
	late.says(".decided", "Your answer came after it and changed nothing.")
	if run := s.ended(t, id); string(run.Output) != `{"paid":false}` {
		t.Errorf("the output is %s; the second person changed it", run.Output)
	}
}

func TestARunIsWatchedLiveAndScrubbedBack(t *testing.T) {
	s := newSite(t)
	id := s.start(t, "counting", `null`)
	s.awaitWait(t, id)
	p := s.newPage(t, "#/runs/"+id+"?view=ledger")
	for n := 1; n <= 3; n++ {
		p.says(".sentence", "It waits for the event")
		p.sees(fmt.Sprintf(`document.querySelectorAll(".rec").length === %d`, s.length(t, id)))
		check(t, s.rt.Send(t.Context(), bide.Event{ScopeID: id, Name: "go", Payload: n}))
		p.sees(fmt.Sprintf(`document.querySelectorAll(".rec").length > %d`, 3*n))
	}
	p.says(".sentence", "It completed")
	total := s.length(t, id)
	p.sees(fmt.Sprintf(`document.querySelectorAll(".rec").length === %d`, total))

	p.run(chromedp.Evaluate[chromedp.Void](`{ const r = document.querySelector("input[type=range]"); r.value = 3; r.dispatchEvent(new InputEvent("input", {bubbles: true})); }`))
	p.says(".sentence", "After record 3: It waits for the event")
	p.sees(`location.hash.includes("seq=3")`)
	p.click(".inspector .tabs", "State then")
	p.sees(`document.querySelector(".inspector .json")?.innerText.replace(/\s/g, "").includes("n:1")`)
	p.click(".tabs", "Graph")
	p.says(".graph .node.waiting", "count")
	p.click(".tabs", "Timeline")
	p.sees(`document.querySelectorAll(".timeline .bar.waited").length === 1`)
	p.click(".sentence", "Back to now")
	p.says(".sentence", "It completed")
	p.sees(`document.querySelectorAll(".timeline .bar.waited").length === 3`)
}

func TestAFailedRunIsRetried(t *testing.T) {
	s := newSite(t)
	id := s.start(t, "payment", `null`)
	p := s.newPage(t, "#/")
	p.says(".card", "Failed")
	p.click(".card", "payment")
	p.says(".sentence", "It failed")
	p.says(".sentence", "the bank <b>is closed</b>")
	s.ready.Store(true)
	p.click(".sentence", "Retry")
	p.says("dialog", "Effects that failed are made again")
	p.accessible("a dialog")
	p.fill("Reason", "the bank is open")
	p.click("dialog footer", "Retry")
	p.says(".sentence", "It completed")
	p.click(".tabs", "Ledger")
	p.says(".rec", "the bank is open")
	s.ended(t, id)
}

// Whatever workflows and people write is shown as they wrote it, and is never markup.
func TestWhatOthersWriteIsNeverRun(t *testing.T) {
	s := newSite(t)
	evil := `<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>javascript:alert(1)`
	raw, err := json.Marshal(evil)
	check(t, err)
	refund := s.start(t, "refund", fmt.Sprintf(`{"order":%s,"amount":1}`, raw))
	mail := s.start(t, "mailing", fmt.Sprintf(`{"to":%s,"subject":%s,"body":%s}`, raw, raw, raw))
	wait := s.awaitWait(t, refund)
	s.awaitWait(t, mail)
	s.post(t, "/v1/runs", fmt.Sprintf(`{"workflow":"counting","input":%s,"key":%s,"session":%s,"labels":{"team":%s}}`, raw, raw, raw, raw))
	s.post(t, "/v1/schedules", fmt.Sprintf(`{"name":"weekly","cron":"@weekly","workflow":"counting","input":%s}`, raw))
	s.post(t, "/v1/tokens", fmt.Sprintf(`{"name":%s,"roles":["viewer"],"actor":%s}`, raw, raw))
	s.post(t, "/v1/hooks", fmt.Sprintf(`{"name":"paid","scope":"session","scope_id":%s,"style":"standard"}`, raw))
	s.post(t, "/v1/bookmarks", fmt.Sprintf(`{"name":%s,"run_id":%q,"seq":1,"tags":[%s],"note":%s}`, raw, refund, raw, raw))
	s.post(t, "/v1/runs/"+refund+"/hold", fmt.Sprintf(`{"reason":%s}`, raw))
	failed := s.start(t, "payment", `null`)
	spoken := s.start(t, "talking", `null`)
	s.voice <- evil + " [a](javascript:window.pwned=1) ![b](x) **" + evil + "**"
	close(s.voice)
	s.ended(t, spoken)
	p := s.newPage(t, "#/inbox?wait="+wait.ID)
	p.says(".wait-pane", evil)
	p.run(chromedp.Navigate(p.base + "#/inbox?wait=" + mail + ".1"))
	p.says(".wait-pane", `window.pwned`)
	for _, place := range []string{"#/", "#/runs", "#/runs/" + mail, "#/runs/" + refund + "?view=ledger", "#/runs/" + failed, "#/runs/" + spoken + "?seq=2", "#/runs/" + spoken + "?view=timeline", "#/schedules", "#/events", "#/tools", "#/charts", "#/settings", "#/workers", "#/workflows", "#/bookmarks", "#/retention", "#/compare?a=" + refund + "&b=" + mail, "#/runs?q=" + `%3Cscript%3Ewindow.pwned=1%3C/script%3E`, "#/workflows/refund"} {
		p.run(chromedp.Navigate("about:blank"), chromedp.Navigate(p.base+place))
		p.says(".connection", "Live")
		p.sees(`document.querySelector("main").innerText.length > 10 && !document.querySelector("main").innerText.includes("Loading")`)
		if value[bool](p, `"pwned" in window || document.querySelectorAll("main img, main script, main [onerror], main a[href^='javascript:']").length > 0`) {
			t.Errorf("%s runs or draws what a workflow wrote", place)
		}
	}
	// Even markup that got in would find the policy.
	if value[bool](p, `(async () => { const s = document.createElement("script"); try { s.text = "window.pwned = 1"; document.body.append(s); } catch {} return "pwned" in window; })()`) {
		t.Error("the policy lets an inline script run")
	}
}

func TestNothingIsLostWhenTheServerIsStartedAgain(t *testing.T) {
	s := newSite(t)
	id := s.start(t, "counting", `null`)
	s.awaitWait(t, id)
	p := s.newPage(t, "#/runs/"+id+"?view=ledger")
	p.says(".connection", "Live")
	p.sees(fmt.Sprintf(`document.querySelectorAll(".rec").length === %d`, s.length(t, id)))
	check(t, s.rt.Send(t.Context(), bide.Event{ScopeID: id, Name: "go"}))
	p.sees(`document.querySelectorAll(".rec").length > 4`)
	s.down(t)
	p.says(".connection", "Offline")
	for range 2 {
		check(t, s.rt.Send(t.Context(), bide.Event{ScopeID: id, Name: "go"}))
	}
	s.ended(t, id)
	s.up(t)
	p.says(".connection", "Live")
	p.says(".sentence", "It completed")
	p.sees(fmt.Sprintf(`document.querySelectorAll(".rec").length === %d`, s.length(t, id)))
	if got := value[string](p, `[...document.querySelectorAll(".rec .seq")].map(e => e.innerText).join()`); got != numbers(s.length(t, id)) {
		t.Errorf("the rows are %s, want each record once", got)
	}
}

func numbers(n int64) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprint(i+1))
	}
	return strings.Join(out, ",")
}
