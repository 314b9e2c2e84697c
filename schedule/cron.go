package schedule

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// cron is a cron expression: for each field the set of values that it allows.
type cron struct {
	minute, hour, day, month, weekday uint64
}

// field is the name and range of a field of a cron expression.
type field struct {
	name     string
	min, max int
	names    []string // of the values from min on
}

var (
	cronFields = [5]field{
		{"minute", 0, 59, nil},
		{"hour", 0, 23, nil},
		{"day of the month", 1, 31, nil},
		{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
		{"day of the week", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
	}
	cronWords = map[string]string{
		"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
		"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
	}
)

// parseCron reads an expression, or lists every fault it has.
func parseCron(text string) (*cron, []string) {
	expr := strings.ToLower(strings.TrimSpace(text))
	if strings.HasPrefix(expr, "@") {
		word, ok := cronWords[expr]
		if !ok {
			return nil, []string{fmt.Sprintf("%q is none of @hourly, @daily, @weekly, @monthly and @yearly; for every so often use an interval", text)}
		}
		expr = word
	}
	if strings.Contains(expr, "tz=") {
		return nil, []string{"the time zone goes into time_zone, not into the expression"}
	}
	parts := strings.Fields(expr)
	if len(parts) != len(cronFields) {
		return nil, []string{fmt.Sprintf("%q has %d fields, not 5: minute, hour, day of the month, month, day of the week", text, len(parts))}
	}
	var sets [len(cronFields)]uint64
	var faults []string
	for i := range cronFields {
		var err error
		if sets[i], err = cronFields[i].parse(parts[i]); err != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", cronFields[i].name, err))
		}
	}
	c := &cron{sets[0], sets[1], sets[2], sets[3], sets[4]}
	if c.weekday>>7&1 == 1 {
		c.weekday = c.weekday&^(1<<7) | 1
	}
	if len(faults) > 0 {
		return nil, faults
	}
	if _, ok := c.next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); !ok {
		return nil, []string{fmt.Sprintf("%q never fires: no month that it allows has such a day", text)}
	}
	return c, nil
}

// parse reads one field into the set of values that it allows.
func (f *field) parse(text string) (set uint64, err error) {
	for item := range strings.SplitSeq(text, ",") {
		span, stepText, stepped := strings.Cut(item, "/")
		lo, hi, err := f.span(span, stepped)
		if err != nil {
			return 0, err
		}
		step := 1
		if stepped {
			if step, err = number(stepText); err != nil || step < 1 || step > f.max {
				return 0, fmt.Errorf("%q is not a step from 1 to %d", stepText, f.max)
			}
		}
		for v := lo; v <= hi; v += step {
			set |= 1 << v
		}
	}
	return set, nil
}

// span reads "*", a value or a range; a value with a step goes on to the end.
func (f *field) span(text string, stepped bool) (lo, hi int, err error) {
	last := f.max
	if f.max == 7 {
		last = 6 // 7 is another name of the first value
	}
	if text == "*" || text == "?" {
		return f.min, last, nil
	}
	from, to, ranged := strings.Cut(text, "-")
	if lo, err = f.value(from); err != nil {
		return 0, 0, err
	}
	switch {
	case ranged:
		if hi, err = f.value(to); err != nil {
			return 0, 0, err
		}
		if hi == 0 && lo > 0 && f.max == 7 {
			hi = 7 // fri-sun
		}
	case stepped:
		hi = max(lo, last)
	default:
		hi = lo
	}
	if hi < lo {
		return 0, 0, fmt.Errorf("the range %q ends before it begins; write it as two", text)
	}
	return lo, hi, nil
}

func (f *field) value(text string) (int, error) {
	for i, name := range f.names {
		if text == name {
			return f.min + i, nil
		}
	}
	v, err := number(text)
	if err != nil || v < f.min || v > f.max {
		return 0, fmt.Errorf("%q is not a value from %d to %d", text, f.min, f.max)
	}
	return v, nil
}

// number reads digits and nothing else.
func number(text string) (int, error) {
	v, err := strconv.ParseUint(text, 10, 16)
	return int(v), err
}

const (
	allHours    = 1<<24 - 1
	allDays     = 1<<32 - 2
	allWeekdays = 1<<7 - 1
)

// horizon is how many years next looks ahead: the 29th of February is at most 8 years away.
const horizon = 9

// next returns the first matching wall-clock time after another, and whether
// there is one. Wall-clock times are written as times in UTC.
func (c *cron) next(after time.Time) (time.Time, bool) {
	t := after.Truncate(time.Minute).Add(time.Minute)
	for end := t.Year() + horizon; t.Year() <= end; {
		year, month, day := t.Date()
		if c.month>>month&1 == 0 {
			t = time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
			continue
		}
		if c.allows(t) {
			if hour, minute, ok := c.timeOfDay(t.Hour(), t.Minute()); ok {
				return time.Date(year, month, day, hour, minute, 0, 0, time.UTC), true
			}
		}
		t = time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC)
	}
	return time.Time{}, false
}

// timeOfDay is the first matching time of a day from hour:minute on.
func (c *cron) timeOfDay(hour, minute int) (int, int, bool) {
	if c.hour>>hour&1 == 1 {
		if rest := c.minute >> minute; rest != 0 {
			return hour, minute + bits.TrailingZeros64(rest), true
		}
	}
	rest := c.hour >> (hour + 1)
	return hour + 1 + bits.TrailingZeros64(rest), bits.TrailingZeros64(c.minute), rest != 0
}

// allows reports whether the day fields allow a day.
func (c *cron) allows(t time.Time) bool {
	day, weekday := c.day>>t.Day()&1 == 1, c.weekday>>t.Weekday()&1 == 1
	if c.day != allDays && c.weekday != allWeekdays {
		return day || weekday
	}
	return day && weekday
}
