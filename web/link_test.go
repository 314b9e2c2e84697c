package web_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/bide-dev/bide/gateway/auth"
)

// Somebody without a login, in a browser without JavaScript, answers the one wait that a link opens.
func TestALinkIsAnsweredWithoutJavaScript(t *testing.T) {
	s := newSite(t)
	id := s.start(t, "refund", `{"order":"<b>order-42</b>","amount":120}`)
	s.awaitWait(t, id)
	p := s.newPage(t, "#/inbox")
	p.click(".wait-pane", "Send a link")
	p.fill("For whom", "bob@example.com")
	p.click("dialog", "Make it")
	p.says("dialog", "link:bob@example.com")
	link := value[string](p, `document.querySelector("dialog .command code").innerText`)
	if !strings.HasPrefix(link, s.URL+"/links/") {
		t.Fatalf("the link is %s, want one below %s", link, s.URL)
	}
	locked := auth.New(s.store, nil) // from now on everything else needs a token
	s.down(t)
	s.opts.Authenticate = locked.Protect
	s.up(t)
	bob := s.newTab(t)
	bob.run(withoutScript(), chromedp.Navigate(link))
	sees := func(text string) {
		t.Helper()
		var body string
		for end := time.Now().Add(time.Minute); !strings.Contains(body, text); {
			if time.Now().After(end) {
				t.Fatalf("the page does not show %q:\n%s", text, body)
			}
			body, _ = chromedp.Run(bob.ctx, chromedp.OuterHTML("body")) // fails while a page makes room for the next
		}
	}
	sees("Refund 120 EUR for &lt;b&gt;order-42&lt;/b&gt;?")
	bob.run(chromedp.Evaluate[chromedp.Void](`document.querySelector('form:has(input[value="approve"]) button').click()`))
	sees("link:bob@example.com answered")
	bob.run(chromedp.Navigate(`data:text/html,<p>Scripts are off.</p><script>document.querySelector("p").innerText = "Scripts are on."</script>`))
	sees("Scripts are off.")
	s.awaitWait(t, id) // the next one, which the link does not open
	bob.run(chromedp.Navigate(link))
	sees("link:bob@example.com answered")
	if got := s.ask(t, http.MethodGet, "/v1/runs/"+id); got != http.StatusUnauthorized {
		t.Errorf("without a token the run = %d, want 401", got)
	}
	run, err := s.rt.Get(t.Context(), id)
	check(t, err)
	if got, _, err := run.Vars.Raw("approve"); err != nil || !strings.Contains(string(got), `"by":"link:bob@example.com"`) {
		t.Errorf("the answer is %s, %v; want it to be the link's", got, err)
	}
}

// withoutScript turns JavaScript off in a tab.
func withoutScript() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
}

// ask is the status of a request without credentials.
func (s *site) ask(t *testing.T, method, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
	check(t, err)
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	check(t, resp.Body.Close())
	return resp.StatusCode
}
