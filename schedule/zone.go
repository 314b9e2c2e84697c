package schedule

import "time"

// wallTime is what the clock on the wall shows at t in its zone, as a time in UTC.
func wallTime(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// under is the instant at which the wall shows w while t's offset is in force.
func under(w, t time.Time) time.Time {
	_, offset := t.Zone()
	return w.Add(-time.Duration(offset) * time.Second)
}

// offsetEnd is an instant after t up to which t's offset is in force, or zero
// when that is for ever. On the last day of leap years beyond a zone's table, Time.ZoneBounds says
// that it ended with the day before.
func offsetEnd(t time.Time) time.Time {
	_, end := t.ZoneBounds()
	for !end.IsZero() && !end.After(t) {
		end = end.Add(24 * time.Hour)
	}
	return end
}

// nextIn returns the first instant after another at which c fires in a zone (see
// the package comment for what happens when the clocks change).
func (c *cron) nextIn(loc *time.Location, after time.Time) (time.Time, bool) {
	if c.hour == allHours {
		return c.nextShown(after.In(loc))
	}
	return c.nextNamed(after.In(loc))
}

// nextShown returns the first instant after t at which the wall shows a matching time.
func (c *cron) nextShown(t time.Time) (time.Time, bool) {
	for from := wallTime(t); ; {
		w, ok := c.next(from)
		if !ok {
			return time.Time{}, false
		}
		end := offsetEnd(t)
		if at := under(w, t); end.IsZero() || at.Before(end) {
			return at.In(t.Location()), true
		}
		t = end
		from = wallTime(t).Add(-1)
	}
}

// longestGap is more than any clock was ever put forward: Samoa left out a whole day in 2011.
const longestGap = 25 * time.Hour

// nextNamed returns the first instant after t that a matching wall-clock time
// names. Times in a gap come after their place: so the search begins before any gap nearby, and
// ends with the wall-clock times that are shown up to the best found.
func (c *cron) nextNamed(t time.Time) (best time.Time, ok bool) {
	from := wallTime(t)
	for start, _ := t.ZoneBounds(); !start.IsZero() && t.Sub(start) < longestGap; start, _ = start.Add(-1).ZoneBounds() {
		if before := wallTime(start.Add(-1)); before.Before(from) {
			from = before
		}
	}
	for {
		w, found := c.next(from)
		if !found || ok && w.After(wallTime(best)) {
			return best, ok
		}
		if at := named(w, t.Location()); at.After(t) && (!ok || at.Before(best)) {
			best, ok = at, true
		}
		from = w
	}
}

// named is the instant that a wall-clock time names in a zone: the first at
// which the wall shows it, or, when it never does, the one that it would be under the offset before the gap.
func named(w time.Time, loc *time.Location) time.Time {
	t := w.Add(-longestGap).In(loc) // before every instant at which the wall can show w
	for {
		at := under(w, t)
		end := offsetEnd(t)
		if end.IsZero() || at.Before(end) {
			return at.In(loc)
		}
		if shown := under(w, end); shown.Before(end) {
			return at.In(loc) // between the two is the gap
		}
		t = end
	}
}
