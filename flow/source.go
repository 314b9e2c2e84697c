package flow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Bounds of a document.
const (
	maxSource = 4 << 20 // bytes
	maxDepth  = 100     // levels of lists and objects
)

// value is a JSON value as it stands in a document.
type value struct {
	place
	kind    byte // as in JSON's first character: n, t (true and false), 0 (a number), ", [ or {
	text    string
	members []member
	items   []*value

	style  yaml.Style
	indent int // of the lines of a block scalar
}

type member struct {
	name *value
	*value
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// read parses the text of a document into a value. It returns nil after a fault.
func (f *faults) read(src []byte) *value {
	top := place{1, 1}
	switch {
	case len(src) > maxSource:
		f.add(top, "the document has %d bytes, more than %d", len(src), maxSource)
		return nil
	case !utf8.Valid(src):
		f.add(top, "the document is not UTF-8")
		return nil
	}
	var root yaml.Node
	if len(bytes.TrimSpace(src)) == 0 {
		f.add(top, "the document is empty").Suggestion = "begin with bide: 1"
		return nil
	}
	if err := yaml.Load(src, &root); err != nil {
		f.yamlError(err, bytes.Split(src, []byte("\n")))
		return nil
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) == 0 {
		f.add(top, "the document is empty").Suggestion = "begin with bide: 1"
		return nil
	}
	r := &reader{faults: f, lines: bytes.Split(src, []byte("\n"))}
	before := len(f.list)
	v := r.value(root.Content[0], 0)
	if len(f.list) > before {
		return nil
	}
	return v
}

// yamlError reports what the YAML library says, at the place that it names.
func (f *faults) yamlError(err error, lines [][]byte) {
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		f.add(place{1, 1}, "%s", firstLine(err.Error()))
		return
	}
	message := load.Message
	if load.ContextMsg != "" {
		message = load.ContextMsg + ": " + message
	}
	fault := f.add(place{max(load.Mark.Line, 1), max(load.Mark.Column, 1)}, "%s", firstLine(message))
	if line := load.Mark.Line; line >= 1 && line <= len(lines) && bytes.HasPrefix(bytes.TrimLeft(lines[line-1], " "), []byte("\t")) {
		fault.Suggestion = "indent with spaces, not with tabs"
	}
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

type reader struct {
	*faults
	lines [][]byte
}

func (r *reader) value(n *yaml.Node, depth int) *value {
	v := &value{place: place{max(n.Line, 1), max(n.Column, 1)}, kind: 'n', style: n.Style}
	switch {
	case depth > maxDepth:
		r.add(v.place, "the document is nested more than %d levels deep", maxDepth)
		return v
	case n.Kind == yaml.AliasNode, n.Anchor != "":
		r.add(v.place, "anchors and aliases are not part of the format").Suggestion = "repeat the value, or keep it in a variable with set"
		return v
	case n.Style&yaml.TaggedStyle != 0:
		r.add(v.place, "tags such as %s are not part of the format", n.Tag)
		return v
	}
	switch n.Kind {
	case yaml.MappingNode:
		v.kind = '{'
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := r.value(n.Content[i], depth+1)
			if name.kind == '{' || name.kind == '[' || n.Content[i].Tag == "!!merge" {
				r.add(name.place, "the name of a member must be a string")
				continue
			}
			if old := v.get(n.Content[i].Value); old != nil {
				r.add(name.place, "%q is there twice; the first is in line %d", n.Content[i].Value, old.line)
				continue
			}
			name.kind, name.text = '"', n.Content[i].Value
			v.members = append(v.members, member{name, r.value(n.Content[i+1], depth+1)})
		}
	case yaml.SequenceNode:
		v.kind = '['
		for _, item := range n.Content {
			v.items = append(v.items, r.value(item, depth+1))
		}
	default:
		r.scalar(n, v)
	}
	return v
}

func (r *reader) scalar(n *yaml.Node, v *value) {
	v.text = n.Value
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 && v.line < len(r.lines) {
		line := r.lines[v.line]
		v.indent = len(line) - len(bytes.TrimLeft(line, " "))
	}
	switch n.ShortTag() {
	case "!!null":
		v.kind, v.text = 'n', "null"
	case "!!bool":
		v.kind, v.text = 't', strings.ToLower(n.Value)
	case "!!int", "!!float":
		v.kind, v.text = '0', number(n.Value)
		if v.text == "" {
			r.add(v.place, "%s is not a number that JSON can hold", n.Value).Suggestion = "put it in quotes if it is text"
		}
	default:
		v.kind = '"'
	}
}

// number is the JSON form of a YAML number, or empty when there is none. What JSON can say stays as it is written.
func number(s string) string {
	if jsonNumber.MatchString(s) {
		return s
	}
	if i, ok := new(big.Int).SetString(strings.ReplaceAll(s, "_", ""), 0); ok {
		return i.String()
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && json.Valid(strconv.AppendFloat(nil, f, 'g', -1, 64)) {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return ""
}

// get returns the value of a member, or nil.
func (v *value) get(name string) *value {
	for _, m := range v.members {
		if m.name.text == name {
			return m.value
		}
	}
	return nil
}

// what says what kind of value v is.
func (v *value) what() string {
	switch v.kind {
	case '{':
		return "an object"
	case '[':
		if len(v.items) == 0 {
			return "an empty list"
		}
		return "a list"
	case '"':
		return fmt.Sprintf("the string %q", shorten(v.text))
	case 'n':
		return "null"
	}
	return v.text
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

// at is the place of the character at offset (in runes) of a string.
func (v *value) at(offset int) place {
	runes := []rune(v.text)
	offset = min(offset, len(runes))
	line, column := 0, offset
	for i, c := range runes[:offset] {
		if c == '\n' {
			line, column = line+1, offset-i-1
		}
	}
	switch {
	case v.style&yaml.LiteralStyle != 0:
		return place{v.line + 1 + line, v.indent + 1 + column}
	case v.style&yaml.FoldedStyle != 0:
		return place{v.line + 1, v.indent + 1}
	case v.style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		return place{v.line, v.column + 1 + offset}
	}
	return place{v.line, v.column + offset}
}

// canonical appends the JSON of v with its members in order of their names.
func (v *value) canonical(b []byte) []byte {
	switch v.kind {
	case '{':
		members := slices.SortedFunc(slices.Values(v.members), func(a, b member) int { return strings.Compare(a.name.text, b.name.text) })
		b = append(b, '{')
		for i, m := range members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, m.name.text), ':')
			b = m.canonical(b)
		}
		return append(b, '}')
	case '[':
		b = append(b, '[')
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.canonical(b)
		}
		return append(b, ']')
	case '"':
		return appendString(b, v.text)
	}
	return append(b, v.text...)
}

func appendString(b []byte, s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return strconv.AppendQuote(b, s)
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}
