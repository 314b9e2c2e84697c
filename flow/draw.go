package flow

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
)

// way is an edge between steps, as it is drawn.
type way struct{ from, to, label string }

// drawing is a document as boxes and ways; helpers of a step are part of its box.
type drawing struct {
	boxes []box
	ways  []way
}

type box struct {
	id, label, kind string
	depth           int // of the lists around it
}

// box is the name of the box that a node is part of.
func (g *graph) box(name string) string {
	n := g.byName[name]
	switch {
	case name == bide.End:
		return nodeEnd
	case n != nil && n.step != nil && !strings.HasSuffix(name, "@error") && !strings.HasSuffix(name, "@timeout"):
		return n.step.node
	}
	return name
}

func (d *Doc) drawing() drawing {
	var out drawing
	g := d.graph
	seen := map[string]bool{}
	via := map[string]string{} // nodes that only lead on, such as those of handlers
	for _, n := range g.nodes {
		if strings.HasSuffix(n.name, "@error") || strings.HasSuffix(n.name, "@timeout") {
			via[n.name] = n.exits[0].to
		}
	}
	reached := g.reach(nodeStart)
	for _, n := range g.nodes {
		id := g.box(n.name)
		if via[n.name] != "" || seen[id] || !reached[n.name] && n.name != nodeStart {
			continue
		}
		seen[id] = true
		b := box{id: id, label: strings.TrimPrefix(id, "@"), kind: strings.TrimPrefix(id, "@")}
		if n.step != nil {
			b = box{id: id, label: n.step.summary(), kind: n.step.kind, depth: n.step.in.depth()}
		}
		out.boxes = append(out.boxes, b)
	}
	drawn := map[way]bool{}
	for _, n := range g.nodes {
		if via[n.name] != "" || !reached[n.name] && n.name != nodeStart {
			continue
		}
		for _, e := range n.exits {
			to := e.to
			for range g.nodes {
				if via[to] == "" {
					break
				}
				to = via[to]
			}
			w := way{g.box(n.name), g.box(to), e.label}
			if w.from == w.to && (e.label != "again") || drawn[w] || e.to == bide.End && n.name == nodeEnd {
				continue
			}
			drawn[w] = true
			out.ways = append(out.ways, w)
		}
	}
	return out
}

func (b *block) depth() (n int) {
	for ; b != nil && b.owner != nil; b = b.owner.in {
		n++
	}
	return n
}

// summary says in a few words what a step is.
func (s *step) summary() string {
	kind := s.kind
	if kind == "then" {
		kind = "if"
	}
	switch {
	case s.title != "":
		return kind + ": " + s.title
	case s.id != "":
		return kind + ": " + s.id
	}
	return kind
}

// Mermaid draws the document as a Mermaid flow chart.
func (d *Doc) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	dr := d.drawing()
	names := map[string]string{}
	quote := strings.NewReplacer(`"`, "#quot;", "<", "&lt;", ">", "&gt;", "\n", " ")
	for i, x := range dr.boxes {
		names[x.id] = fmt.Sprintf("n%d", i)
		open, end := "[", "]"
		switch x.kind {
		case "start", "end":
			open, end = "([", "])"
		case "then", "switch", "repeat", "for_each":
			open, end = "{{", "}}"
		case "ask", "form", "wait", "wait_event", "job":
			open, end = "[/", "/]"
		}
		fmt.Fprintf(&b, "  %s%s\"%s\"%s\n", names[x.id], open, quote.Replace(x.label), end)
	}
	for _, w := range dr.ways {
		arrow := "-->"
		if w.label == "error" || w.label == "timeout" {
			arrow = "-.->"
		}
		if w.label != "" {
			arrow += "|\"" + quote.Replace(w.label) + "\"|"
		}
		fmt.Fprintf(&b, "  %s %s %s\n", names[w.from], arrow, names[w.to])
	}
	return b.String()
}

// DOT draws the document in the language of Graphviz.
func (d *Doc) DOT() string {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %q {\n  node [shape=box, fontname=\"sans-serif\"]\n", d.id)
	dr := d.drawing()
	for _, x := range dr.boxes {
		shape := ""
		switch x.kind {
		case "start", "end":
			shape = ", shape=oval"
		case "then", "switch", "repeat", "for_each":
			shape = ", shape=hexagon"
		case "ask", "form", "wait", "wait_event", "job":
			shape = ", shape=parallelogram"
		}
		fmt.Fprintf(&b, "  %q [label=%q%s]\n", x.id, x.label, shape)
	}
	for _, w := range dr.ways {
		style := ""
		if w.label == "error" || w.label == "timeout" {
			style = ", style=dashed"
		}
		fmt.Fprintf(&b, "  %q -> %q [label=%q%s]\n", w.from, w.to, w.label, style)
	}
	b.WriteString("}\n")
	return b.String()
}

// Picture draws the document for a terminal: one line per step, indented by the lists around it, with
// the ways that do not simply lead to the next line.
func (d *Doc) Picture() string {
	var b strings.Builder
	name := d.id
	if d.title != "" {
		name += " · " + d.title
	}
	b.WriteString(name + "\n")
	d.pictureOf(&b, d.steps, "")
	if d.onError != nil && d.onError.block != nil {
		b.WriteString("on error\n")
		d.pictureOf(&b, d.onError.block, "")
	}
	return b.String()
}

// pictureOf draws a list of steps.
func (d *Doc) pictureOf(b *strings.Builder, list *block, indent string) {
	for i, s := range list.steps {
		branch, rest := "├─ ", "│  "
		if i == len(list.steps)-1 {
			branch, rest = "└─ ", "   "
		}
		b.WriteString(indent + branch + s.summary())
		if s.cond != nil && s.kind != "then" {
			b.WriteString(" (if)")
		}
		for _, h := range []struct {
			arrow string
			*handler
		}{{" → ", s.next}, {" ⚡ error → ", s.onError}, {" ⏱ timeout → ", s.onTimeout}} {
			if h.handler != nil && h.block == nil {
				b.WriteString(h.arrow + h.to)
			}
		}
		b.WriteString("\n")
		for _, part := range s.parts() {
			if part.label != "" {
				b.WriteString(indent + rest + part.label + "\n")
			}
			if part.block != nil {
				d.pictureOf(b, part.block, indent+rest)
			}
		}
	}
}

// part is a list of steps inside of a step.
type stepPart struct {
	label string
	block *block
}

// parts lists the lists of steps inside of a step.
func (s *step) parts() (out []stepPart) {
	switch do := s.do.(type) {
	case *branch:
		for _, a := range do.arms {
			label := a.label
			if a.jump != nil {
				label += " → " + a.jump.to
			}
			out = append(out, stepPart{label, a.block})
		}
	case *forEach:
		out = append(out, stepPart{"", do.body})
	case *repeat:
		out = append(out, stepPart{"", do.body})
	case *parallel:
		for _, br := range do.branches {
			out = append(out, stepPart{br.name, br.block})
		}
	}
	if s.onError != nil && s.onError.block != nil {
		out = append(out, stepPart{"on error", s.onError.block})
	}
	if s.onTimeout != nil && s.onTimeout.block != nil {
		out = append(out, stepPart{"on timeout", s.onTimeout.block})
	}
	return slices.Clip(out)
}
