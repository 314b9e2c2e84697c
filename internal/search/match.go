package search

import (
	"slices"
	"strings"

	"github.com/bide-dev/bide"
)

// RunQuery is the part of the search that a store answers itself. Match says the rest: of all but the
// kind of wait, which a listed run does not show.
func (q *Query) RunQuery() bide.RunQuery {
	out := bide.RunQuery{SetAside: q.SetAside, Waiting: q.Waiting, CreatedFrom: q.Since, CreatedTo: q.Until}
	only := func(values []string) string {
		if len(values) == 1 {
			return values[0]
		}
		return ""
	}
	if len(q.Statuses) == 1 {
		out.Status = q.Statuses[0]
	}
	out.Workflow, out.Session, out.Parent, out.Root = only(q.Workflows), only(q.Sessions), only(q.Parents), only(q.Roots)
	for _, l := range q.Labels {
		if l.Any {
			continue
		}
		if out.Labels == nil {
			out.Labels = map[string]string{}
		}
		out.Labels[l.Name] = l.Value
	}
	return out
}

// Countable reports whether RunQuery says all that the search is for, but for several statuses and workflows.
func (q *Query) Countable() bool {
	return len(q.Words) == 0 && len(q.Versions) == 0 && len(q.Actors) == 0 && len(q.Keys) == 0 && len(q.Sessions) < 2 && len(q.Parents) < 2 &&
		len(q.Roots) < 2 && q.Due.IsZero() && !slices.ContainsFunc(q.Labels, func(l Label) bool { return l.Any }) && len(q.RunQuery().Labels) == len(q.Labels)
}

// Match reports whether a run is one that is looked for.
func (q *Query) Match(r *bide.RunInfo) bool {
	in := func(values []string, value string) bool { return len(values) == 0 || slices.Contains(values, value) }
	if len(q.Statuses) > 0 && !slices.Contains(q.Statuses, r.Status) ||
		!in(q.Workflows, r.Workflow) || !in(q.Versions, r.Version) || !in(q.Sessions, r.Session) ||
		!in(q.Parents, r.Parent) || !in(q.Roots, r.Root) || !in(q.Actors, r.Actor) || !in(q.Keys, r.Key) ||
		q.SetAside && r.SetAside == "" || !q.Due.IsZero() && (r.WakeAt.IsZero() || r.WakeAt.After(q.Due)) ||
		!q.Since.IsZero() && r.CreatedAt.Before(q.Since) || !q.Until.IsZero() && !r.CreatedAt.Before(q.Until) {
		return false
	}
	for _, l := range q.Labels {
		if value, ok := r.Labels[l.Name]; !ok || !l.Any && value != l.Value {
			return false
		}
	}
	if len(q.Words) == 0 {
		return true
	}
	text := []string{r.ID, r.Workflow, r.Node, r.Key, r.Session, r.Actor}
	for name, value := range r.Labels {
		text = append(text, name+"="+value)
	}
	return !slices.ContainsFunc(q.Words, func(w string) bool {
		return !slices.ContainsFunc(text, func(s string) bool { return strings.Contains(strings.ToLower(s), w) })
	})
}

// Nearest returns the name that a misspelt one most likely means, or nothing
// when none is near: at most two letters put in, left out, changed or swapped, and fewer than half.
func Nearest(name string, names []string) string {
	best, least := "", 3
	for _, candidate := range names {
		if d := distance(strings.ToLower(name), strings.ToLower(candidate)); d < least && 2*d < max(len(name), len(candidate)) {
			best, least = candidate, d
		}
	}
	return best
}

// distance is the optimal string alignment distance.
func distance(a, b string) int {
	if len(a) > 100 || len(b) > 100 {
		return 100
	}
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
