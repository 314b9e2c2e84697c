package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway/api"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/gateway/problem"
)

//go:embed link.html
var linkHTML string

const linkStyle = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{margin:0;padding:1rem}main{max-width:40rem;margin:auto}` +
	`pre{padding:.75rem;overflow:auto;border:1px solid #8888;border-radius:8px;white-space:pre-wrap;overflow-wrap:anywhere}h1,.prompt,.trouble,.said{overflow-wrap:anywhere}.prompt{white-space:pre-wrap}` +
	`.field>label{display:block}label>span{display:block;font-weight:600}fieldset{margin:.75rem 0;border:1px solid #8888;border-radius:8px}.first{position:absolute;width:1px;height:1px;padding:0;border:0;overflow:hidden;clip-path:inset(50%)}input:not([type]),textarea,select{width:100%;box-sizing:border-box;padding:.4rem;font:inherit}form{margin:1rem 0;padding-top:.5rem;border-top:1px solid #8888}` +
	`button{padding:.5rem 1.2rem;font:inherit;border:1px solid;border-radius:8px;cursor:pointer}.faint{opacity:.8;font-size:.9rem}.trouble,.said{padding:.5rem 1rem;border-left:4px solid;border-radius:4px}`

// linkPolicy lets the page load nothing and run nothing; its one style is known by its hash.
var linkPolicy = "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; style-src 'sha256-" + hashText(linkStyle) + "'"

func hashText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

var linkTemplate = template.Must(template.New("link").Funcs(template.FuncMap{
	"time": func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 MST") },
	"pretty": func(raw bide.JSON) string {
		var out bytes.Buffer
		if json.Indent(&out, raw, "", "  ") != nil {
			return string(raw)
		}
		return out.String()
	},
}).Parse(linkHTML))

// linkPage is what the page of a link shows.
type linkPage struct {
	Title   string
	Style   template.CSS
	Link    *auth.Link
	Wait    *api.Wait // while it is open
	Forms   []linkForm
	Said    string // how it was answered
	Again   bool   // the form is only drawn again, with other rows
	Trouble *api.Problem
}

// linkPages serves the pages of links: GET shows a wait, and only POST answers it, so that programs that look at every
// address in a mail change nothing. A POST from a page of another origin is refused, though nothing but the address, which
// such a page does not know, gives it any power. Browsers that say whence a form comes need a policy of referrers that
// keeps it for this server.
func (s *Server) linkPages() http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", linkPolicy)
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("X-Robots-Tag", "noindex")
		var page linkPage
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			page = s.showLink(r.Context(), r.URL.Path)
		case http.MethodPost:
			page = s.answerLink(w, r)
			if page.Trouble == nil && !page.Again {
				http.Redirect(w, r, r.URL.Path, http.StatusSeeOther) // loading it again sends nothing again
				return
			}
		default:
			h.Set("Allow", "GET, HEAD, POST")
			page.Trouble = problem.New(api.CodeMethod, "a link is for GET and POST")
		}
		s.writeLink(w, r, page)
	}))
}

func (s *Server) writeLink(w http.ResponseWriter, r *http.Request, page linkPage) {
	status := http.StatusOK
	if page.Trouble != nil {
		status = page.Trouble.Status
	}
	page.Style = linkStyle
	if page.Title == "" {
		page.Title = "This link does not open anything"
	}
	var out bytes.Buffer
	if err := linkTemplate.Execute(&out, page); err != nil {
		s.opts.Logger.ErrorContext(r.Context(), "page of a link", "err", err)
		problem.Write(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // a client that is gone reads nothing
}

// opened returns the link of a path, its run, and its wait, open or not.
func (s *Server) opened(ctx context.Context, path string) (auth.Link, *bide.Run, *api.Wait, error) {
	link, err := s.links.Open(ctx, strings.TrimPrefix(path, auth.LinkPath))
	if err != nil {
		return link, nil, nil, err
	}
	id, _ := bide.WaitRun(link.Wait)
	run, err := s.rt.Get(ctx, id)
	if err != nil {
		return link, nil, nil, err
	}
	if w := run.Wait(link.Wait); w != nil {
		return link, run, newWait(&run.RunInfo, w, nil), nil
	}
	w, err := s.closedWait(ctx, run, link.Wait)
	return link, run, w, err
}

func (s *Server) showLink(ctx context.Context, path string) linkPage {
	link, _, w, err := s.opened(ctx, path)
	if err != nil {
		return linkPage{Trouble: s.linkTrouble(ctx, err)}
	}
	return newLinkPage(link, w, nil)
}

// linkTrouble says what is wrong with a link, and no more than that when it is none.
func (s *Server) linkTrouble(ctx context.Context, err error) *api.Problem {
	if errors.Is(err, auth.ErrBadLink) || errors.Is(err, bide.ErrNotFound) {
		return problem.New(bide.CodeNotFound, "The address is not complete, or what it opened is gone. Ask whoever sent it for another one.")
	}
	if errors.Is(err, auth.ErrRevokedLink) {
		return problem.New(bide.CodeExpired, "It was taken back. Ask whoever sent it for another one.")
	}
	if errors.Is(err, bide.ErrExpired) {
		return problem.New(bide.CodeExpired, "It has expired. Ask whoever sent it for another one.")
	}
	return problem.Of(s.problemOf(ctx, err))
}

// newLinkPage shows a wait with forms that answer it, filled with what was given before.
func newLinkPage(link auth.Link, w *api.Wait, given url.Values) linkPage {
	page := linkPage{Title: linkTitle(w), Link: &link}
	if w.Status != api.WaitOpen {
		page.Said = linkDecided(w.Decision)
		return page
	}
	page.Wait, page.Forms = w, linkForms(&w.Wait, given)
	return page
}

func linkTitle(w *api.Wait) string {
	switch w.Kind {
	case bide.WaitToolApproval:
		if len(w.Items) > 0 {
			return "May it call " + w.Items[0].Name + "?"
		}
	case bide.WaitAttention:
		return "Did it happen?"
	case bide.WaitBudget:
		return "A budget is used up"
	}
	return "A run of " + w.Workflow + " asks"
}

func linkDecided(d *bide.Decision) string {
	if d.By != bide.ByAnswer {
		return "It is no longer open: it was resolved by " + string(d.By) + "."
	}
	who := d.Actor
	if who == "" {
		who = "Somebody"
	}
	return who + " answered at " + d.At.UTC().Format("2006-01-02 15:04 MST") + ": " + string(d.Answer)
}

// maxLinkBody is how large a form may be.
const maxLinkBody = 1 << 20

func (s *Server) answerLink(w http.ResponseWriter, r *http.Request) linkPage {
	ctx := r.Context()
	body, err := problem.Body(w, r, maxLinkBody)
	if err != nil {
		return linkPage{Trouble: s.linkTrouble(ctx, err)}
	}
	given, err := url.ParseQuery(string(body))
	if err != nil {
		return linkPage{Trouble: problem.New(api.CodeBadRequest, "The form cannot be read.")}
	}
	link, run, wait, err := s.opened(ctx, r.URL.Path)
	if err != nil {
		return linkPage{Trouble: s.linkTrouble(ctx, err)}
	}
	again := changeRows(given)
	page := newLinkPage(link, wait, given)
	if page.Again = again; again {
		return page
	}
	answer, err := linkAnswer(&wait.Wait, given)
	if err == nil {
		sum := sha256.Sum256([]byte(r.URL.Path + "\n" + string(answer)))
		_, err = s.rt.Resume(ctx, run.ID, link.Wait, answer, bide.Command{ID: "link-" + hex.EncodeToString(sum[:16]), Actor: link.Actor, Groups: link.Groups, Reason: "by a link of " + link.By})
	}
	if err != nil {
		p := *problem.Of(s.problemOf(ctx, err))
		if p.Decision != nil {
			page.Wait, page.Forms, page.Said = nil, nil, linkDecided(p.Decision)
			p.Detail = "Your answer came after another one and changed nothing."
		}
		page.Trouble = &p
	}
	return page
}
