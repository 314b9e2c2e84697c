// Package search is the language in which people look for runs: words and
// fields such as `status:waiting flow:refund since:1h label:team=ops "order 42"`.
// It parses and matches; it knows nothing of stores, flags or screens.
package search

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
)

// Query is a parsed search. Its parts are joined by and; the values of one field by or.
type Query struct {
	Statuses  []bide.Status
	Workflows []string
	Versions  []string
	Sessions  []string
	Parents   []string
	Actors    []string
	Keys      []string
	Roots     []string // the runs at the top of their trees
	// Waiting is the kind of an open wait that a run must have; empty does not restrict.
	Waiting bide.WaitKind
	// Labels are what each run must carry.
	Labels []Label
	// Since and Until bound the time of creation: not before, before. Zero means no bound.
	Since, Until time.Time
	SetAside     bool // only runs that workers have set aside
	// Due selects runs that have a timer, a deadline or a retry due by then. Zero does not restrict.
	Due time.Time
	// Words must each be part of the run's id, workflow, node, key, session, actor or labels; case does not matter.
	Words []string
}

// Label is a label that a run must carry.
type Label struct {
	Name string
	// Value is what it must be; with Any, its value does not matter.
	Value string
	Any   bool
}

// field is one word before a colon.
type field struct {
	name, example string
	take          func(q *Query, value string, now time.Time) error
}

// fields are all that are known, in the order in which help lists them.
func fields() []field {
	add := func(to func(*Query) *[]string) func(*Query, string, time.Time) error {
		return func(q *Query, value string, _ time.Time) error {
			*to(q) = append(*to(q), strings.Split(value, ",")...)
			return nil
		}
	}
	return []field{
		{"status", "status:waiting,failed", takeStatus},
		{"flow", "flow:refund", add(func(q *Query) *[]string { return &q.Workflows })},
		{"version", "version:3", add(func(q *Query) *[]string { return &q.Versions })},
		{"wait", "wait:question", takeWait},
		{"label", "label:team=ops", takeLabel},
		{"since", "since:1h", func(q *Query, value string, now time.Time) (err error) {
			q.Since, err = instant(value, now)
			return err
		}},
		{"until", "until:2026-11-01", func(q *Query, value string, now time.Time) (err error) {
			q.Until, err = instant(value, now)
			return err
		}},
		{"session", "session:chat-7", add(func(q *Query) *[]string { return &q.Sessions })},
		{"parent", "parent:RUN", add(func(q *Query) *[]string { return &q.Parents })},
		{"root", "root:RUN", add(func(q *Query) *[]string { return &q.Roots })},
		{"actor", "actor:ann", add(func(q *Query) *[]string { return &q.Actors })},
		{"key", "key:order-42", add(func(q *Query) *[]string { return &q.Keys })},
		{"is", "is:set-aside", takeIs},
		{"is", "is:due", takeIs},
	}
}

// Fields lists an example of every field.
func Fields() (examples []string) {
	for _, f := range fields() {
		examples = append(examples, f.example)
	}
	return examples
}

// Parse reads a search. Times such as since:1h count back from now; a date
// means its midnight in now's zone. It fails with ErrInvalidInput, listing every fault.
func Parse(text string, now time.Time) (*Query, error) {
	q := &Query{}
	var faults []bide.Fault
	words, err := split(text)
	if err != nil {
		faults = append(faults, bide.Fault{Message: err.Error()})
	}
	known := fields()
	for _, w := range words {
		name, value, ok := strings.Cut(w.text, ":")
		if !ok || w.quoted {
			q.Words = append(q.Words, strings.ToLower(w.text))
			continue
		}
		i := slices.IndexFunc(known, func(f field) bool { return f.name == name })
		switch {
		case i < 0:
			faults = append(faults, bide.Fault{Path: w.text, Message: unknown(name, known)})
		case value == "":
			faults = append(faults, bide.Fault{Path: w.text, Message: "nothing follows the colon; for example " + known[i].example})
		default:
			if err := known[i].take(q, value, now); err != nil {
				faults = append(faults, bide.Fault{Path: w.text, Message: err.Error()})
			}
		}
	}
	if len(faults) > 0 {
		return nil, &bide.Error{Code: bide.CodeInvalidInput, Message: "the search cannot be understood", Faults: faults}
	}
	return q, nil
}

func unknown(name string, known []field) string {
	var names []string
	for _, f := range known {
		if !slices.Contains(names, f.name) {
			names = append(names, f.name)
		}
	}
	if near := Nearest(name, names); near != "" {
		return fmt.Sprintf("there is no field %q; did you mean %q?", name, near)
	}
	return fmt.Sprintf("there is no field %q; fields are %s. To look for a text with a colon, quote it", name, strings.Join(names, ", "))
}

func takeStatus(q *Query, value string, _ time.Time) error {
	all := []string{"running", "waiting", "paused", "completed", "failed", "cancelled"}
	for _, s := range strings.Split(value, ",") {
		if !slices.Contains(all, s) {
			if near := Nearest(s, all); near != "" {
				return fmt.Errorf("%q is not a status; did you mean %q?", s, near)
			}
			return fmt.Errorf("%q is not a status; it is one of %s", s, strings.Join(all, ", "))
		}
		q.Statuses = append(q.Statuses, bide.Status(s))
	}
	return nil
}

func takeWait(q *Query, value string, _ time.Time) error {
	kinds := []string{"question", "form", "tool_approval", "budget", "attention", "job", "event", "timer", "retry", "child", "custom"}
	switch near := Nearest(value, kinds); {
	case slices.Contains(kinds, value) && q.Waiting != "" && q.Waiting != bide.WaitKind(value):
		return fmt.Errorf("a search is for one kind of wait; this one has %s already", q.Waiting)
	case slices.Contains(kinds, value):
		q.Waiting = bide.WaitKind(value)
		return nil
	case near != "":
		return fmt.Errorf("%q is not a kind of wait; did you mean %q?", value, near)
	}
	return fmt.Errorf("%q is not a kind of wait; it is one of %s", value, strings.Join(kinds, ", "))
}

func takeLabel(q *Query, value string, _ time.Time) error {
	name, val, ok := strings.Cut(value, "=")
	if name == "" {
		return fmt.Errorf("the label has no name; for example label:team=ops")
	}
	q.Labels = append(q.Labels, Label{Name: name, Value: val, Any: !ok})
	return nil
}

func takeIs(q *Query, value string, now time.Time) error {
	switch value {
	case "set-aside":
		q.SetAside = true
	case "due":
		q.Due = now
	default:
		return fmt.Errorf("%q is not known here; is:set-aside and is:due are", value)
	}
	return nil
}

// instant reads a duration back from now (90s, 1h, 3d, 2w), a date, or a time in RFC 3339.
func instant(s string, now time.Time) (time.Time, error) {
	if d, ok := Duration(s); ok && d >= 0 {
		return now.Add(-d), nil
	}
	if t, err := time.ParseInLocation("2006-01-02", s, now.Location()); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time; write how long ago (90s, 1h, 3d, 2w), a date (2026-11-01) or 2026-11-01T12:00:00Z", s)
}

// Duration reads a Go duration, or a number of days or weeks (3d, 2w).
func Duration(s string) (time.Duration, bool) {
	if d, err := time.ParseDuration(s); err == nil {
		return d, true
	}
	for unit, hours := range map[string]int{"d": 24, "w": 7 * 24} {
		if days, ok := strings.CutSuffix(s, unit); ok {
			d, err := time.ParseDuration(days + "h")
			if err == nil && d < 1<<62/(7*24) && d > -1<<62/(7*24) {
				return d * time.Duration(hours), true
			}
		}
	}
	return 0, false
}

type word struct {
	text   string
	quoted bool // from its first character on
}

// split cuts a text at spaces that are not within double quotes.
func split(text string) (words []word, err error) {
	var b strings.Builder
	var w word
	inside, any := false, false
	flush := func() {
		if any {
			w.text = b.String()
			words = append(words, w)
		}
		w, any = word{}, false
		b.Reset()
	}
	for _, c := range text {
		switch {
		case c == '"':
			if !any {
				w.quoted = true
			}
			inside, any = !inside, true
		case !inside && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			flush()
		default:
			any = true
			b.WriteRune(c)
		}
	}
	flush()
	if inside {
		err = fmt.Errorf("a quotation mark is open at the end")
	}
	return words, err
}
