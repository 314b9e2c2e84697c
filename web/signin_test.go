package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/bide-dev/bide/gateway"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/web"
)

// A person without a session is led to the page that takes a token, and back to where they were.
func TestAPersonSignsInWithAToken(t *testing.T) {
	s := newSite(t)
	id := s.start(t, "refund", `{"order":"order-42","amount":120}`)
	s.awaitWait(t, id)
	guard := auth.New(s.store, &auth.Options{Sessions: auth.NewSessions(s.store, nil)})
	api, err := gateway.New(s.rt, s.store, &gateway.Options{Authenticate: func(next http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/ui/", http.StripPrefix("/ui/", web.Handler()))
		mux.Handle("/auth/", guard.SignIn(nil))
		mux.Handle("/", guard.Protect(next))
		return mux
	}})
	check(t, err)
	guarded := &site{Server: httptest.NewServer(api), rt: s.rt, store: s.store}
	t.Cleanup(func() { api.Close(); guarded.Close() })
	token, _, err := guard.Tokens().Create(t.Context(), auth.TokenSpec{Name: "zoe", Actor: "zoe", Roles: []auth.Role{auth.Approver}}, "")
	check(t, err)

	p := guarded.newPage(t, "#/inbox")
	p.click(".refusal", "Log in")
	p.run(chromedp.WaitVisible("#token"))
	p.fill("Token", token+"x")
	p.click("form", "Sign in with a token")
	p.run(chromedp.WaitVisible("[role=alert]"))
	p.says("[role=alert]", "not valid")
	p.fill("Token", token)
	p.click("form", "Sign in with a token")
	p.run(chromedp.WaitVisible(".wait-pane"))
	p.sees(`location.hash.startsWith("#/inbox")`)
	p.click(".wait-pane", "approve")
	p.says(".decided", "zoe answered")
	p.sees(`document.cookie === ""`) // scripts cannot read the session

	// An administrator sees who is signed in, and ends it.
	ann := s.newPage(t, "#/settings")
	ann.says("[aria-label=Users]", "zoe")
	ann.says("[aria-label=Users]", "signed in with a token")
	ann.accessible("who is signed in")
	ann.click("[aria-label=Users]", "Sign out")
	ann.says("dialog", "A browser of zoe is signed out at once")
	ann.click("dialog footer", "Sign out")
	ann.says(".card", "Nobody is signed in")
	p.run(chromedp.Navigate("about:blank"), chromedp.Navigate(p.base+"#/inbox"))
	p.says(".foot", "Sign in")
}
