package file

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
)

// index is what the store knows of all runs without looking into files. All of
// it is kept as the runs change, but for what changes with every step: updated and ready are
// brought up to date (refresh) for those who look, and now and then.
type index struct {
	runs    map[string]*run
	created sorted[*run]                           // all whose row could be read
	groups  map[group]*sorted[*run]                // the same by what they have in common, by their creation
	wakes   sorted[*run]                           // waiting and running ones with a timer
	waits   map[bide.WaitKind]*sorted[openWait]    // by their creation
	keys    map[string]map[string]int              // by a wait's key: the runs that have open waits on it, and how many
	updated sorted[*run]                           // all, by their last change
	ready   map[bide.WorkflowVersion]*sorted[*run] // those that can proceed at once and nobody has claimed, by their last change
	stale   []*run                                 // that updated and ready do not have as they are
	owned   map[string]map[*run]bool               // by owner: the runs that it has claimed
	mail    mailbox
	feed    feed
	owners  map[string]bide.Owner // who said to be alive; Runs is not kept
}

// group is what runs have in common: a field of their row, or a label.
type group struct{ field, name, value string }

// openWait is a wait and its run.
type openWait struct {
	*bide.Wait
	run *run
}

// maxStale is how many runs may be stale before they are brought up to date anyway.
const maxStale = 1024

func newIndex() index {
	return index{
		runs: map[string]*run{}, groups: map[group]*sorted[*run]{}, waits: map[bide.WaitKind]*sorted[openWait]{}, keys: map[string]map[string]int{},
		ready: map[bide.WorkflowVersion]*sorted[*run]{}, owned: map[string]map[*run]bool{}, mail: newMailbox(), feed: newFeed(), owners: map[string]bide.Owner{},
	}
}

// groupsOf are the groups of a run that hold for its life.
func groupsOf(i *bide.RunInfo) (out []group) {
	for _, g := range [...]group{{"workflow", "", i.Workflow}, {"session", "", i.Session}, {"parent", "", i.Parent}, {"root", "", i.Root}, {"origin", "", i.Origin}} {
		if g.value != "" {
			out = append(out, g)
		}
	}
	for name, value := range i.Labels {
		out = append(out, group{"label", name, value})
	}
	return out
}

// statesOf are the groups that a run enters and leaves: that of its status, and of
// those set aside. There is none of the runs that run, which most do again and again.
func statesOf(i *bide.RunInfo) (out [2]group) {
	if i.Status != "" && i.Status != bide.StatusRunning {
		out[0] = group{"status", "", string(i.Status)}
	}
	if i.SetAside != "" {
		out[1] = aside
	}
	return out
}

// aside is the group of the runs that are set aside.
var aside = group{field: "aside"}

// list is the entry of a map of lists, made when there is none.
func list[K comparable, T any](lists map[K]*sorted[T], key K) *sorted[T] {
	l := lists[key]
	if l == nil {
		l = &sorted[T]{}
		lists[key] = l
	}
	return l
}

// unlist removes an item from a map of lists.
func unlist[K comparable, T any](lists map[K]*sorted[T], key K, at time.Time, id string) {
	if l := lists[key]; l != nil {
		if l.remove(at, id); l.size == 0 {
			delete(lists, key)
		}
	}
}

// update gives a run its next row.
func (x *index) update(r *run, next *row) {
	x.regroup(r, &next.info)
	x.reset(r, next)
	removed, added := diffWaits(r.waits, next.waits)
	for _, w := range removed {
		x.closed(r, w)
	}
	for _, w := range added {
		list(x.waits, w.Kind).put(w.CreatedAt, w.ID, openWait{w, r})
		x.key(w.Key, r.id, +1)
	}
	if r.owned != next.owned || r.owner != next.owner {
		x.disown(r)
		if next.owned {
			if x.owned[next.owner] == nil {
				x.owned[next.owner] = map[*run]bool{}
			}
			x.owned[next.owner][r] = true
		}
	}
	r.row = *next
	if !r.stale {
		r.stale = true
		x.stale = append(x.stale, r)
		if len(x.stale) >= maxStale {
			x.refresh()
		}
	}
}

// regroup moves a run to the groups of its next row.
func (x *index) regroup(r *run, next *bide.RunInfo) {
	old := &r.info
	fresh := old.ID == ""
	if was, is := statesOf(old), statesOf(next); fresh || was != is || !old.CreatedAt.Equal(next.CreatedAt) {
		x.leave(r)
		for _, g := range is {
			if g != (group{}) {
				list(x.groups, g).put(next.CreatedAt, r.id, r)
			}
		}
	}
	if !fresh && sameGroups(old, next) {
		return
	}
	if !fresh {
		x.ungroup(r)
	}
	x.created.put(next.CreatedAt, r.id, r)
	for _, g := range groupsOf(next) {
		list(x.groups, g).put(next.CreatedAt, r.id, r)
	}
}

// leave removes a run from the groups of its state.
func (x *index) leave(r *run) {
	for _, g := range statesOf(&r.info) {
		if g != (group{}) {
			unlist(x.groups, g, r.info.CreatedAt, r.id)
		}
	}
}

// ungroup removes a run from the groups that hold for its life.
func (x *index) ungroup(r *run) {
	x.created.remove(r.info.CreatedAt, r.id)
	for _, g := range groupsOf(&r.info) {
		unlist(x.groups, g, r.info.CreatedAt, r.id)
	}
}

// sameGroups reports whether a run stays where it is.
func sameGroups(old, next *bide.RunInfo) bool {
	if len(old.Labels) != len(next.Labels) || !old.CreatedAt.Equal(next.CreatedAt) || old.Workflow != next.Workflow || old.Session != next.Session ||
		old.Parent != next.Parent || old.Root != next.Root || old.Origin != next.Origin {
		return false
	}
	for name, value := range old.Labels {
		if is, ok := next.Labels[name]; !ok || is != value {
			return false
		}
	}
	return true
}

// reset gives a run's timer the time of its next row.
func (x *index) reset(r *run, next *row) {
	was, is := timer(&r.info), timer(&next.info)
	if was.Equal(is) {
		return
	}
	if !was.IsZero() {
		x.wakes.remove(was, r.id)
	}
	if !is.IsZero() {
		x.wakes.put(is, r.id, r)
	}
}

// timer is when the timer of a run that waits or runs is due, or zero.
func timer(i *bide.RunInfo) (at time.Time) {
	if i.Status == bide.StatusWaiting || i.Status == bide.StatusRunning {
		return i.WakeAt
	}
	return at
}

func (x *index) closed(r *run, w *bide.Wait) {
	unlist(x.waits, w.Kind, w.CreatedAt, w.ID)
	x.key(w.Key, r.id, -1)
}

func (x *index) disown(r *run) {
	if !r.owned {
		return
	}
	runs := x.owned[r.owner]
	if delete(runs, r); len(runs) == 0 {
		delete(x.owned, r.owner)
	}
}

// refresh brings updated and ready to what the runs are.
func (x *index) refresh() {
	for i, r := range x.stale {
		x.stale[i] = nil
		r.stale = false
		if !r.gone {
			x.place(r)
		}
	}
	x.stale = x.stale[:0]
}

// place brings a run to its place in updated and ready.
func (x *index) place(r *run) {
	was := r.place
	wf := bide.WorkflowVersion{ID: r.info.Workflow, Version: r.info.Version}
	is := placed{at: r.info.UpdatedAt, ready: isReady(&r.row) && !r.owned, workflow: wf, known: true}
	if was == is {
		return
	}
	x.unplace(r)
	x.updated.put(is.at, r.id, r)
	if is.ready {
		list(x.ready, wf).put(is.at, r.id, r)
	}
	r.place = is
}

// unplace removes a run from updated and ready.
func (x *index) unplace(r *run) {
	if !r.place.known {
		return
	}
	x.updated.remove(r.place.at, r.id)
	if r.place.ready {
		unlist(x.ready, r.place.workflow, r.place.at, r.id)
	}
	r.place = placed{}
}

// placed is the place that a run has in updated and ready.
type placed struct {
	at           time.Time
	ready, known bool
	workflow     bide.WorkflowVersion
}

// running yields runs, among them all that run, and their number. It needs refresh.
func (x *index) running() (n int, runs iter.Seq2[bide.Cursor, *run]) {
	others := x.groups[aside].orNone()
	n = others.size
	for _, ready := range x.ready {
		n += ready.size
	}
	for _, owned := range x.owned {
		n += len(owned)
	}
	return n, func(yield func(bide.Cursor, *run) bool) {
		for at, r := range others.up(span{}) {
			if !yield(at, r) {
				return
			}
		}
		for _, ready := range x.ready {
			for at, r := range ready.up(span{}) {
				if !yield(at, r) {
					return
				}
			}
		}
		for _, owned := range x.owned {
			for r := range owned {
				if !yield(bide.Cursor{}, r) {
					return
				}
			}
		}
	}
}

// add makes a run known whose row is set already.
func (x *index) add(r *run) {
	x.runs[r.id] = r
	if next := r.row; next.info.ID != "" {
		r.row = row{}
		x.update(r, &next)
	}
}

// drop forgets a run.
func (x *index) drop(r *run) {
	r.gone = true
	x.unplace(r)
	x.ungroup(r)
	x.leave(r)
	if at := timer(&r.info); !at.IsZero() {
		x.wakes.remove(at, r.id)
	}
	for _, w := range r.waits {
		x.closed(r, w)
	}
	x.disown(r)
	delete(x.runs, r.id)
}

// key counts a run among those that wait on a key.
func (x *index) key(key, runID string, by int) {
	if key == "" {
		return
	}
	runs := x.keys[key]
	if runs == nil {
		runs = map[string]int{}
		x.keys[key] = runs
	}
	if runs[runID] += by; runs[runID] == 0 {
		delete(runs, runID)
	}
	if len(runs) == 0 {
		delete(x.keys, key)
	}
}

// onKey calls f with the runs that have an open wait on a message's key. A
// run may come more than once.
func (x *index) onKey(key string, f func(runID string)) {
	for _, k := range waitKeys(key) {
		for id := range x.keys[k] {
			f(id)
		}
	}
}

// waitKeys are the keys of waits that match a message's key: itself, and those
// that end in ":*" after a part of it.
func waitKeys(key string) []string {
	var out []string
	if key != "" && !strings.HasSuffix(key, ":*") {
		out = append(out, key)
	}
	for i := range len(key) {
		if key[i] == ':' {
			out = append(out, key[:i]+":*")
		}
	}
	return out
}

// matches reports whether a wait's key matches a message's.
func matches(waitKey, key string) bool {
	if prefix, ok := strings.CutSuffix(waitKey, ":*"); ok {
		return strings.HasPrefix(key, prefix+":")
	}
	return waitKey != "" && waitKey == key
}

// wanted reports whether one of some waits is on a message's key.
func wanted(waits []*bide.Wait, key string) bool {
	return slices.ContainsFunc(waits, func(w *bide.Wait) bool { return matches(w.Key, key) })
}

func isReady(r *row) bool {
	return r.info.SetAside == "" && (r.info.Status == bide.StatusRunning || r.info.Status == bide.StatusWaiting && r.mailSeq > r.mailSeen)
}

// diffWaits compares a run's open waits before and after; those that stay are in the same order.
func diffWaits(old, next []*bide.Wait) (removed, added []*bide.Wait) {
	j := 0
	for _, w := range old {
		if j < len(next) && next[j] == w {
			j++
		} else {
			removed = append(removed, w)
		}
	}
	return removed, next[j:]
}

func compareCommands(a, b commandLine) int {
	return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.ID, b.ID))
}
