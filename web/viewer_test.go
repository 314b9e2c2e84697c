package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/bide-dev/bide/gateway/auth"
)

// Somebody signs in with a viewer's token, sees everything, may change nothing and is told why; and signs out.
func TestAViewerSignsInAndMayOnlyLook(t *testing.T) {
	s := newSite(t)
	id := s.start(t, "mailing", `{"to":"bob@example.com","subject":"Refund"}`)
	wait := s.awaitWait(t, id)
	guard := auth.New(s.store, &auth.Options{Sessions: auth.NewSessions(s.store, nil)})
	token, _, err := guard.Tokens().Create(t.Context(), auth.TokenSpec{Name: "reader", Actor: "vera", Roles: []auth.Role{auth.Viewer}}, "ann")
	check(t, err)
	s.down(t)
	pages := s.opts.Routes["/ui/"]
	s.opts.Routes = nil
	s.opts.Authenticate = func(next http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/ui/", pages)
		mux.Handle("/auth/", guard.SignIn(nil))
		mux.Handle("/", guard.Protect(next))
		return mux
	}
	s.up(t)

	p := s.newPage(t, "#/inbox?wait="+wait.ID)
	p.click(".foot", "Sign in")
	p.run(chromedp.WaitVisible("#token"))
	p.fill("Token", token+"x")
	p.click("form", "Sign in with a token")
	p.run(chromedp.WaitVisible("[role=alert]"))
	p.says("[role=alert]", "not valid")
	p.fill("Token", token)
	p.click("form", "Sign in with a token")
	p.run(chromedp.WaitVisible(".who"))
	p.says(".who", "vera")
	p.says(".connection", "Live")
	p.says(".wait-pane", "bob@example.com")
	p.says(".wait-pane .denied", "You are vera (viewer)")
	p.sees(`[...document.querySelectorAll(".wait-pane .choices button[data-key]")].length === 4 && [...document.querySelectorAll(".wait-pane .choices button[data-key]")].every(b => b.disabled)`)
	p.accessible("a wait that one may not answer")
	p.run(chromedp.KeyEvent("a")) // the key does not do what the button may not
	p.run(chromedp.Evaluate[chromedp.Void](`location.hash = "#/runs/` + id + `"`))
	p.says(".sentence", "a decision about a call of send_email")
	p.sees(`[...document.querySelectorAll(".sentence .act > button")].some(b => b.innerText === "Cancel" && b.disabled && b.title.includes("It needs the right"))`)
	run, err := s.rt.Get(t.Context(), id)
	check(t, err)
	if len(run.Waits) != 1 {
		t.Error("a viewer answered")
	}
	// The server does not rely on the pages.
	if got := value[int](p, `fetch("/v1/runs/`+id+`/cancel", {method: "POST", body: "{}", headers: {"Content-Type": "application/json"}}).then(r => r.status)`); got != http.StatusForbidden {
		t.Errorf("a viewer cancels = %d, want 403", got)
	}
	p.click(".who", "Sign out")
	p.run(chromedp.WaitVisible("#token"), chromedp.Navigate(p.base))
	p.says(".foot", "Sign in")
	p.sees(`document.querySelector(".refusal") || !document.querySelector("main").innerText.includes("bob@")`)
	if strings.Contains(value[string](p, "document.cookie"), "bide") {
		t.Error("scripts can read the cookie")
	}
}
