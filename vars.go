package bide

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Vars is a run's JSON document: an object. It is a value to read from: what a
// caller holds never changes. Only recorded writes change a run's vars (K14).
// The zero Vars is an empty object.
//
// A path names a place in it: object names and list indexes joined by dots, as
// in "order.lines.0.price". A dot or backslash inside a name is written with a
// backslash before it.
type Vars struct {
	root *tree
	// gen is the generation of the nodes that this Vars may change in place.
	// view moves it on, so that what was handed out stays as it was.
	gen uint64
}

// tree is one value in Vars. Text stays text until a write goes inside it, so
// reading a run and writing one place cost nothing for the rest.
type tree struct {
	raw     JSON     // the text, when kind is 0
	kind    byte     // 0, '{' or '['
	gen     uint64   // generation that owns this node
	shared  bool     // items is also somebody else's array: it may grow, not change
	members []member // of an object, in order of first appearance
	index   map[string]int
	items   []*tree // of a list
}

type member struct {
	name  string
	value *tree // nil when deleted
}

// indexFrom is the number of members from which an object keeps an index.
const indexFrom = 16

func leaf(raw JSON) *tree { return &tree{raw: raw} }

// Get reads the value at path as a T. It returns the zero T and no error when
// nothing is there or the value is null; use Has to tell the difference. It
// fails when the path is malformed or the value does not fit T.
func Get[T any](v Vars, path string) (T, error) {
	var out T
	raw, ok, err := v.Raw(path)
	if err != nil || !ok {
		return out, err
	}
	if err := decode(raw, &out); err != nil {
		return out, fmt.Errorf("vars %q: %w", path, err)
	}
	return out, nil
}

// Has reports whether there is a value, null included, at path.
func (v Vars) Has(path string) bool {
	_, ok, err := v.Raw(path)
	return ok && err == nil
}

// Raw returns the JSON text at path and whether there is any. The empty path
// is the whole document. It fails only when the path is malformed.
func (v Vars) Raw(path string) (JSON, bool, error) {
	if path == "" {
		return v.root.text(), true, nil
	}
	segs, err := parsePath(path)
	if err != nil {
		return nil, false, err
	}
	n := v.root
	for i, seg := range segs {
		if n == nil {
			return nil, false, nil
		}
		if n.kind == 0 {
			raw, ok := seek(n.raw, segs[i:])
			return raw, ok, nil
		}
		n = n.child(seg)
	}
	if n == nil {
		return nil, false, nil
	}
	return n.text(), true, nil
}

// MarshalJSON returns the whole document.
func (v Vars) MarshalJSON() ([]byte, error) { return v.root.text(), nil }

// UnmarshalJSON reads a whole document, which must be an object.
func (v *Vars) UnmarshalJSON(b []byte) error {
	raw, err := compact(b)
	if err != nil {
		return err
	}
	if raw[0] != '{' {
		return fmt.Errorf("vars are an object, not %s", kindName(raw))
	}
	*v = Vars{root: leaf(raw)}
	return nil
}

// String returns the whole document as JSON text.
func (v Vars) String() string { return string(v.root.text()) }

// Equal reports whether both hold the same document. go-cmp calls it.
func (v Vars) Equal(w Vars) bool { return sameJSON(v.root.text(), w.root.text()) }

// view returns a Vars that later writes to v leave alone.
func (v *Vars) view() Vars {
	v.gen++
	return Vars{root: v.root, gen: v.gen}
}

// apply makes the writes in order. When one cannot be made, none is.
func (v *Vars) apply(writes ...Write) error {
	if err := v.checkAll(writes); err != nil {
		return err
	}
	for _, w := range writes {
		if err := v.write(w); err != nil {
			return err
		}
	}
	return nil
}

// checkAll says why the writes cannot all be made, without changing anything.
func (v Vars) checkAll(writes []Write) error {
	if !overlap(writes) {
		for _, w := range writes {
			segs, err := parsePath(w.Path)
			if err != nil {
				return err
			}
			if err := v.check(w, segs); err != nil {
				return err
			}
		}
		return nil
	}
	trial := Vars{root: v.root, gen: v.gen + 1} // copies what it changes
	for _, w := range writes {
		if err := trial.write(w); err != nil {
			return err
		}
	}
	return nil
}

// overlap reports whether the writes may touch the same place, so that one may
// fail or work because of another.
func overlap(writes []Write) bool {
	if len(writes) > 16 {
		return true
	}
	for i, a := range writes {
		for _, b := range writes[:i] {
			if strings.HasPrefix(a.touches(), b.touches()) || strings.HasPrefix(b.touches(), a.touches()) {
				return true
			}
		}
	}
	return false
}

// touches is the path below which the write may change something, with a dot at its end. What
// follows an item that is deleted from a list moves up.
func (w *Write) touches() string {
	if w.Op == OpDelete {
		return w.Path[:strings.LastIndexByte(w.Path, '.')+1]
	}
	return w.Path + "."
}

// write makes one write, or changes nothing and says why not.
func (v *Vars) write(w Write) error {
	segs, err := parsePath(w.Path)
	if err != nil {
		return err
	}
	if err := v.check(w, segs); err != nil {
		return err
	}
	if v.root == nil {
		v.root = &tree{kind: '{', gen: v.gen}
	}
	v.root = v.own(v.root)
	n := v.root
	last := len(segs) - 1
	for _, seg := range segs[:last] {
		next := n.child(seg)
		if next == nil {
			if w.Op == OpDelete {
				return nil
			}
			next = &tree{kind: '{', gen: v.gen}
		}
		next = v.own(next)
		n.set(seg, next)
		n = next
	}
	switch seg := segs[last]; w.Op {
	case OpSet:
		n.set(seg, leaf(w.Value))
	case OpDelete:
		n.remove(seg)
	case OpAppend:
		list := n.child(seg)
		if list == nil {
			list = &tree{kind: '[', gen: v.gen}
		}
		list = v.ownToAppend(list)
		list.items = append(list.items, leaf(w.Value))
		n.set(seg, list)
	}
	return nil
}

// check says why w cannot be made, without changing anything.
func (v *Vars) check(w Write, segs []string) error {
	fail := func(i int, format string, args ...any) error {
		at := joinPath(segs[:i])
		if i == 0 {
			at = "the document"
		}
		return fmt.Errorf("%s %q: %s "+format, append([]any{w.Op, w.Path, at}, args...)...)
	}
	n := v.root
	for i, seg := range segs {
		if n == nil {
			return nil // the rest is created
		}
		n = n.open()
		switch n.kind {
		case 0:
			return fail(i, "is %s, which has no members", kindName(n.raw))
		case '[':
			if k, ok := listIndex(seg); !ok || k >= len(n.items) {
				return fail(i, "is a list of %d, which has no %q", len(n.items), seg)
			}
		}
		n = n.child(seg)
	}
	if w.Op == OpAppend && n != nil {
		if n = n.open(); n.kind != '[' {
			return fail(len(segs), "is %s, not a list", kindName(n.text()))
		}
	}
	return nil
}

// own returns n itself when this generation may change it, else a copy.
func (v *Vars) own(n *tree) *tree {
	if n.kind == 0 {
		n = n.open()
		n.gen = v.gen
		return n
	}
	if n.gen == v.gen && !n.shared {
		return n
	}
	c := &tree{kind: n.kind, gen: v.gen}
	c.members = append(make([]member, 0, len(n.members)+1), n.members...)
	c.items = append(make([]*tree, 0, len(n.items)+1), n.items...)
	c.reindex()
	return c
}

// ownToAppend is own for a list that only grows: copies share the backing
// array, since nobody looks beyond its own length and only the newest grows.
func (v *Vars) ownToAppend(n *tree) *tree {
	if n.kind != 0 && n.gen == v.gen {
		return n
	}
	if n.kind == 0 {
		return v.own(n)
	}
	return &tree{kind: '[', gen: v.gen, items: n.items, shared: true}
}

// open returns n with its members or items, parsed from text when needed. A
// scalar is returned as it is. The result of parsing belongs to nobody.
func (n *tree) open() *tree {
	if n.kind != 0 || (n.raw[0] != '{' && n.raw[0] != '[') {
		return n
	}
	out := &tree{kind: n.raw[0], gen: ^uint64(0)}
	for name, raw := range parts(n.raw) {
		if out.kind == '{' {
			out.members = append(out.members, member{name, leaf(raw)})
		} else {
			out.items = append(out.items, leaf(raw))
		}
	}
	out.reindex()
	return out
}

func (n *tree) child(seg string) *tree {
	switch n.kind {
	case 0:
		if raw, ok := seek(n.raw, []string{seg}); ok {
			return leaf(raw)
		}
	case '{':
		if i := n.find(seg); i >= 0 {
			return n.members[i].value
		}
	case '[':
		if i, ok := listIndex(seg); ok && i < len(n.items) {
			return n.items[i]
		}
	}
	return nil
}

func (n *tree) find(name string) int {
	if n.index != nil {
		if i, ok := n.index[name]; ok {
			return i
		}
		return -1
	}
	for i, m := range n.members {
		if m.name == name {
			return i
		}
	}
	return -1
}

func (n *tree) reindex() {
	n.index = nil
	if len(n.members) < indexFrom {
		return
	}
	n.index = make(map[string]int, len(n.members))
	for i, m := range n.members {
		n.index[m.name] = i
	}
}

func (n *tree) set(seg string, value *tree) {
	if n.kind == '[' {
		i, _ := listIndex(seg)
		n.items[i] = value
		return
	}
	if i := n.find(seg); i >= 0 {
		n.members[i].value = value
		return
	}
	n.members = append(n.members, member{seg, value})
	if n.index != nil {
		n.index[seg] = len(n.members) - 1
	} else if len(n.members) >= indexFrom {
		n.reindex()
	}
}

func (n *tree) remove(seg string) {
	if n.kind == '[' {
		i, _ := listIndex(seg)
		n.items = append(n.items[:i], n.items[i+1:]...)
		return
	}
	i := n.find(seg)
	if i < 0 {
		return
	}
	n.members = append(n.members[:i], n.members[i+1:]...)
	n.reindex()
}

// text returns the JSON of n; for a leaf, the text it holds.
func (n *tree) text() JSON {
	switch {
	case n == nil:
		return JSON("{}")
	case n.kind == 0:
		return n.raw
	}
	return n.appendText(nil)
}

func (n *tree) appendText(b []byte) []byte {
	switch n.kind {
	case 0:
		return append(b, n.raw...)
	case '{':
		b = append(b, '{')
		for i, m := range n.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, m.name), ':')
			b = m.value.appendText(b)
		}
		return append(b, '}')
	default:
		b = append(b, '[')
		for i, item := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.appendText(b)
		}
		return append(b, ']')
	}
}

// parts yields the members of an object or the items of a list, whose text
// must be valid. The texts share memory with raw.
func parts(raw JSON) func(yield func(string, JSON) bool) {
	return func(yield func(string, JSON) bool) {
		dec := jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true))
		_, err := dec.ReadToken()
		for err == nil && dec.PeekKind() != '}' && dec.PeekKind() != ']' {
			name := ""
			if raw[0] == '{' {
				var tok jsontext.Token
				if tok, err = dec.ReadToken(); err != nil {
					return
				}
				name = tok.String()
			}
			var val jsontext.Value
			if val, err = dec.ReadValue(); err != nil {
				return
			}
			end := dec.InputOffset()
			if !yield(name, raw[end-int64(len(val)):end:end]) {
				return
			}
		}
	}
}

// seek follows segs through the text of a value.
func seek(raw JSON, segs []string) (JSON, bool) {
	for _, seg := range segs {
		found := false
		i, isIndex := listIndex(seg)
		k := 0
		for name, val := range parts(raw) {
			if raw[0] == '{' && name == seg || raw[0] == '[' && isIndex && k == i {
				raw, found = val, true
				break
			}
			k++
		}
		if !found {
			return nil, false
		}
	}
	return raw, true
}

func kindName(raw JSON) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}
