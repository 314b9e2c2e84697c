package schedule_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/schedule"
)

func nextTimes(t *testing.T, s schedule.Spec, after time.Time, n int) (out []string) {
	t.Helper()
	for _, at := range must[[]time.Time](t)(s.Next(after, n)) {
		out = append(out, at.Format("2006-01-02T15:04Z07:00"))
	}
	return out
}

func TestNext(t *testing.T) {
	for _, tc := range []struct {
		cron, after string
		want        []string
	}{
		{"*/15 * * * *", "2026-01-01T00:07:30Z", []string{"2026-01-01T00:15Z", "2026-01-01T00:30Z", "2026-01-01T00:45Z", "2026-01-01T01:00Z"}},
		{"5,10-12,50/4 3 * * *", "2026-01-01T00:00:00Z", []string{"2026-01-01T03:05Z", "2026-01-01T03:10Z", "2026-01-01T03:11Z", "2026-01-01T03:12Z", "2026-01-01T03:50Z", "2026-01-01T03:54Z", "2026-01-01T03:58Z", "2026-01-02T03:05Z"}},
		{"0 0 * * MON-Fri", "2026-01-02T00:00:00Z", []string{"2026-01-05T00:00Z", "2026-01-06T00:00Z"}},
		{"0 0 * * fri-sun", "2026-01-05T00:00:00Z", []string{"2026-01-09T00:00Z", "2026-01-10T00:00Z", "2026-01-11T00:00Z", "2026-01-16T00:00Z"}},
		{"0 0 ? * 7", "2026-01-05T00:00:00Z", []string{"2026-01-11T00:00Z", "2026-01-18T00:00Z"}},
		{"0 0 13 * 5", "2026-02-01T00:00:00Z", []string{"2026-02-06T00:00Z", "2026-02-13T00:00Z", "2026-02-20T00:00Z", "2026-02-27T00:00Z", "2026-03-06T00:00Z"}},
		{"0 0 31 * *", "2026-01-31T00:00:00Z", []string{"2026-03-31T00:00Z", "2026-05-31T00:00Z"}},
		{"0 12 29 2 *", "2097-01-01T00:00:00Z", []string{"2104-02-29T12:00Z", "2108-02-29T12:00Z"}},
		{"59 23 31 dec *", "2026-12-31T23:59:00Z", []string{"2027-12-31T23:59Z"}},
		{"@hourly", "2026-01-01T00:00:00Z", []string{"2026-01-01T01:00Z"}},
		{"@daily", "2026-01-01T00:00:00Z", []string{"2026-01-02T00:00Z"}},
		{"@weekly", "2026-01-01T00:00:00Z", []string{"2026-01-04T00:00Z"}},
		{"@Monthly", "2026-01-01T00:00:00Z", []string{"2026-02-01T00:00Z"}},
		{"@annually", "2026-01-01T00:00:00Z", []string{"2027-01-01T00:00Z"}},
	} {
		if diff := cmp.Diff(tc.want, nextTimes(t, schedule.Spec{Cron: tc.cron}, at(tc.after), len(tc.want))); diff != "" {
			t.Errorf("%q after %s (-want +got):\n%s", tc.cron, tc.after, diff)
		}
	}
}

func TestAnIntervalCountsFromItsAnchorBothWays(t *testing.T) {
	for _, tc := range []struct {
		spec  schedule.Spec
		after string
		want  []string
	}{
		{schedule.Spec{Interval: hour}, "2026-01-01T00:30:00Z", []string{"2026-01-01T01:00Z", "2026-01-01T02:00Z"}},
		{schedule.Spec{Interval: hour, Anchor: at("2030-06-01T00:20:00Z")}, "2026-01-01T00:20:00Z", []string{"2026-01-01T01:20Z"}},
		{schedule.Spec{Interval: 36 * hour, Start: at("2026-02-01T00:00:00Z")}, "2026-01-01T00:00:00Z", []string{"2026-02-01T00:00Z", "2026-02-02T12:00Z"}},
		{schedule.Spec{Interval: hour, End: at("2026-01-01T02:00:00Z")}, "2026-01-01T00:00:00Z", []string{"2026-01-01T01:00Z"}},
		{schedule.Spec{Interval: hour}, "1960-01-01T00:30:00Z", []string{"1960-01-01T01:00Z"}},
		{schedule.Spec{Interval: 24 * hour, TimeZone: "Europe/Berlin", Anchor: at("2026-03-28T06:00:00Z")}, "2026-03-28T00:00:00Z",
			[]string{"2026-03-28T07:00+01:00", "2026-03-29T08:00+02:00"}},
	} {
		if diff := cmp.Diff(tc.want, nextTimes(t, tc.spec, at(tc.after), 2)[:len(tc.want)]); diff != "" {
			t.Errorf("%+v after %s (-want +got):\n%s", tc.spec, tc.after, diff)
		}
	}
}

// The clocks of Berlin and New York change by an hour, those of Lord Howe
// Island by half an hour; see the package comment for the policy.
func TestTimesWhenTheClocksChange(t *testing.T) {
	for _, tc := range []struct{ what, zone, cron, after, want string }{
		// Forward: 02:00 to 03:00, and on Lord Howe 02:00 to 02:30.
		{"gap, named", "Europe/Berlin", "30 2 * * *", "2026-03-28T03:00+01:00", "2026-03-29T03:30+02:00 2026-03-30T02:30+02:00"},
		{"gap, named", "America/New_York", "30 2 * * *", "2026-03-07T03:00-05:00", "2026-03-08T03:30-04:00 2026-03-09T02:30-04:00"},
		{"gap, named", "Australia/Lord_Howe", "15 2 * * *", "2026-10-03T03:00+10:30", "2026-10-04T02:45+11:00 2026-10-05T02:15+11:00"},
		{"gap, named, after its end", "Australia/Lord_Howe", "30 2 * * *", "2026-10-03T03:00+10:30", "2026-10-04T02:30+11:00 2026-10-05T02:30+11:00"},
		{"gap, from within", "Europe/Berlin", "15,45 2 * * *", "2026-03-29T03:20+02:00", "2026-03-29T03:45+02:00 2026-03-30T02:15+02:00"},
		{"gap, two become one", "Europe/Berlin", "30 2,3 * * *", "2026-03-28T12:00+01:00", "2026-03-29T03:30+02:00 2026-03-30T02:30+02:00 2026-03-30T03:30+02:00"},
		{"gap, in order", "Europe/Berlin", "45 2,4 * * *", "2026-03-28T12:00+01:00", "2026-03-29T03:45+02:00 2026-03-29T04:45+02:00"},
		{"gap, in order", "Europe/Berlin", "0,40 2,3 * * *", "2026-03-29T00:00+01:00", "2026-03-29T03:00+02:00 2026-03-29T03:40+02:00 2026-03-30T02:00+02:00"},
		{"gap, shown", "Europe/Berlin", "*/15 * * * *", "2026-03-29T01:31+01:00", "2026-03-29T01:45+01:00 2026-03-29T03:00+02:00 2026-03-29T03:15+02:00"},
		{"gap, shown", "America/New_York", "*/15 * * * *", "2026-03-08T01:31-05:00", "2026-03-08T01:45-05:00 2026-03-08T03:00-04:00"},
		{"gap, shown", "Australia/Lord_Howe", "*/15 * * * *", "2026-10-04T01:31+10:30", "2026-10-04T01:45+10:30 2026-10-04T02:30+11:00 2026-10-04T02:45+11:00"},
		{"gap, hourly", "Australia/Lord_Howe", "0 * * * *", "2026-10-04T00:30+10:30", "2026-10-04T01:00+10:30 2026-10-04T03:00+11:00"},
		{"a whole day left out", "Pacific/Apia", "0 9 * * *", "2011-12-29T08:00-10:00", "2011-12-29T09:00-10:00 2011-12-31T09:00+14:00 2012-01-01T09:00+14:00"},

		// Back: 03:00 to 02:00, 02:00 to 01:00, and on Lord Howe 02:00 to 01:30.
		{"twice, named", "Europe/Berlin", "30 2 * * *", "2026-10-24T12:00+02:00", "2026-10-25T02:30+02:00 2026-10-26T02:30+01:00"},
		{"twice, named", "America/New_York", "30 1 * * *", "2026-10-31T12:00-04:00", "2026-11-01T01:30-04:00 2026-11-02T01:30-05:00"},
		{"twice, named", "Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00+11:00", "2026-04-05T01:45+11:00 2026-04-06T01:45+10:30"},
		{"twice, between the two", "Europe/Berlin", "30 2 * * *", "2026-10-25T02:15+01:00", "2026-10-26T02:30+01:00"},
		{"twice, shown", "Europe/Berlin", "*/30 * * * *", "2026-10-25T01:45+02:00", "2026-10-25T02:00+02:00 2026-10-25T02:30+02:00 2026-10-25T02:00+01:00 2026-10-25T02:30+01:00 2026-10-25T03:00+01:00"},
		{"the last day of a leap year far ahead", "Europe/Berlin", "0 0 1 1 *", "2044-06-01T00:00+02:00", "2045-01-01T00:00+01:00 2046-01-01T00:00+01:00"},
		{"twice, shown", "America/New_York", "*/30 * * * *", "2026-11-01T00:45-04:00", "2026-11-01T01:00-04:00 2026-11-01T01:30-04:00 2026-11-01T01:00-05:00 2026-11-01T01:30-05:00 2026-11-01T02:00-05:00"},
		{"twice, shown", "Australia/Lord_Howe", "*/15 * * * *", "2026-04-05T01:29+11:00", "2026-04-05T01:30+11:00 2026-04-05T01:45+11:00 2026-04-05T01:30+10:30 2026-04-05T01:45+10:30 2026-04-05T02:00+10:30"},
	} {
		want := strings.Fields(tc.want)
		after, err := time.Parse("2006-01-02T15:04Z07:00", tc.after)
		if err != nil {
			t.Fatal(err)
		}
		got := nextTimes(t, schedule.Spec{Cron: tc.cron, TimeZone: tc.zone}, after, len(want))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %q in %s after %s (-want +got):\n%s", tc.what, tc.cron, tc.zone, tc.after, diff)
		}
	}
}

func TestFaultsOfASpec(t *testing.T) {
	for _, tc := range []struct {
		want string // one of the faults
		spec schedule.Spec
	}{
		{`name: "a b" contains something`, schedule.Spec{Name: "a b", Cron: "@daily"}},
		{"exactly one of cron and interval", schedule.Spec{}},
		{"exactly one of cron and interval", schedule.Spec{Cron: "@daily", Interval: hour}},
		{`cron: minute: "60" is not a value from 0 to 59`, schedule.Spec{Cron: "60 * * * *"}},
		{`cron: hour: "0" is not a step from 1 to 23`, schedule.Spec{Cron: "0 */0 * * *"}},
		{`cron: month: the range "dec-jan" ends before it begins`, schedule.Spec{Cron: "0 0 * dec-jan *"}},
		{`cron: day of the week: "mo" is not a value`, schedule.Spec{Cron: "0 0 * * mo"}},
		{`cron: day of the week: "8" is not a value`, schedule.Spec{Cron: "0 0 * * 8"}},
		{`cron: "* *" has 2 fields, not 5`, schedule.Spec{Cron: "* *"}},
		{`cron: minute: "" is not a value`, schedule.Spec{Cron: "1,, * * * *"}},
		{`cron: minute: "+5" is not a value`, schedule.Spec{Cron: "+5 * * * *"}},
		{`cron: minute: "2/5" is not a step`, schedule.Spec{Cron: "*/2/5 * * * *"}},
		{`"@every 5m" is none of`, schedule.Spec{Cron: "@every 5m"}},
		{"the time zone goes into time_zone", schedule.Spec{Cron: "TZ=UTC * * * * *"}},
		{"never fires", schedule.Spec{Cron: "0 0 30,31 2 *"}},
		{`time_zone: "Mars/Base"`, schedule.Spec{Cron: "@daily", TimeZone: "Mars/Base"}},
		{`time_zone: "Local"`, schedule.Spec{Cron: "@daily", TimeZone: "Local"}},
		{"interval: 1ms is not", schedule.Spec{Interval: bide.Duration(time.Millisecond)}},
		{"interval: -1h0m0s is not", schedule.Spec{Interval: -hour}},
		{"anchor: goes with an interval", schedule.Spec{Cron: "@daily", Anchor: at("2026-01-01T00:00:00Z")}},
		{"start: is not between", schedule.Spec{Cron: "@daily", Start: at("1800-01-01T00:00:00Z")}},
		{"end: no time", schedule.Spec{Cron: "@daily", Start: at("2026-01-01T01:00:00Z"), End: at("2026-01-02T00:00:00Z")}},
		{"jitter: is negative", schedule.Spec{Cron: "@daily", Jitter: -1}},
		{"run_timeout: is negative", schedule.Spec{Cron: "@daily", RunTimeout: -1}},
		{"grace: is negative", schedule.Spec{Cron: "@daily", Grace: -1}},
		{"input: is not JSON", schedule.Spec{Cron: "@daily", Input: bide.JSON("{")}},
		{"labels.schedule: is set", schedule.Spec{Cron: "@daily", Labels: map[string]string{"schedule": "x"}}},
		{`overlap: "never" is none`, schedule.Spec{Cron: "@daily", Overlap: "never"}},
		{"queue: goes with overlap queue", schedule.Spec{Cron: "@daily", Queue: 1}},
		{"queue: 101 is not", schedule.Spec{Cron: "@daily", Overlap: schedule.Queue, Queue: 101}},
		{"catch_up: -1 is not", schedule.Spec{Cron: "@daily", CatchUp: -1}},
		{"workflow: a schedule cannot start", schedule.Spec{Cron: "@daily", Workflow: schedule.Workflow}},
		{`version: "1 2" contains`, schedule.Spec{Cron: "@daily", Version: "1 2"}},
		{"session: has 1001 bytes", schedule.Spec{Cron: "@daily", Session: strings.Repeat("s", 1001)}},
	} {
		if tc.spec.Name == "" {
			tc.spec.Name = "x"
		}
		if tc.spec.Workflow == "" {
			tc.spec.Workflow = "work"
		}
		err := tc.spec.Check()
		var fault *bide.Error
		if !errors.As(err, &fault) || fault.Code != bide.CodeInvalidInput || len(fault.Faults) != 1 || !strings.Contains(fault.Faults[0].String(), tc.want) {
			t.Errorf("Check(%+v) = %v, want the fault %q", tc.spec, err, tc.want)
		}
	}
}

func TestEveryFaultOfASpecIsListed(t *testing.T) {
	_, err := schedule.ParseSpec([]byte(`{"name":"","cron":"60 24 * * x","time_zone":"?","jitter":"-1s","workflow":"","overlap":"?","catch_up":1000}`))
	var fault *bide.Error
	if !errors.As(err, &fault) {
		t.Fatalf("ParseSpec = %v", err)
	}
	var paths []string
	for _, f := range fault.Faults {
		paths = append(paths, f.Path)
	}
	if want := []string{"cron", "cron", "cron", "time_zone", "jitter", "name", "workflow", "catch_up", "overlap"}; !slices.Equal(paths, want) {
		t.Errorf("faults of %v, want %v: %v", paths, want, err)
	}
	for _, text := range []string{"", "[]", "{} {}", `{"nmae":"x"}`, `{"interval":90}`, `{"interval":"soon"}`, `{"start":"tomorrow"}`} {
		if _, err := schedule.ParseSpec([]byte(text)); !errors.Is(err, bide.ErrInvalidInput) {
			t.Errorf("ParseSpec(%q) = %v, want ErrInvalidInput", text, err)
		}
	}
	for _, n := range []int{0, -1, 10_001} {
		if _, err := (schedule.Spec{Cron: "@daily"}).Next(time.Time{}, n); !errors.Is(err, bide.ErrInvalidInput) {
			t.Errorf("Next(%d) = %v, want ErrInvalidInput", n, err)
		}
	}
}

// A field of a random expression: its text, and what it allows.
type randomField struct {
	text   string
	allows map[int]bool
	all    bool
}

func drawField(t *rapid.T, name string, lo, hi int) randomField {
	f := randomField{allows: map[int]bool{}}
	var items []string
	for range rapid.IntRange(1, 3).Draw(t, name+" items") {
		a := rapid.IntRange(lo, hi).Draw(t, name+" from")
		b := rapid.IntRange(a, hi).Draw(t, name+" to")
		step := rapid.IntRange(1, max(hi/2, 1)).Draw(t, name+" step")
		switch rapid.SampledFrom([]string{"*", "*/", "a", "a", "a-b", "a-b/", "a/"}).Draw(t, name+" form") {
		case "*":
			a, b, step = lo, hi, 1
			items = append(items, "*")
		case "*/":
			a, b = lo, hi
			items = append(items, fmt.Sprintf("*/%d", step))
		case "a":
			b, step = a, 1
			items = append(items, fmt.Sprint(a))
		case "a-b":
			step = 1
			items = append(items, fmt.Sprintf("%d-%d", a, b))
		case "a-b/":
			items = append(items, fmt.Sprintf("%d-%d/%d", a, b, step))
		case "a/":
			b = hi
			items = append(items, fmt.Sprintf("%d/%d", a, step))
		}
		for v := a; v <= b; v += step {
			f.allows[v] = true
		}
	}
	f.text, f.all = strings.Join(items, ","), len(f.allows) == hi-lo+1
	return f
}

// Next gives exactly the times that looking at the clock of every minute finds,
// across changes of the clock too, in order and in the zone.
func TestNextAgreesWithLookingAtEveryMinute(t *testing.T) {
	changes := map[string][]string{
		"Europe/Berlin":       {"2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2044-12-31T12:00:00Z"},
		"America/New_York":    {"2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"},
		"Australia/Lord_Howe": {"2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z", "2044-12-31T12:00:00Z", "2045-04-01T15:00:00Z"},
		"Asia/Kathmandu":      {"2026-01-31T12:00:00Z"}, // +05:45, no changes; the end of a month
		"Pacific/Apia":        {"2011-12-30T10:00:00Z"},
		"UTC":                 {"2028-02-29T00:00:00Z"},
	}
	zones := slices.Sorted(maps.Keys(changes))
	rapid.Check(t, func(t *rapid.T) {
		minute, hours := drawField(t, "minute", 0, 59), drawField(t, "hour", 0, 23)
		day, month, weekday := drawField(t, "day", 1, 31), drawField(t, "month", 1, 12), drawField(t, "weekday", 0, 6)
		if rapid.Bool().Draw(t, "any day") {
			day = randomField{text: "*", all: true}
			weekday, month = day, day
		}
		matches := func(w time.Time) bool {
			fits := func(f randomField, v int) bool { return f.allows[v] || f.all }
			d, wd := fits(day, w.Day()), fits(weekday, int(w.Weekday()))
			dayFits := d && wd
			if !day.all && !weekday.all {
				dayFits = d || wd
			}
			return dayFits && fits(minute, w.Minute()) && fits(hours, w.Hour()) && fits(month, int(w.Month()))
		}
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		after := at(rapid.SampledFrom(changes[zone]).Draw(t, "change")).Add(-time.Duration(rapid.IntRange(-120, 1500).Draw(t, "before")) * time.Minute)
		until := after.Add(30 * time.Hour)
		spec := schedule.Spec{TimeZone: zone, Cron: strings.Join([]string{minute.text, hours.text, day.text, month.text, weekday.text}, " ")}
		want := everyMinute(loc, after, until, hours.all, matches)
		got, err := spec.Next(after, len(want)+1)
		if err != nil {
			if strings.Contains(err.Error(), "never fires") && len(want) == 0 {
				return
			}
			t.Fatal(err)
		}
		last := after
		for i, at := range got {
			if !at.After(last) || at.Location().String() != zone {
				t.Fatalf("%q: %s follows %s", spec.Cron, at, last)
			}
			last = at
			if i < len(want) && !at.Equal(want[i]) || i == len(want) && at.Before(until) {
				t.Fatalf("%q in %s after %s: time %d is %s, want %v", spec.Cron, zone, after.In(loc), i, at, want[min(i, len(want)):])
			}
		}
		if len(got) < len(want) {
			t.Fatalf("%q: %d times, want %d", spec.Cron, len(got), len(want))
		}
	})
}

// everyMinute finds the times in (after, until) by looking at the clock on the wall.
func everyMinute(loc *time.Location, after, until time.Time, shown bool, matches func(time.Time) bool) (out []time.Time) {
	shows := func(t time.Time) time.Time {
		t = t.In(loc)
		year, month, day := t.Date()
		hour, minute, _ := t.Clock()
		return time.Date(year, month, day, hour, minute, 0, 0, time.UTC)
	}
	first := map[time.Time]time.Time{} // by what the wall shows
	begin := after.Add(-60 * time.Hour).Truncate(time.Minute)
	for t := begin; t.Before(until.Add(30 * time.Hour)); t = t.Add(time.Minute) {
		wall := shows(t)
		if _, again := first[wall]; !again {
			first[wall] = t
		}
		if shown && matches(wall) {
			out = append(out, t)
		}
	}
	if !shown {
		gap, instant := time.Duration(0), begin
		for wall := shows(begin); wall.Before(until.Add(15 * time.Hour)); wall = wall.Add(time.Minute) {
			if t, ok := first[wall]; ok {
				gap, instant = 0, t
			} else {
				gap += time.Minute
			}
			if matches(wall) {
				out = append(out, instant.Add(gap))
			}
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	out = slices.CompactFunc(out, time.Time.Equal)
	return slices.DeleteFunc(out, func(t time.Time) bool { return !t.After(after) || !t.Before(until) })
}
