package file

import (
	"cmp"
	"strings"
	"time"

	"github.com/bide-dev/bide"
)

// index is what the store knows of all runs without looking into files.
type index struct {
	runs    map[string]*run
	created sorted[*run] // all whose row could be read
	wakes   sorted[*run] // those with a timer
	waits   sorted[*bide.Wait]
	ready   map[string]*run           // those that can proceed at once: running, or waiting and told of mail
	keys    map[string]map[string]int // by a wait's key: the runs that have open waits on it, and how many
	mail    mailbox
	alive   map[string]time.Time // by owner: until when
}

func newIndex() index {
	return index{runs: map[string]*run{}, ready: map[string]*run{}, keys: map[string]map[string]int{}, mail: newMailbox(), alive: map[string]time.Time{}}
}

// update gives a run its next row.
func (x *index) update(r *run, next *row) {
	old := &r.row
	fresh := old.info.ID == ""
	if fresh || !old.info.CreatedAt.Equal(next.info.CreatedAt) {
		if !fresh {
			x.created.remove(old.info.CreatedAt, r.id)
		}
		x.created.put(next.info.CreatedAt, r.id, r)
	}
	if !old.info.WakeAt.Equal(next.info.WakeAt) {
		if !old.info.WakeAt.IsZero() {
			x.wakes.remove(old.info.WakeAt, r.id)
		}
		if !next.info.WakeAt.IsZero() {
			x.wakes.put(next.info.WakeAt, r.id, r)
		}
	}
	removed, added := diffWaits(old.waits, next.waits)
	for _, w := range removed {
		x.waits.remove(w.CreatedAt, w.ID)
		x.key(w.Key, r.id, -1)
	}
	for _, w := range added {
		x.waits.put(w.CreatedAt, w.ID, w)
		x.key(w.Key, r.id, +1)
	}
	if isReady(next) {
		x.ready[r.id] = r
	} else {
		delete(x.ready, r.id)
	}
	r.row = *next
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
	x.created.remove(r.info.CreatedAt, r.id)
	if !r.info.WakeAt.IsZero() {
		x.wakes.remove(r.info.WakeAt, r.id)
	}
	for _, w := range r.waits {
		x.waits.remove(w.CreatedAt, w.ID)
		x.key(w.Key, r.id, -1)
	}
	delete(x.ready, r.id)
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
