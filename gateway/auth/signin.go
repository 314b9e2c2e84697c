package auth

import (
	"bytes"
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"

	"github.com/bide-dev/bide/gateway/problem"
)

//go:embed signin.html
var signInHTML string

//go:embed signin.css
var signInCSS []byte

var signInPage = template.Must(template.New("signin").Parse(signInHTML))

// maxForm bounds the form with a token, in bytes.
const maxForm = 4 << 10

// SignIn serves the pages on which people sign in, for Options.Sessions. Requests need no credentials:
//
//	GET  /auth/login?return=/ui/  a page that takes a token, and leads to the provider when login is not nil
//	POST /auth/token              the page's form: begins a session with the rights of the token
//	GET  /auth/oidc               leads to the provider, which leads to /auth/callback
//	POST /auth/logout             ends the session
//
// Tokens that do not count slow down whoever tries them, as in Protect. A page of another origin can post none of it.
func (g *Guard) SignIn(login *Login) http.Handler {
	mux := http.NewServeMux()
	provider := ""
	if login != nil {
		mux.HandleFunc("GET /auth/oidc", login.begin)
		mux.HandleFunc("GET /auth/callback", login.end)
		provider = login.name()
	}
	mux.HandleFunc("GET /auth/login", func(w http.ResponseWriter, r *http.Request) {
		showSignIn(w, http.StatusOK, signIn{Provider: provider, Return: here(r.URL.Query().Get("return"))})
	})
	mux.HandleFunc("GET /auth/signin.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(signInCSS) // a client that is gone reads nothing
	})
	mux.HandleFunc("POST /auth/token", func(w http.ResponseWriter, r *http.Request) {
		to, err := g.enter(w, r)
		if err != nil {
			p := problem.Of(err)
			if p.Status >= http.StatusInternalServerError {
				g.opts.Logger.Error("a session cannot be begun", "err", err)
			}
			showSignIn(w, p.Status, signIn{Provider: provider, Return: to, Fault: p.Detail})
			return
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	})
	mux.HandleFunc("POST /auth/logout", g.opts.Sessions.logout)
	return Headers(g.cross.Handler(mux))
}

// enter begins a session with the token of a form, and returns where to go then.
func (g *Guard) enter(w http.ResponseWriter, r *http.Request) (to string, err error) {
	to = "/"
	body, err := problem.Body(w, r, maxForm)
	if err != nil {
		return to, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return to, unauthenticated("the form cannot be read")
	}
	to = here(form.Get("return"))
	text := form.Get("token")
	if _, err := g.byToken(r, text); err != nil {
		return to, err
	}
	id, _, ok := splitToken(text)
	if !ok {
		return to, errors.New("a token that counts has no id")
	}
	return to, g.opts.Sessions.begin(r.Context(), w, session{Token: id})
}

// signIn is what the page shows.
type signIn struct{ Provider, Return, Fault string }

func showSignIn(w http.ResponseWriter, status int, what signIn) {
	var page bytes.Buffer
	if err := signInPage.Execute(&page, what); err != nil {
		problem.Write(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // as above
}
