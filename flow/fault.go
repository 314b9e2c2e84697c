package flow

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing wrong with a document: where it is, what it is, and what may have been meant.
type Fault struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line"`   // from 1
	Column  int    `json:"column"` // from 1, in characters
	Message string `json:"message"`
	// Suggestion is the way out, when one is known: `did you mean "approve"?`
	Suggestion string `json:"suggestion,omitempty"`
}

// String returns "file:line:column: message; suggestion".
func (f Fault) String() string {
	s := fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
	if f.Suggestion != "" {
		s += "; " + f.Suggestion
	}
	return s
}

// Error is every fault of a document, in the order of their places.
type Error struct {
	Faults []Fault `json:"faults"`
}

// Error returns one fault per line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// place is where something stands in a document.
type place struct{ line, column int }

// faults gathers what is wrong with a document.
type faults struct {
	file string
	list []Fault
}

func (f *faults) add(at place, format string, args ...any) *Fault {
	f.list = append(f.list, Fault{File: f.file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
	return &f.list[len(f.list)-1]
}

// err returns what was gathered, or nil.
func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{slices.Compact(f.list)}
}

// near suggests the one of names that word is most like, if one is like it.
func (f *Fault) near(word string, names []string) {
	best, distance := "", len(word)/3+2
	for _, name := range slices.Sorted(slices.Values(names)) {
		if d := edits(strings.ToLower(word), strings.ToLower(name)); d < distance {
			best, distance = name, d
		}
	}
	if best != "" {
		f.Suggestion = fmt.Sprintf("did you mean %q?", best)
	}
}

// edits is the number of letters to insert, delete, replace or swap with the next between a and b.
func edits(a, b string) int {
	if len(a) > 100 || len(b) > 100 {
		return 100
	}
	x, y := []rune(a), []rune(b)
	rows := [3][]int{make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		now, last, before := rows[i%3], rows[(i+2)%3], rows[(i+1)%3]
		now[0] = i
		for j := 1; j <= len(y); j++ {
			same := 1
			if x[i-1] == y[j-1] {
				same = 0
			}
			now[j] = min(now[j-1]+1, last[j]+1, last[j-1]+same)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
	}
	return rows[len(x)%3][len(y)]
}
