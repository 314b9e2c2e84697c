package bide

// Op is what a Write does.
type Op string

// The operations on vars.
const (
	OpSet    Op = "set"    // replace or create; missing objects on the way are created
	OpDelete Op = "delete" // remove; nothing there is not an error
	OpAppend Op = "append" // add to the end of a list; a missing list is created
)

// Write is one recorded change of a run's vars. A write through something that
// is neither an object nor a list, past the end of a list, or an append to
// something that is not a list, is an error and changes nothing (K14).
type Write struct {
	Op    Op     `json:"op"`
	Path  string `json:"path"`
	Value JSON   `json:"value,omitempty"`
}
