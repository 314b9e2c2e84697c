package bide

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Workflow is a graph of nodes under an id and a version. A run keeps the
// version it began with.
type Workflow struct {
	ID      string // letters, digits and ._-, at most 100
	Version string // as ID
	Entry   string // the first node
	Nodes   Nodes
	// Exits declares where each node may go: node ids, and End for completion.
	// When set, every node needs an entry, a plan that leaves by another way is
	// an error, and the graph can be drawn. Nil leaves it open.
	Exits map[string][]string
	// ErrorNode is where a failed effect or node goes when its plan names no
	// error node. A failure in the error node itself fails the run. Empty means none.
	ErrorNode string
	// Source is the document that the workflow was compiled from, when there is
	// one. It is part of the definition's hash.
	Source []byte

	hash string // of the definition, once registered
}

// Nodes holds the nodes of a workflow by id.
type Nodes map[string]NodeFunc

// NodeFunc decides what a run does next. It is pure: it may read the run, which
// is valid only during the call, and nothing else: no clock (use Run.Now), no
// randomness, no I/O. It is called again after a crash and on replay, and must
// decide the same. An error or a panic ends the step as failed (K13).
type NodeFunc func(r *Run) (StepPlan, error)

// End is the name of completion among a node's declared exits.
const End = "(end)"

// check returns an error that lists every fault of the definition.
func (w *Workflow) check() error {
	var faults []Fault
	add := func(path, format string, args ...any) {
		faults = append(faults, Fault{path, fmt.Sprintf(format, args...)})
	}
	if err := checkName(w.ID); err != nil {
		add("id", "%v", err)
	}
	if err := checkName(w.Version); err != nil {
		add("version", "%v", err)
	}
	if len(w.Nodes) == 0 {
		add("nodes", "there are none")
	}
	if w.Entry == "" {
		add("entry", "is empty; name the first node")
	} else if w.Nodes[w.Entry] == nil {
		add("entry", "%q is not a node", w.Entry)
	}
	for _, id := range slices.Sorted(maps.Keys(w.Nodes)) {
		if w.Nodes[id] == nil {
			add("nodes."+id, "has no function")
		}
		if id == "" || id == End {
			add("nodes", "%q cannot be the id of a node", id)
		}
		if w.Exits != nil && len(w.Exits[id]) == 0 {
			add("exits."+id, "node without exit; declare where it goes, or bide.End")
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.Exits)) {
		if _, ok := w.Nodes[id]; !ok {
			add("exits."+id, "is not a node")
		}
		for _, to := range w.Exits[id] {
			if _, ok := w.Nodes[to]; !ok && to != End {
				add("exits."+id, "%q is not a node", to)
			}
		}
	}
	if w.ErrorNode != "" && w.Nodes[w.ErrorNode] == nil {
		add("error_node", "%q is not a node", w.ErrorNode)
	}
	if len(faults) == 0 {
		return nil
	}
	return &Error{Code: CodeInvalidWorkflow, Message: fmt.Sprintf("workflow %q version %q is misbuilt", w.ID, w.Version), Faults: faults}
}

func (w *Workflow) declares(node, to string) bool {
	return slices.Contains(w.Exits[node], to) || to == w.ErrorNode && to != ""
}

// Definition is the SHA-256, in hex, of what is known of the definition: id, version,
// entry, the names and exits of the nodes, and the source document.
func (w *Workflow) Definition() string {
	if w.hash != "" {
		return w.hash
	}
	exits := map[string][]string{}
	for id := range w.Nodes {
		exits[id] = w.Exits[id]
	}
	body, err := encodeOwn([]any{w.ID, w.Version, w.Entry, w.ErrorNode, exits, string(w.Source)})
	if err != nil { // not valid UTF-8 somewhere: hash what Go prints
		body = fmt.Appendf(nil, "%q", []any{w.ID, w.Version, w.Entry, w.ErrorNode, exits, w.Source})
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// same reports whether w is v itself, copied: its maps and source are the same ones.
func (w *Workflow) same(v *Workflow) bool {
	at := func(x any) uintptr { return reflect.ValueOf(x).Pointer() }
	return w.ID == v.ID && w.Version == v.Version && w.Entry == v.Entry && w.ErrorNode == v.ErrorNode &&
		at(w.Nodes) == at(v.Nodes) && at(w.Exits) == at(v.Exits) && at(w.Source) == at(v.Source) && len(w.Source) == len(v.Source)
}

// checkName holds ids, versions, keys and names to characters that are safe in
// paths, URLs and logs.
func checkName(s string) error {
	if s == "" {
		return fmt.Errorf("is empty")
	}
	if len(s) > 100 {
		return fmt.Errorf("has %d characters, more than 100", len(s))
	}
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return fmt.Errorf("%q contains %q; letters, digits and . _ - are allowed", s, c)
		}
	}
	return nil
}
