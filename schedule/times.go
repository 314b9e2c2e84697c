package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
	_ "time/tzdata" // the zones, for machines that have none

	"github.com/bide-dev/bide"
)

// timetable is the part of a Spec that says when, ready to be asked.
type timetable struct {
	name       string
	loc        *time.Location
	cron       *cron         // nil when there is an interval
	interval   time.Duration // zero when there is a cron expression
	anchor     time.Time
	start, end time.Time
	jitter     time.Duration
}

// Next returns the next n times after an instant, in the spec's zone: as the
// clock says, without jitter. There are fewer when the schedule ends. Only the fields that say when need be
// set. It fails with ErrInvalidInput, listing every fault, when they cannot be used or n is not 1 to 10,000.
func (s Spec) Next(after time.Time, n int) ([]time.Time, error) {
	tt, faults := s.timetable()
	if n < 1 || n > 10_000 {
		faults = append(faults, bide.Fault{Path: "n", Message: fmt.Sprintf("%d is not a number of times from 1 to 10000", n)})
	}
	if len(faults) > 0 {
		return nil, s.refused(faults)
	}
	var out []time.Time
	for t, ok := tt.next(after); ok && len(out) < n; t, ok = tt.next(t) {
		out = append(out, t.In(tt.loc))
	}
	return out, nil
}

// next returns the first time after an instant, and whether there is one.
func (tt *timetable) next(after time.Time) (t time.Time, ok bool) {
	if after.Before(tt.start) {
		after = tt.start.Add(-1)
	}
	if tt.cron != nil {
		t, ok = tt.cron.nextIn(tt.loc, after)
	} else {
		t, ok = tt.at(tt.index(after)+1), true
	}
	return t, ok && (tt.end.IsZero() || t.Before(tt.end)) && t.Year() <= 9999
}

// index is the number of the last time of the interval that is not after t, from the anchor on.
func (tt *timetable) index(t time.Time) int64 {
	since, step := t.UnixMicro()-tt.anchor.UnixMicro(), tt.interval.Microseconds()
	k := since / step
	if since%step < 0 {
		k--
	}
	return k
}

// at is the time of the interval with a number.
func (tt *timetable) at(k int64) time.Time {
	return time.UnixMicro(tt.anchor.UnixMicro() + k*tt.interval.Microseconds()).UTC()
}

// due is when the run for a time starts: after its jitter, and before the next time.
func (tt *timetable) due(t time.Time) time.Time {
	span := tt.jitter
	if span == 0 {
		return t
	}
	if next, ok := tt.next(t); ok {
		span = min(span, next.Sub(t))
	}
	sum := sha256.Sum256([]byte(tt.name + "\x00" + t.UTC().Format(time.RFC3339Nano)))
	return t.Add(time.Duration(binary.BigEndian.Uint64(sum[:])%uint64(span.Microseconds())) * time.Microsecond)
}

// between counts the times after one instant that are due at another, and
// returns the newest of them, at most keep (1 or more), oldest first.
func (tt *timetable) between(after, now time.Time, keep int) (n int64, newest []time.Time) {
	if tt.interval > 0 { // leave out those that only count
		from, to := after, now
		if from.Before(tt.start) {
			from = tt.start.Add(-1)
		}
		if !tt.end.IsZero() && to.After(tt.end) {
			to = tt.end
		}
		if first, last := tt.index(from), tt.index(to)-int64(keep)-2; last > first {
			n, after = last-first, tt.at(last)
		}
	}
	for t, ok := tt.next(after); ok && !t.After(now); t, ok = tt.next(t) {
		if now.Sub(t) <= tt.jitter && tt.due(t).After(now) {
			break
		}
		n++
		if newest = append(newest, t); len(newest) > 2*keep {
			newest = append(newest[:0], newest[len(newest)-keep:]...)
		}
	}
	return n, newest[max(len(newest)-keep, 0):]
}
