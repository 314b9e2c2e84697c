package web_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/bide-dev/bide"
)

func TestAModelIsHeardWhileItSpeaks(t *testing.T) {
	s := newSite(t)
	id := s.start(t, "talking", `null`)
	p := s.newPage(t, "#/runs/"+id)
	s.voice <- "A **book** "
	p.says(".voice strong", "book")
	s.voice <- "that only grows, <b>not</b> HTML."
	p.says(".voice", "A book that only grows, <b>not</b> HTML.")
	close(s.voice)
	s.ended(t, id)
	p.says(".sentence", "It completed")
	p.sees(`!document.querySelector(".voice")`)
	p.click(".tabs", "Ledger")
	p.record("effect.completed")
	for _, words := range []string{"voice/it", "Be brief.", "What is a ledger?", "A book that only grows, <b>not</b> HTML."} {
		p.sees(fmt.Sprintf(`document.querySelector(".inspector .model").textContent.includes(%q)`, words))
	}
	p.says(".inspector .facts", "34")
	p.says(".inspector .facts", "not known") // its price
}

// keep puts a blob into the site's artifacts and returns how records name it.
func (s *site) keep(t *testing.T, name string, content []byte) string {
	t.Helper()
	sum, size, err := s.blobs.Put(t.Context(), bytes.NewReader(content))
	check(t, err)
	return fmt.Sprintf(`{"name":%q,"sha256":%q,"bytes":%d}`, name, sum, size)
}

func TestArtifactsAreLookedAtAndNeverRun(t *testing.T) {
	s := newSite(t)
	picture := image.NewRGBA(image.Rect(0, 0, 30, 20))
	picture.Set(1, 1, color.RGBA{255, 0, 0, 255})
	var drawn bytes.Buffer
	check(t, png.Encode(&drawn, picture))
	page := `<html><script>parent.pwned = 1; window.pwned = 1</script><img src=x onerror="window.pwned=1">`
	svg := `<svg xmlns="http://www.w3.org/2000/svg" onload="window.pwned=1"><script>window.pwned=1</script></svg>`
	var names []string
	for _, b := range []struct{ name, content string }{
		{"chart.png", drawn.String()},
		{"rows.json", `{"rows":[1.50,2]}`},
		{"notes.md", "# Findings\n\n- one [link](https://example.com/a)\n- two [bad](javascript:alert(1))\n\n<script>window.pwned=1</script>\n"},
		{"evil.html", page}, {"evil.svg", svg}, {"lies.png", page},
		{"plan.pdf", "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/MediaBox[0 0 200 100]/Parent 2 0 R/Contents 4 0 R>>endobj\n4 0 obj<</Length 26>>stream\n1 0 0 rg 20 20 160 60 re f\nendstreamendobj\nxref\n0 5\n0000000000 65535 f \n0000000009 00000 n \n0000000052 00000 n \n0000000101 00000 n \n0000000179 00000 n \ntrailer<</Root 1 0 R/Size 5>>\nstartxref\n250\n%%EOF"},
		{"noise.bin", "\x00\xff\xfe\x01"},
	} {
		names = append(names, s.keep(t, b.name, []byte(b.content)))
	}
	id := s.start(t, "reporting", `{"files":[`+strings.Join(names, ",")+`]}`)
	s.ended(t, id)
	p := s.newPage(t, "#/runs/"+id)
	p.says(".sentence .artifact summary", "chart.png")
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll(".sentence .artifact").forEach(d => d.open = true)`))
	within := func(name, expr string) {
		t.Helper()
		p.sees(fmt.Sprintf(`(e => { %s })([...document.querySelectorAll(".sentence .artifact")].find(e => e.innerText.includes(%q)))`, "return "+expr, name))
	}
	within("chart.png", `e.querySelector("img")?.naturalWidth === 30`)
	within("rows.json", `e.querySelector(".json")?.innerText.includes("1.50")`)
	within("notes.md", `e.querySelector(".md-h1")?.innerText === "Findings" && e.querySelectorAll("li").length === 2`)
	within("notes.md", `e.querySelectorAll(".markdown a").length === 1 && e.innerText.includes("<script>")`)
	within("evil.html", `e.innerText.includes("parent.pwned")`)
	within("evil.svg", `e.innerText.includes("onload")`)
	within("lies.png", `e.innerText.includes("parent.pwned")`)
	within("plan.pdf", `e.querySelector("iframe")?.src.startsWith("blob:")`)
	within("noise.bin", `e.innerText.includes("Neither text nor a picture")`)
	p.accessible("artifacts")
	if value[bool](p, `"pwned" in window || document.querySelectorAll("main script, main svg[onload]").length > 0`) {
		t.Error("an artifact was run")
	}
}

// A run below another one is opened to its own graph, from which its records are reached.
func TestARunBelowIsOpenedToItsGraph(t *testing.T) {
	s := newSite(t)
	id := s.start(t, "parenting", `null`)
	child := strings.TrimPrefix(s.awaitWait(t, id).Key, "run:")
	s.awaitWait(t, child)
	p := s.newPage(t, "#/runs/"+id)
	p.says(".children summary", "counting")
	p.sees(`!document.querySelector(".children .graph")`)
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".children summary").click()`))
	p.says(".children .graph .node.waiting", "count")
	p.accessible("a run below, opened")
	check(t, s.rt.Send(t.Context(), bide.Event{ScopeID: child, Name: "go"}))
	p.says(".children .graph .node", "2 times")
	p.run(chromedp.Evaluate[chromedp.Void](`document.querySelector(".children .node.waiting").dispatchEvent(new MouseEvent("click", {bubbles: true}))`))
	p.says(".run-head", child)
	p.says(".sentence", "It waits for the event")
}
