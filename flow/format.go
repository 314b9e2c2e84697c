package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// order of the members of a document and of a step. Others follow as they were written.
var (
	documentOrder = []string{"bide", "flow", "title", "version", "input", "env", "timeout", "steps", "on_error", "output"}
	stepOrder     = slices.Concat([]string{"id", "title", "if"}, kindNames, []string{"else", "timeout", "attempt_timeout", "retry", "delivery", "on_error", "on_timeout", "next"})
)

// Format brings a document into its one form: members in their usual order, two spaces per level, comments
// where they were. JSON stays JSON. What the document says does not change. It fails with an *Error when the document has faults.
func Format(name string, src []byte) ([]byte, error) {
	d, err := Parse(name, src)
	if err != nil {
		return nil, err
	}
	if trimmed := bytes.TrimSpace(src); json.Valid(trimmed) {
		return formatJSON(d)
	}
	var root yaml.Node
	if err := yaml.Load(src, &root); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	top := root.Content[0]
	about := top.Content[0].HeadComment // what stands above the first member speaks of the whole
	top.Content[0].HeadComment = ""
	arrange(top, documentOrder)
	top.Content[0].HeadComment = strings.TrimPrefix(about+"\n"+top.Content[0].HeadComment, "\n")
	out, err := yaml.Dump(&root, yaml.WithIndent(2), yaml.WithCompactSeqIndent(false), yaml.WithLineWidth(-1))
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	again, err := Parse(name, out)
	if err != nil || again.Version() != d.Version() {
		return nil, fmt.Errorf("%s cannot be formatted without changing what it says; please report this with the document", name)
	}
	return out, nil
}

func formatJSON(d *Doc) ([]byte, error) {
	var out bytes.Buffer
	if err := json.Indent(&out, d.canonical, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// arrange puts the members of n and of the steps inside in order.
func arrange(n *yaml.Node, order []string) {
	if n.Kind == yaml.MappingNode && order != nil {
		type pair struct{ name, value *yaml.Node }
		pairs := make([]pair, 0, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			pairs = append(pairs, pair{n.Content[i], n.Content[i+1]})
		}
		rank := func(p pair) int {
			if i := slices.Index(order, p.name.Value); i >= 0 {
				return i
			}
			return len(order)
		}
		slices.SortStableFunc(pairs, func(a, b pair) int { return rank(a) - rank(b) })
		for i, p := range pairs {
			n.Content[2*i], n.Content[2*i+1] = p.name, p.value
		}
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			arrangeMember(n.Content[i-1].Value, child)
		} else if n.Kind == yaml.SequenceNode {
			arrange(child, nil)
		}
	}
}

// arrangeMember arranges the value of a member: in a list of steps, every step.
func arrangeMember(name string, v *yaml.Node) {
	switch {
	case v.Kind == yaml.SequenceNode && slices.Contains([]string{"steps", "then", "else", "on_error", "on_timeout"}, name):
		for _, s := range v.Content {
			arrange(s, stepOrder)
		}
	case name == "branches" && v.Kind == yaml.MappingNode:
		for i := 1; i < len(v.Content); i += 2 {
			arrangeMember("steps", v.Content[i])
		}
	case slices.Contains([]string{"switch", "for_each", "parallel", "repeat"}, name):
		arrange(v, nil)
	}
}
