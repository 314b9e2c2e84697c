package gateway_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/gateway"
)

// linkTo makes a link to the open wait of a run, as a principal.
func (s *server) linkTo(as, waitID, spec string) string {
	s.t.Helper()
	got := s.ask(as, http.MethodPost, "/v1/waits/"+waitID+"/link", spec)
	if got.Status != http.StatusCreated {
		s.t.Fatalf("link to %s = %d %s", waitID, got.Status, got.Body)
	}
	return got.field(s.t, "path")
}

// post sends the form of a page, as a browser without credentials does.
func (s *server) post(path string, form url.Values, header ...string) *reply {
	s.t.Helper()
	req := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, req)
	return &reply{rec.Code, rec.Header(), rec.Body.Bytes()}
}

func (r *reply) says(t *testing.T, status int, texts ...string) {
	t.Helper()
	if r.Status != status {
		t.Fatalf("the page has status %d, want %d:\n%s", r.Status, status, r.Body)
	}
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(string(r.Body)), text) {
			t.Errorf("the page does not say %q:\n%s", text, r.Body)
		}
	}
}

func TestALinkOpensOneWaitAndAnswersIt(t *testing.T) {
	s := newServer(t, nil)
	run := s.start("operator", `{"workflow":"approval","input":{"amount":5}}`)
	other := s.start("operator", `{"workflow":"approval","input":{"amount":6}}`)
	path := s.linkTo("approver", run.Waits[0].ID, `{"for":"bob@example.com"}`)

	page := s.ask("", http.MethodGet, path, "")
	page.says(t, 200, "Refund 5?", "approve", "reject", "link:bob@example.com")
	s.ask("", http.MethodHead, path, "").says(t, 200)
	for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff"} {
		if got := page.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	policy := page.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "script") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	if strings.Contains(string(page.Body), "<script") || strings.Contains(string(page.Body), "http://") || strings.Contains(string(page.Body), "https://") {
		t.Errorf("the page has a script or another address:\n%s", page.Body)
	}
	if now, err := s.rt.Get(t.Context(), run.ID); err != nil || len(now.Waits) != 1 {
		t.Fatalf("looking at the page answered: %v, %v", now, err)
	}

	choose := url.Values{"do": {"choose"}, "value": {"approve"}}
	s.post(path, url.Values{"do": {"choose"}, "value": {"perhaps"}}).says(t, 422, "Refund 5?", "perhaps")
	s.post(path, url.Values{"do": {"everything"}}).says(t, 422, "choose one of the buttons")
	for range 2 { // the button pressed twice
		if got := s.post(path, choose); got.Status != http.StatusSeeOther || got.Header.Get("Location") != path {
			t.Fatalf("the answer = %d to %q", got.Status, got.Header.Get("Location"))
		}
	}
	s.ask("", http.MethodGet, path, "").says(t, 200, "link:bob@example.com answered", "approve")
	s.post(path, url.Values{"do": {"choose"}, "value": {"reject"}}).says(t, 409, "changed nothing", "link:bob@example.com answered")
	decided := s.ask("viewer", http.MethodGet, "/v1/waits/"+run.Waits[0].ID, "")
	if decided.field(t, "decision.actor") != "link:bob@example.com" || decided.field(t, "decision.answer") != "approve" {
		t.Errorf("the decision is %s", decided.Body)
	}
	if now, err := s.rt.Get(t.Context(), other.ID); err != nil || len(now.Waits) != 1 {
		t.Errorf("the link answered another wait: %v, %v", now, err)
	}
}

func TestALinkIsNothingElse(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := newServer(t, &gateway.Options{Clock: func() time.Time { return now }})
	wait := s.start("operator", `{"workflow":"approval","input":{"amount":5}}`).Waits[0].ID
	another := s.start("operator", `{"workflow":"approval","input":{"amount":6}}`).Waits[0].ID
	path := s.linkTo("approver", wait, `{"expires_in":"1h"}`)
	theirs := newServer(t, &gateway.Options{Clock: func() time.Time { return now }}).start("operator", `{"workflow":"approval","input":{"amount":5}}`)
	body, sum, _ := strings.Cut(path, ".")
	otherBody, _, _ := strings.Cut(s.linkTo("approver", another, `{"expires_in":"1h"}`), ".")
	last := map[bool]string{true: "A", false: "B"}[path[len(path)-2] != 'A']
	choose := url.Values{"do": {"choose"}, "value": {"approve"}}
	for name, bad := range map[string]string{
		"cut": path[:len(path)-4], "without a signature": body, "altered": path[:len(path)-2] + last + path[len(path)-1:],
		"of another wait": otherBody + "." + sum, "empty": "/links/", "a wait": "/links/" + wait, "of another store": "/links/" + theirs.Waits[0].ID,
	} {
		s.ask("", http.MethodGet, bad, "").says(t, 404, "does not open anything")
		if got := s.post(bad, choose); got.Status != 404 {
			t.Errorf("a link that is %s answers with %d", name, got.Status)
		}
	}
	for _, from := range []string{"cross-site", "same-site"} {
		if got := s.post(path, choose, "Sec-Fetch-Site", from); got.Status != 403 {
			t.Errorf("a form of a page that is %s = %d, want 403", from, got.Status)
		}
	}
	if got := s.post(path, choose, "Sec-Fetch-Site", "", "Origin", "https://evil.example"); got.Status != 403 {
		t.Errorf("a form of another origin = %d, want 403", got.Status)
	}
	if got := s.ask("", http.MethodDelete, path, ""); got.Status != 405 {
		t.Errorf("DELETE = %d, want 405", got.Status)
	}
	if got := s.ask(strings.TrimPrefix(path, "/links/"), http.MethodGet, "/v1/runs", ""); got.Status == 200 {
		t.Error("the text of a link is a token")
	}
	now = now.Add(time.Hour)
	s.ask("", http.MethodGet, path, "").says(t, 410, "expired")
	s.post(path, choose).says(t, 410, "expired")
	if open, err := s.rt.Waits(t.Context(), bide.WaitQuery{Kinds: []bide.WaitKind{bide.WaitQuestion}}); err != nil || len(open.Waits) != 2 {
		t.Errorf("%d waits are open, %v; want both", len(open.Waits), err)
	}
}

// waiting opens a wait of a kind that people answer.
func waiting(effect bide.Effect) bide.Workflow {
	return bide.Workflow{ID: "waiting", Version: "1", Entry: "ask", Nodes: bide.Nodes{
		"ask": func(*bide.Run) (bide.StepPlan, error) { return bide.Do(effect.As("got")).ThenCompleteWith("got"), nil },
	}}
}

func TestALinkTakesEveryKindOfAnswer(t *testing.T) {
	schema := []byte(`{"type":"object","required":["receipt","paid"],"properties":{
		"receipt":{"type":"string","minLength":3,"title":"Receipt"},"paid":{"type":"number","default":12.50},"express":{"type":"boolean"},
		"currency":{"enum":["EUR","USD"]},"tags":{"type":"array","items":{"type":"string"}},"rest":{"type":"string"}}}`)
	for name, c := range map[string]struct {
		effect bide.Effect
		shows  []string
		wrong  url.Values
		fault  string
		right  url.Values
		output string
	}{
		"form": {bide.Form("How was it paid? <script>alert(1)</script>", bide.JSON(schema), nil), []string{"<script>alert(1)</script>", "Receipt", `value="12.50"`, "EUR"},
			url.Values{"do": {"fill"}, "f.receipt": {"R"}, "f.paid": {"x"}}, "is not a number",
			url.Values{"do": {"fill"}, "f.receipt": {"R-1 <b>"}, "f.paid": {"9007199254740993"}, "f.express": {"true"}, "f.currency": {"USD"}, "n.tags": {"1"}, "f.tags/0": {"a"}, "f.rest": {""}},
			`"data":{"currency":"USD","express":true,"paid":9007199254740993,"receipt":"R-1 <b>","tags":["a"]}`},
		"text": {bide.Ask("Why?", nil), []string{"Why?", "In your words"}, url.Values{"do": {"fill"}}, "answer", url.Values{"do": {"say"}, "f.text": {"so\r\nit is"}}, `"text":"so\nit is"`},
		"job":  {bide.Job("lift", map[string]int{"kg": 5}), []string{`"kg": 5`}, url.Values{"do": {"result"}, "f.json": {"{"}}, "is not JSON", url.Values{"do": {"result"}, "f.json": {`{"up":true}`}}, `{"up":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, &gateway.Options{Workflows: []bide.Workflow{waiting(c.effect)}})
			run := s.start("operator", `{"workflow":"waiting"}`)
			path := s.linkTo("approver", run.Waits[0].ID, "")
			page := s.ask("", http.MethodGet, path, "")
			page.says(t, 200, c.shows...)
			if strings.Contains(string(page.Body), "<script>") {
				t.Errorf("what the workflow wrote is markup:\n%s", page.Body)
			}
			s.post(path, c.wrong).says(t, 422, c.fault)
			if got := s.post(path, c.right); got.Status != http.StatusSeeOther {
				t.Fatalf("the answer = %d\n%s", got.Status, got.Body)
			}
			if run = s.tick(run.ID); !strings.Contains(string(run.Output), c.output) {
				t.Errorf("the output is %s, want it to hold %s", run.Output, c.output)
			}
		})
	}
}

// A list of objects is a group of fields to each, with buttons that add one and take one away and answer nothing.
func TestALinkTakesListsAndGroups(t *testing.T) {
	schema := bide.JSON(`{"type":"object","required":["lines"],"properties":{
		"lines":{"type":"array","minItems":1,"items":{"type":"object","required":["item"],"properties":{"item":{"type":"string","minLength":2},"count":{"type":"integer","default":1},"gift":{"type":"boolean"},"tags":{"type":"array","items":{"type":"string"}}}}},
		"address":{"type":"object","required":["city"],"properties":{"city":{"type":"string"},"a/b":{"type":"number"}}},
		"more":{"type":"array","items":{"type":"string"}},"any":{"type":"array"}}}`)
	s := newServer(t, &gateway.Options{Workflows: []bide.Workflow{waiting(bide.Form("What shall be sent?", schema, nil))}})
	run := s.start("operator", `{"workflow":"waiting"}`)
	path := s.linkTo("approver", run.Waits[0].ID, "")
	page := s.ask("", http.MethodGet, path, "")
	page.says(t, 200, `name="n.lines" value="1"`, `name="f.lines/0/item"`, `name="f.lines/0/count" value="1"`, `name="n.lines/0/tags" value="0"`, `name="f.address/a~1b"`, `name="f.any"`)

	form := url.Values{"do": {"fill"}, "n.lines": {"1"}, "f.lines/0/item": {"gone"}, "n.lines/0/tags": {"0"}, "n.more": {"0"}}
	press := func(button, place string, says ...string) {
		t.Helper()
		form.Set(button, place)
		s.post(path, form).says(t, 200, says...)
		form.Del(button)
	}
	press("add", "lines", `name="n.lines" value="2"`, `name="f.lines/0/item" value="gone"`, `name="f.lines/1/count" value="1"`)
	form.Set("n.lines", "2")
	form.Set("f.lines/1/item", "pen")
	press("add", "lines/1/tags", `name="f.lines/1/tags/0"`)
	form.Set("n.lines/1/tags", "1")
	form.Set("f.lines/1/tags/0", "red")
	press("drop", "lines/0", `name="n.lines" value="1"`, `name="f.lines/0/item" value="pen"`, `name="f.lines/0/tags/0" value="red"`)
	press("drop", "lines/7", `name="n.lines" value="2"`)
	press("drop", "lines/x", `name="n.lines" value="2"`)
	if now, err := s.rt.Get(t.Context(), run.ID); err != nil || len(now.Waits) != 1 {
		t.Fatalf("a button of a list answered: %v, %v", now, err)
	}
	many := url.Values{"do": {"fill"}, "n.lines": {"1000000000"}, "add": {"lines"}}
	s.post(path, many).says(t, 200, `name="n.lines" value="100"`)
	s.post(path, url.Values{"do": {"fill"}, "n.lines": {"1"}, "f.lines/0/item": {"p"}}).says(t, 422, "/lines/0/item")
	s.post(path, url.Values{"do": {"fill"}, "n.lines": {"1"}, "f.lines/0/count": {"x"}}).says(t, 422, "/lines/0/count", "is not a number")
	right := url.Values{"do": {"fill"}, "n.lines": {"2"}, "f.lines/0/item": {"pen"}, "f.lines/0/gift": {"true"}, "n.lines/0/tags": {"1"}, "f.lines/0/tags/0": {"red"},
		"f.lines/1/item": {"book"}, "f.lines/1/count": {"9007199254740993"}, "n.lines/1/tags": {"0"}, "f.address/city": {""}, "f.address/a~1b": {"1.50"}, "n.more": {"0"}, "f.any": {`[1]`}}
	s.post(path, right).says(t, 422, "/address") // begun, and not whole
	right.Del("f.address/a~1b")
	if got := s.post(path, right); got.Status != http.StatusSeeOther {
		t.Fatalf("the answer = %d\n%s", got.Status, got.Body)
	}
	want := `{"any":[1],"lines":[{"gift":true,"item":"pen","tags":["red"]},{"count":9007199254740993,"gift":false,"item":"book"}]}`
	if run = s.tick(run.ID); !strings.Contains(string(run.Output), want) {
		t.Errorf("the output is %s, want it to hold %s", run.Output, want)
	}
}

// A link that is revoked opens nothing; others to the same wait do.
func TestALinkIsRevoked(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := newServer(t, &gateway.Options{Clock: func() time.Time { return now }})
	wait := s.start("operator", `{"workflow":"approval","input":{"amount":5}}`).Waits[0].ID
	bob, zoe := s.linkTo("approver", wait, `{"for":"bob"}`), s.linkTo("approver", wait, `{"for":"zoe"}`)
	list := s.ask("approver", http.MethodGet, "/v1/waits/"+wait+"/links", "")
	for i := range 2 {
		at := "links." + string(rune('0'+i)) + "."
		if strings.Contains(bob+zoe, list.field(t, at+"link_id")) {
			t.Error("the list has what opens the wait")
		}
		if list.field(t, at+"actor") == "link:bob" {
			for range 2 { // the button pressed twice
				if got := s.ask("approver", http.MethodDelete, "/v1/links/"+list.field(t, at+"link_id"), ""); got.Status != 200 || got.field(t, "revoked_by") != "approver" {
					t.Fatalf("revoke = %d %s", got.Status, got.Body)
				}
			}
		}
	}
	choose := url.Values{"do": {"choose"}, "value": {"approve"}}
	s.ask("", http.MethodGet, bob, "").says(t, 410, "It was taken back")
	s.post(bob, choose).says(t, 410, "It was taken back")
	s.ask("", http.MethodGet, zoe, "").says(t, 200, "Refund 5?")
	if got := s.post(zoe, choose); got.Status != http.StatusSeeOther {
		t.Errorf("the other link answers with %d", got.Status)
	}
}
