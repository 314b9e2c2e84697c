package main

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

// The picture has two halves: bide beside other libraries, and bide by store
// and runs in flight. Its colours follow the reader's choice of light or dark.
const (
	width, height = 920, 420
	style         = `<style>
text { font: 13px system-ui, sans-serif; fill: #24292f } .small { font-size: 11px } .title { font-weight: 600; font-size: 15px }
.grid { stroke: #d0d7de } .ours { fill: #0969da } .other { fill: #8c959f }
.s0 { stroke: #0969da; fill: #0969da } .s1 { stroke: #1a7f37; fill: #1a7f37 } .s2 { stroke: #bc4c00; fill: #bc4c00 } .s3 { stroke: #8250df; fill: #8250df } .s4 { stroke: #cf222e; fill: #cf222e }
polyline { stroke-width: 2 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .grid { stroke: #373e47 } .ours { fill: #58a6ff } .other { fill: #768390 }
.s0 { stroke: #58a6ff; fill: #58a6ff } .s1 { stroke: #3fb950; fill: #3fb950 } .s2 { stroke: #f0883e; fill: #f0883e } .s3 { stroke: #bc8cff; fill: #bc8cff } .s4 { stroke: #ff7b72; fill: #ff7b72 }
}
</style>`
)

// picture draws what was found on the disk as it is.
func picture(found []*bench.Measurement) string {
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="Durable runs of three steps per second">%s`+"\n", width, height, style)
	drawPeers(&svg, found)
	drawStores(&svg, found)
	svg.WriteString("</svg>\n")
	return svg.String()
}

func label(svg *strings.Builder, x, y float64, class, anchor, text string) {
	fmt.Fprintf(svg, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, html.EscapeString(text))
}

// bar is the best of a library with commits that survive loss of power.
type bar struct {
	library string
	value   float64
}

// drawPeers draws bars, a group for each store.
func drawPeers(svg *strings.Builder, found []*bench.Measurement) {
	label(svg, 20, 28, "title", "start", "Runs of three steps per second, 64 in flight")
	label(svg, 20, 46, "small", "start", "every commit survives loss of power; the best setting of each")
	y := 74.0
	for _, store := range []struct{ name, title, durable string }{{bench.SQLite, "SQLite", "FULL"}, {bench.Postgres, "PostgreSQL", "synchronous_commit=on"}} {
		best := map[string]float64{}
		for _, m := range found {
			if s := m.Setting; m.Question == "peers" && m.Metric == "runs" && s["store"] == store.name && s["flush"] == "0s" && strings.Contains(s["durability"], store.durable) {
				samples, _ := m.Quiet()
				best[s["library"]] = max(best[s["library"]], bench.Median(samples))
			}
		}
		var bars []bar
		for library, value := range best {
			bars = append(bars, bar{library, value})
		}
		if len(bars) == 0 {
			continue
		}
		slices.SortFunc(bars, func(a, b bar) int { return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.library, b.library)) })
		label(svg, 20, y, "", "start", store.title)
		for _, b := range bars {
			y += 30
			class := "other"
			if b.library == "bide" {
				class = "ours"
			}
			long := max(220*b.value/bars[0].value, 1)
			label(svg, 120, y, "small", "end", b.library)
			fmt.Fprintf(svg, `<rect x="128" y="%.1f" width="%.1f" height="18" class="%s"/>`+"\n", y-13, long, class)
			label(svg, 134+long, y, "small", "start", bench.Number(b.value))
		}
		y += 44
	}
}

// The plot of the right half.
const left, right, top, bottom = 540.0, 800.0, 74.0, 350.0

// drawStores draws a line for each store; both axes are logarithmic.
func drawStores(svg *strings.Builder, found []*bench.Measurement) {
	label(svg, 500, 28, "title", "start", "bide by store")
	label(svg, 500, 46, "small", "start", "runs of three steps per second, by runs in flight")
	type point struct{ flight, value float64 }
	lines := map[string][]point{}
	var flights, values []float64
	for _, m := range found {
		if m.Question != "throughput" || m.Metric != "runs" || m.Setting["flush"] != "0s" {
			continue
		}
		flight, err := strconv.ParseFloat(m.Setting["in flight"], 64)
		if err != nil {
			continue
		}
		samples, _ := m.Quiet()
		p := point{flight, bench.Median(samples)}
		lines[m.Setting["store"]] = append(lines[m.Setting["store"]], p)
		flights, values = append(flights, flight), append(values, p.value)
	}
	if len(flights) == 0 {
		return
	}
	low, high := math.Floor(math.Log10(slices.Min(values))), math.Ceil(math.Log10(slices.Max(values)))
	most := max(math.Log2(slices.Max(flights)), 1)
	x := func(flight float64) float64 { return left + (right-left)*math.Log2(flight)/most }
	y := func(value float64) float64 {
		return bottom - (bottom-top)*(math.Log10(value)-low)/max(high-low, 1)
	}
	for power := low; power <= high; power++ {
		value := math.Pow(10, power)
		fmt.Fprintf(svg, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" class="grid"/>`+"\n", left, right, y(value), y(value))
		label(svg, left-8, y(value)+4, "small", "end", bench.Number(value))
	}
	slices.Sort(flights)
	for _, flight := range slices.Compact(flights) {
		label(svg, x(flight), bottom+18, "small", "middle", strconv.FormatFloat(flight, 'f', -1, 64))
	}
	label(svg, (left+right)/2, bottom+38, "small", "middle", "runs in flight")
	type name struct {
		store string
		at    float64
	}
	var names []name
	for i, store := range bench.All {
		points := lines[store]
		if len(points) == 0 {
			continue
		}
		slices.SortFunc(points, func(a, b point) int { return cmp.Compare(a.flight, b.flight) })
		var path strings.Builder
		for _, p := range points {
			fmt.Fprintf(&path, "%.1f,%.1f ", x(p.flight), y(p.value))
			fmt.Fprintf(svg, `<circle cx="%.1f" cy="%.1f" r="3" class="s%d"/>`+"\n", x(p.flight), y(p.value), i)
		}
		fmt.Fprintf(svg, `<polyline points="%s" class="s%d" style="fill:none"/>`+"\n", strings.TrimSpace(path.String()), i)
		names = append(names, name{store, y(points[len(points)-1].value) + 4})
	}
	slices.SortFunc(names, func(a, b name) int { return cmp.Compare(a.at, b.at) })
	last := 0.0 // names stand below each other, not on each other
	for _, n := range names {
		last = max(n.at, last+13)
		label(svg, right+10, last, "small", "start", n.store)
	}
}
