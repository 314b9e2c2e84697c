package web_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

var screens = flag.String("screens", "", "the folder to also draw every screen into")

// show lets a site have something of everything, and returns the address of each screen.
func (s *site) show(t *testing.T) map[string]string {
	t.Helper()
	done := s.start(t, "refund", `{"order":"order-7","amount":80}`)
	for range 2 {
		w := s.awaitWait(t, done)
		answer := any("approve")
		if w.Kind == "form" {
			answer = map[string]any{"receipt": "R-7"}
		}
		_, err := s.rt.Resume(t.Context(), done, w.ID, answer)
		check(t, err)
	}
	s.ended(t, done)
	waiting := s.start(t, "refund", `{"order":"order-42","amount":120}`)
	mails := s.start(t, "mailing", `{"to":"ann@example.com","subject":"Your refund","body":"Hello Ann,\n120 EUR are on their way."}`)
	failed := s.start(t, "payment", `null`)
	s.awaitWait(t, waiting)
	wait := s.awaitWait(t, mails)
	form := s.start(t, "refund", `{"order":"order-43","amount":9}`)
	_, err := s.rt.Resume(t.Context(), form, s.awaitWait(t, form).ID, "approve")
	check(t, err)
	filled := s.awaitWait(t, form)
	counting := s.start(t, "counting", `null`)
	s.awaitWait(t, counting)
	spoken := s.start(t, "talking", `null`)
	s.voice <- "A **book** that only grows:\n\n- what is written stays\n- each line holds the hash of the one before"
	close(s.voice)
	s.ended(t, spoken)
	for path, body := range map[string]string{
		"/v1/webhooks":                 `{"url":"http://127.0.0.1:9/told"}`,
		"/v1/hooks":                    `{"name":"paid","scope":"session","scope_id":"shop","style":"standard"}`,
		"/v1/schedules":                `{"name":"nightly","cron":"30 2 * * *","time_zone":"Europe/Berlin","workflow":"refund","input":{"order":"order-1","amount":1}}`,
		"/v1/tokens":                   `{"name":"reader","roles":["viewer"]}`,
		"/v1/bookmarks":                `{"name":"before the answer","run_id":"` + done + `","seq":2,"tags":["review"],"note":"What was asked for."}`,
		"/v1/runs/" + failed + "/hold": `{"reason":"The bank wants to see it."}`,
		"/v1/checkpoint":               ``,
	} {
		s.post(t, path, body)
	}
	s.post(t, "/v1/bookmarks", `{"name":"after it","run_id":"`+done+`","tags":["review","ops"]}`)
	ordered := s.start(t, "ordering", `null`)
	return map[string]string{
		"bookmarks": "#/bookmarks", "compare": "#/compare?a=" + done + "&b=" + waiting, "retention": "#/retention", "list": "#/inbox?wait=" + s.awaitWait(t, ordered).ID,
		"home": "#/", "evidence": "#/runs/" + done + "?view=ledger", "inbox": "#/inbox?wait=" + wait.ID, "form": "#/inbox?wait=" + filled.ID, "runs": "#/runs", "run": "#/runs/" + waiting, "done": "#/runs/" + done,
		"timeline": "#/runs/" + done + "?view=timeline", "ledger": "#/runs/" + done + "?view=ledger&seq=4", "model": "#/runs/" + spoken + "?seq=2", "failed": "#/runs/" + failed,
		"workflow": "#/workflows/refund", "workflows": "#/workflows", "schedules": "#/schedules", "events": "#/events", "tools": "#/tools", "charts": "#/charts",
		"workers": "#/workers", "settings": "#/settings", "nowhere": "#/nowhere",
	}
}

// look is how pages are looked at.
type look struct {
	theme string
	width int64
}

// Every screen, light and dark, wide and narrow: it is all there, fits, and breaks no rule of WCAG AA. With -screens it is
// also drawn, in both themes at both widths.
func TestScreens(t *testing.T) {
	s := newSite(t)
	places := s.show(t)
	acts := map[string]func(p *page){ // what is done on a screen before it is looked at
		"evidence": func(p *page) {
			p.says(".trust", "Signed by site+")
			p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".trust").scrollIntoView()`))
		},
		"retention": func(p *page) {
			p.run(chromedp.Evaluate[chromedp.Void](`{ const f = document.querySelector("[aria-label='Days ago']"); f.focus(); f.select(); }`), chromedp.KeyEvent("0.000001"))
			p.click(".card", "Look what would go")
			p.says("[role=status]", "would go")
		},
	}
	p := s.newPage(t, "")
	looks := []look{{"light", 1280}, {"dark", 360}}
	if *screens != "" {
		looks = append(looks, look{"dark", 1280}, look{"light", 360})
	}
	for _, look := range looks {
		p.run(chromedp.EmulateViewport(look.width, 900), prefers(look.theme))
		for _, name := range slices.Sorted(maps.Keys(places)) {
			where := fmt.Sprintf("%s, %s, %d pixels wide", name, look.theme, look.width)
			p.run(chromedp.Navigate("about:blank"), chromedp.Navigate(p.base+places[name]))
			p.says(".connection", "Live")
			p.sees(`document.querySelectorAll("main h1").length === 1 && document.querySelectorAll("#app > header").length === 1 && document.querySelector("main").innerText.length > 20 && !document.querySelector("main").innerText.includes("Loading")`)
			if act := acts[name]; act != nil {
				act(p)
			}
			if width := value[int64](p, `document.documentElement.scrollWidth`); width > look.width {
				t.Errorf("%s: it is %d pixels wide", where, width)
			}
			if cut := value[string](p, `[...document.querySelectorAll(".lane-name")].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.innerText).join()`); cut != "" && look.width < 1280 {
				t.Errorf("%s: names in the timeline are cut off: %s", where, cut)
			}
			if refused := value[string](p, `[...document.querySelectorAll(".refusal")].map(e => e.innerText).join()`); refused != "" {
				t.Errorf("%s: something was refused: %s", where, refused)
			}
			if (look.theme == "light") == (look.width == 1280) { // each screen in both themes and at both widths
				p.accessible(where)
			}
			if *screens != "" {
				picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
				check(t, err)
				size := map[int64]string{1280: "wide", 360: "narrow"}[look.width]
				check(t, os.WriteFile(filepath.Join(*screens, name+"-"+look.theme+"-"+size+".png"), small(t, picture), 0o644))
			}
		}
	}
}

// small is a picture with the 128 colours that it has most of.
func small(t *testing.T, drawn []byte) []byte {
	t.Helper()
	from, err := png.Decode(bytes.NewReader(drawn))
	check(t, err)
	counts := map[color.RGBA]int{}
	box := from.Bounds()
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			counts[color.RGBAModel.Convert(from.At(x, y)).(color.RGBA)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(counts), func(a, b color.RGBA) int { return counts[b] - counts[a] })
	var palette color.Palette
	for _, c := range colours[:min(128, len(colours))] {
		palette = append(palette, c)
	}
	nearest := map[color.RGBA]uint8{}
	for _, c := range colours {
		nearest[c] = uint8(palette.Index(c))
	}
	to := image.NewPaletted(box, palette)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			to.SetColorIndex(x, y, nearest[color.RGBAModel.Convert(from.At(x, y)).(color.RGBA)])
		}
	}
	var out bytes.Buffer
	check(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, to))
	return out.Bytes()
}

// prefers makes the system light or dark.
func prefers(theme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
		return err
	})
}
