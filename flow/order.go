package flow

import (
	"fmt"
	"maps"
	"slices"
)

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// reach is the set of nodes that can come after a node.
func (g *graph) reach(from string) map[string]bool {
	seen := map[string]bool{}
	queue := []string{from}
	for len(queue) > 0 {
		n := g.byName[queue[0]]
		queue = queue[1:]
		if n == nil {
			continue
		}
		for _, e := range n.exits {
			if !seen[e.to] {
				seen[e.to] = true
				queue = append(queue, e.to)
			}
		}
	}
	return seen
}

// checkOrder refuses references to steps that cannot have run before.
func (p *parser) checkOrder() {
	after := map[string]map[string]bool{}
	for _, ref := range p.refs {
		if ref.bound == nil || len(ref.bound.steps) == 0 {
			continue
		}
		possible := false
		for _, s := range ref.bound.steps {
			if after[s.node] == nil {
				after[s.node] = p.doc.graph.reach(s.node)
			}
			possible = possible || after[s.node][ref.node]
		}
		if possible {
			continue
		}
		s := ref.bound.steps[0]
		switch {
		case ref.bound.kind == 'v':
			p.add(ref.place, "%q cannot have been set before: step %s in line %d comes later", ref.name, s.name(), s.line)
		case s.node == ref.node:
			p.add(ref.place, "step %q cannot use its own result", ref.name)
		default:
			p.add(ref.place, "step %q cannot have run before: it comes later, in line %d", ref.name, s.line)
		}
	}
}

// lint notes what is allowed but looks like a mistake.
func (p *parser) lint() {
	reached := p.doc.graph.reach(nodeStart)
	for _, s := range p.all {
		if s.scope == p.doc.scope && !reached[s.node] {
			p.warn(s.place, "step %s is never reached", s.name())
		}
	}
	used := map[string]bool{}
	for _, ref := range p.refs {
		if ref.name == "env" && len(ref.chain) > 0 {
			used[ref.chain[0]] = true
		}
		used[ref.bound.place.key()] = true
	}
	for _, s := range p.all {
		if a, ok := s.do.(*assign); ok {
			for _, name := range a.names {
				if b, _ := s.scope.find(name); b != nil && !used[b.place.key()] && b.steps[0] == s {
					p.warn(b.place, "the variable %q is never used", name)
				}
			}
		}
	}
	for _, e := range p.doc.env {
		if !used[e.Name] {
			p.warn(place{1, 1}, "the setting %q is never used", e.Name)
		}
	}
}

func (p *parser) warn(at place, format string, args ...any) {
	p.doc.warnings = append(p.doc.warnings, Fault{File: p.file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
}

func (at place) key() string { return fmt.Sprintf("%d:%d", at.line, at.column) }

// Lint lists what is allowed but looks like a mistake: steps that are never reached, variables and settings
// that are never used.
func (d *Doc) Lint() []Fault { return slices.Clone(d.warnings) }
