package web_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var (
	browser     context.Context
	openBrowser = sync.OnceValue(launch)
	closers     []func()
)

func TestMain(m *testing.M) {
	code := m.Run()
	for i := range closers {
		closers[len(closers)-1-i]()
	}
	os.Exit(code)
}

// launch starts the Chromium that all journeys share, each in a profile of its own.
func launch() error {
	path := os.Getenv("BIDE_TEST_CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path == "" {
			path, _ = exec.LookPath(name)
		}
	}
	if path == "" {
		return fmt.Errorf("no Chromium is installed; run scripts/chromium, or set BIDE_TEST_CHROMIUM to the path of one")
	}
	profile, err := os.MkdirTemp("", "bide-chromium-")
	if err != nil {
		return err
	}
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(path), chromedp.UserDataDir(profile),
		chromedp.WSURLReadTimeout(time.Minute), chromedp.NoFirstRun, chromedp.Headless, chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true))
	ctx, stop := chromedp.NewContext(alloc)
	closers = append(closers, func() { _ = os.RemoveAll(profile) }, stopAlloc, stop) // a profile in use is left to the system
	browser = ctx
	return chromedp.Do(ctx)
}

// page is a tab with a profile of its own.
type page struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu    sync.Mutex
	wrong []string // errors that the page reported
}

// newPage opens a tab at a place of the site, such as "#/inbox". What goes wrong in the page fails the test.
func (s *site) newPage(t *testing.T, place string) *page {
	t.Helper()
	p := s.newTab(t)
	p.run(chromedp.Navigate(p.base + place))
	return p
}

// newTab opens an empty tab.
func (s *site) newTab(t *testing.T) *page {
	t.Helper()
	if err := openBrowser(); err != nil {
		t.Fatal(err)
	}
	tab, stop := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	ctx, stopTime := context.WithTimeout(tab, 10*time.Minute)
	p := &page{t: t, ctx: ctx, base: s.URL + "/ui/"}
	t.Cleanup(func() {
		stopTime()
		stop()
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.wrong) > 0 {
			t.Errorf("the page reported: %s", strings.Join(p.wrong, "\n"))
		}
	})
	check(t, chromedp.Do(tab)) // opens it
	if err := chromedp.Listen(tab, func(ev any) {
		if e, ok := ev.(*runtime.EventExceptionThrown); ok {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.wrong = append(p.wrong, fmt.Sprintf("%s: %v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
		}
	}); err != nil {
		t.Fatal(err)
	}
	p.run(chromedp.EmulateViewport(1280, 900))
	return p
}

func (p *page) run(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// sees waits until a JavaScript expression is true.
func (p *page) sees(expr string) {
	p.t.Helper()
	wait := fmt.Sprintf(`(async () => {
		for (let i = 0; i < 3000; i++) {
			if (%s) return true;
			await new Promise((go) => setTimeout(go, 20));
		}
		return false;
	})()`, expr)
	if !value[bool](p, wait) {
		p.t.Fatalf("waited for %s; the page says:\n%s", expr, value[string](p, "document.body.innerText"))
	}
}

// says waits until an element shows a text.
func (p *page) says(selector, text string) {
	p.t.Helper()
	p.sees(fmt.Sprintf("[...document.querySelectorAll(%q)].some(e => (e.innerText ?? e.textContent).includes(%q))", selector, text))
}

// click clicks the button or link with a text, within an element.
func (p *page) click(within, text string) {
	p.t.Helper()
	find := fmt.Sprintf("[...document.querySelectorAll(%q)].flatMap(e => [...e.querySelectorAll('button:not(:disabled), a')]).find(b => b.innerText.trim().startsWith(%q))", within, text)
	p.press(find)
}

// press clicks an element as soon as it is there.
func (p *page) press(find string) {
	p.t.Helper()
	for range 100 { // what is there may be drawn anew before it is clicked
		p.sees(find)
		clicked, err := evaluate[bool](p, "(e => { e?.click(); return !!e; })("+find+")")
		if clicked || leftPage(err) {
			return
		}
		if err != nil {
			p.t.Fatalf("click on %s: %v", find, err)
		}
	}
	p.t.Fatalf("%s is never there for long", find)
}

// record chooses the first record of a kind in the ledger that is shown.
func (p *page) record(kind string) {
	p.t.Helper()
	find := fmt.Sprintf("[...document.querySelectorAll('.rec')].find(r => r.innerText.includes(%q))", kind)
	p.press(find)
	p.says(".inspector h3", kind)
}

// fill replaces what is in the field that has a label.
func (p *page) fill(label, text string) {
	p.t.Helper()
	find := fmt.Sprintf("[...document.querySelectorAll('label')].filter(l => l.innerText.trim().startsWith(%q)).map(l => l.control).find(Boolean)", label)
	p.sees("(f => { f?.focus(); f?.select?.(); return !!f; })(" + find + ")")
	p.run(chromedp.KeyEvent("\b"), chromedp.KeyEvent(text))
}

// value is what an expression gives, once it is there, on the page that is there then.
func value[T any](p *page, expr string) T {
	p.t.Helper()
	out, err := evaluate[T](p, expr)
	for tries := 0; leftPage(err) && tries < 10; tries++ {
		out, err = evaluate[T](p, expr)
	}
	if err != nil {
		p.t.Fatalf("%s: %v", expr, err)
	}
	return out
}

func evaluate[T any](p *page, expr string) (T, error) {
	return chromedp.Run(p.ctx, chromedp.Evaluate[T](expr, func(e *runtime.EvaluateParams) { e.AwaitPromise = new(true) }))
}

// leftPage reports whether an expression had no answer because the browser went to another page.
func leftPage(err error) bool {
	return err != nil && strings.Contains(err.Error(), "Inspected target navigated")
}

// accessible lets axe-core look for what breaks WCAG 2.2 AA on the page as it is.
func (p *page) accessible(where string) {
	p.t.Helper()
	axe, err := os.ReadFile("testdata/axe.min.js")
	if err != nil {
		p.t.Fatalf("axe-core is not here; run scripts/axe: %v", err)
	}
	p.run(chromedp.Evaluate[chromedp.Void](string(axe)))
	found := value[string](p, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], resultTypes: ["violations"]})
		.then(r => r.violations.map(v => v.id + ": " + v.help + "\n" + v.nodes.slice(0, 4).map(n => "    " + n.html.slice(0, 160) + "  " + n.any.concat(n.all).map(c => c.message).join("; ").slice(0, 200)).join("\n")).join("\n"))`)
	if found != "" {
		p.t.Errorf("%s breaks WCAG AA:\n%s", where, found)
	}
}

// before runs a script in every page that is loaded from then on, before its own.
func before(script string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	})
}
