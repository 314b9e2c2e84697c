package flow

import (
	"maps"
	"slices"
	"strings"
)

// scope is where names are known: the whole flow, or the body of a loop or branch within.
type scope struct {
	parent *scope
	// child says that the body runs as a run of its own, which is given what it needs of the outside.
	child bool
	names map[string]*binding
	// captures is what the body of a child uses of the outside.
	captures []*reference
	// from is the step whose body this is; nil for the flow.
	from *step
}

// binding is what a name stands for.
type binding struct {
	kind  byte     // s (the result of a step), v (a variable), l (item or index of a loop), i (input, env, run, error)
	path  []string // where it is in the vars of the run that owns the scope
	steps []*step  // by which it is made
	item  bool     // it is the item of a list that is at path[:len-1], at the index that is at path
	place place
}

// reserved names are not free for steps and variables.
var reserved = []string{"input", "env", "run", "error", "loops", "secret", "true", "false", "nil", "null", "not", "and", "or", "in", "let", "if", "else", "matches", "contains", "startsWith", "endsWith"}

// reference is a name in an expression, and what it turns out to stand for.
type reference struct {
	name   string
	chain  []string // the members that are read of it, as far as they are known
	offset int
	place  place
	scope  *scope
	node   string // the node that evaluates it

	bound *binding
	path  []string // where the value is, seen from the run that evaluates the reference
}

// find looks a name up from the inside out.
func (s *scope) find(name string) (b *binding, owner *scope) {
	for ; s != nil; s = s.parent {
		if b := s.names[name]; b != nil {
			return b, s
		}
	}
	return nil, nil
}

// visible lists all names that can be used in s.
func (s *scope) visible() (out []string) {
	for ; s != nil; s = s.parent {
		out = slices.AppendSeq(out, maps.Keys(s.names))
	}
	return out
}

// resolve finds what a reference stands for; the bodies of children in between take note.
func (r *reference) resolve() bool {
	b, owner := r.scope.find(r.name)
	if b == nil {
		return false
	}
	r.bound, r.path = b, b.path
	if b.kind == 'i' && (r.name == "run" || r.name == "error") {
		return true
	}
	for s := r.scope; s != owner; s = s.parent {
		if !s.child {
			continue
		}
		r.path = []string{"input", "names", r.name}
		s.capture(r)
		break
	}
	return true
}

// capture notes that a body needs a name from outside.
func (s *scope) capture(r *reference) {
	for _, c := range s.captures {
		if c.name == r.name && slices.Equal(c.chain, r.chain) {
			return
		}
	}
	c := &reference{name: r.name, chain: r.chain, place: r.place, scope: s.parent, node: s.from.node}
	c.resolve()
	s.captures = append(s.captures, c)
	slices.SortFunc(s.captures, func(a, b *reference) int {
		if len(a.chain) != len(b.chain) {
			return len(a.chain) - len(b.chain)
		}
		return strings.Compare(a.name+"."+strings.Join(a.chain, "."), b.name+"."+strings.Join(b.chain, "."))
	})
}
