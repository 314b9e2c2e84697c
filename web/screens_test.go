package web_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

var screens = flag.String("screens", "", "the folder to draw every page into, instead of skipping that")

// Every page, light and dark, wide and narrow: to be looked at.
func TestScreens(t *testing.T) {
	if *screens == "" {
		t.Skip("draws pictures for -screens FOLDER")
	}
	s := newSite(t)
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
	waiting := s.start(t, "refund", `{"order":"order-42","amount":120}`)
	mails := s.start(t, "mailing", `{"to":"ann@example.com","subject":"Your refund","body":"Hello Ann,\n120 EUR are on their way."}`)
	failed := s.start(t, "payment", `null`)
	s.awaitWait(t, waiting)
	wait := s.awaitWait(t, mails)
	s.start(t, "counting", `null`)
	p := s.newPage(t, "")
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{1400, 400} {
			for name, place := range map[string]string{
				"home": "#/", "inbox": "#/inbox?wait=" + wait.ID, "runs": "#/runs", "run": "#/runs/" + waiting, "done": "#/runs/" + done,
				"timeline": "#/runs/" + done + "?view=timeline", "ledger": "#/runs/" + done + "?view=ledger&seq=4", "failed": "#/runs/" + failed,
				"workflow": "#/workflows/refund", "workflows": "#/workflows", "schedules": "#/schedules", "events": "#/events", "workers": "#/workers", "settings": "#/settings",
			} {
				t.Log(name, theme, width)
				p.run(chromedp.EmulateViewport(width, 900), prefers(theme), chromedp.Navigate("about:blank"), chromedp.Navigate(p.base+place))
				p.says(".connection", "Live")
				p.sees("document.querySelector('main').innerText.length > 20 && !document.querySelector('main').innerText.includes('Loading')")
				png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
				check(t, err)
				size := map[int64]string{1400: "wide", 400: "narrow"}[width]
				check(t, os.WriteFile(filepath.Join(*screens, name+"-"+theme+"-"+size+".png"), png, 0o644))
			}
		}
	}
}

// prefers makes the system light or dark.
func prefers(theme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
		return err
	})
}
