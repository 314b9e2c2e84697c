package schedule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide"
)

// Overlap is what happens when a time comes while the run before is at work.
type Overlap string

// The overlap policies. With all but Allow, one run of the schedule is at work at a time.
const (
	// Skip leaves the time out. It is the default.
	Skip Overlap = "skip"
	// Queue starts the run for it when the one at work has ended; see Spec.Queue.
	Queue Overlap = "queue"
	// Cancel cancels the run at work and starts the new one without waiting for
	// handlers that are slow to stop.
	Cancel Overlap = "cancel"
	// Allow starts the run beside the others. The schedule does not wait for
	// their ends, and they go on when it is deleted.
	Allow Overlap = "allow"
)

// Labels that a schedule puts on the runs that it starts.
const (
	LabelName = "schedule"      // the schedule's name
	LabelTime = "schedule_time" // the time that the run is for, RFC 3339 in UTC
)

// maxBacklog bounds Queue and CatchUp, and so the state of a schedule.
const maxBacklog = 100

// Spec says when a schedule starts which run. Its zero fields mean the documented defaults.
type Spec struct {
	// Name tells the schedule from all others: letters, digits and ._-, at most 100.
	Name string `json:"name"`

	// Cron is an expression of five fields, or a word such as @daily; see the
	// package comment. Exactly one of Cron and Interval is set.
	Cron string `json:"cron,omitempty"`
	// TimeZone is where Cron's clock hangs: an IANA name such as Europe/Berlin. Defaults to UTC.
	TimeZone string `json:"time_zone,omitempty"`
	// Interval is the elapsed time between two times; at least 1s.
	Interval bide.Duration `json:"interval,omitempty"`
	// Anchor is an instant that the interval counts from, both ways. Defaults to Start, or else
	// to 1970-01-01T00:00:00Z, so that "1h" is every full hour of UTC.
	Anchor time.Time `json:"anchor,omitzero"`
	// Start and End bound the times: none is before Start, all are before End. The schedule
	// completes after its last. Zero means no bound; a schedule begins with the first time after its creation.
	Start time.Time `json:"start,omitzero"`
	End   time.Time `json:"end,omitzero"`
	// Jitter is the longest delay of a start after its time. The delay follows from
	// the name and the time, and ends before the next time. Defaults to none.
	Jitter bide.Duration `json:"jitter,omitempty"`

	// Workflow is what to start, and Version which; empty means the version that
	// the worker registered last. Input is the run's input, null when empty.
	Workflow string    `json:"workflow"`
	Version  string    `json:"version,omitempty"`
	Input    bide.JSON `json:"input,omitempty"`
	// Labels of the runs, besides LabelName and LabelTime.
	Labels map[string]string `json:"labels,omitempty"`
	// Session of the runs. Defaults to the schedule's own, "schedule.<name>".
	Session string `json:"session,omitempty"`
	// RunTimeout is how long a run may take; then it fails. Zero means forever,
	// which with Skip lets a run that does not end hold up all that follow.
	RunTimeout bide.Duration `json:"run_timeout,omitempty"`

	// Overlap defaults to Skip.
	Overlap Overlap `json:"overlap,omitempty"`
	// Queue is, with overlap queue, how many of the times that came while a run
	// was at work are kept, the newest; the others are skipped. At most 100. Defaults to 1.
	Queue int `json:"queue,omitempty"`
	// CatchUp is how many missed times are made up, the newest, in their order; with overlap
	// cancel at most one. At most 100. Defaults to 0: a missed time is left out.
	CatchUp int `json:"catch_up,omitempty"`
	// Grace is how late the newest time may be acted on without being missed. Defaults to 5m.
	Grace bide.Duration `json:"grace,omitempty"`
}

// ParseSpec reads a spec from JSON. It fails with ErrInvalidInput, listing every
// fault, when the text or the spec cannot be used, unknown fields included.
func ParseSpec(text []byte) (Spec, error) {
	var s Spec
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(&s)
	if err == nil {
		if _, rest := dec.Token(); !errors.Is(rest, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		return Spec{}, bide.Errorf(bide.CodeInvalidInput, "the schedule is not a spec: %w", err)
	}
	return s, s.Check()
}

// Check fails with ErrInvalidInput, listing every fault, when the spec cannot be used.
func (s Spec) Check() error {
	_, faults := s.compile()
	if len(faults) > 0 {
		return s.refused(faults)
	}
	return nil
}

func (s *Spec) refused(faults []bide.Fault) error {
	return &bide.Error{Code: bide.CodeInvalidInput, Message: fmt.Sprintf("schedule %q cannot be used", s.Name), Faults: faults}
}

// compile returns the timetable, and every fault of the spec.
func (s *Spec) compile() (*timetable, []bide.Fault) {
	tt, faults := s.timetable()
	add := func(path, format string, args ...any) {
		faults = append(faults, bide.Fault{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	for _, f := range []struct{ path, value string }{{"name", s.Name}, {"workflow", s.Workflow}, {"version", s.Version}} {
		if fault := checkName(f.value); fault != "" && (f.value != "" || f.path != "version") {
			add(f.path, "%s", fault)
		}
	}
	if s.Workflow == Workflow {
		add("workflow", "a schedule cannot start schedules")
	}
	if len(s.Input) > 0 && !json.Valid(s.Input) {
		add("input", "is not JSON")
	}
	for _, label := range slices.Sorted(maps.Keys(s.Labels)) {
		if label == LabelName || label == LabelTime {
			add("labels."+label, "is set by the schedule")
		}
	}
	if len(s.Session) > 1000 {
		add("session", "has %d bytes, more than 1000", len(s.Session))
	}
	if s.RunTimeout < 0 {
		add("run_timeout", "is negative")
	}
	if s.Grace < 0 {
		add("grace", "is negative")
	}
	if s.CatchUp < 0 || s.CatchUp > maxBacklog {
		add("catch_up", "%d is not a number from 0 to %d", s.CatchUp, maxBacklog)
	}
	switch s.Overlap {
	case "", Skip, Queue, Cancel, Allow:
	default:
		add("overlap", "%q is none of skip, queue, cancel and allow", s.Overlap)
	}
	if s.Queue < 0 || s.Queue > maxBacklog {
		add("queue", "%d is not a number from 0 to %d", s.Queue, maxBacklog)
	} else if s.Queue > 0 && s.Overlap != Queue {
		add("queue", "goes with overlap queue only")
	}
	return tt, faults
}

// timetable compiles the fields that say when, and lists their faults.
func (s *Spec) timetable() (*timetable, []bide.Fault) {
	var faults []bide.Fault
	add := func(path, format string, args ...any) {
		faults = append(faults, bide.Fault{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	tt := &timetable{name: s.Name, loc: time.UTC, interval: time.Duration(s.Interval), anchor: s.Anchor,
		start: s.Start, end: s.End, jitter: time.Duration(s.Jitter).Truncate(time.Microsecond)}
	if (s.Cron == "") == (s.Interval == 0) {
		add("", "exactly one of cron and interval is needed")
	}
	if s.Cron != "" {
		var bad []string
		tt.cron, bad = parseCron(s.Cron)
		for _, fault := range bad {
			add("cron", "%s", fault)
		}
	}
	if s.TimeZone != "" {
		loc, err := time.LoadLocation(s.TimeZone)
		if err != nil || s.TimeZone == "Local" {
			add("time_zone", "%q is not the IANA name of a zone, such as Europe/Berlin", s.TimeZone)
		} else {
			tt.loc = loc
		}
	}
	if s.Interval != 0 && (tt.interval < time.Second || tt.interval%time.Microsecond != 0) {
		add("interval", "%s is not a time of at least 1s, in whole microseconds", s.Interval)
	}
	if !s.Anchor.IsZero() && s.Cron != "" {
		add("anchor", "goes with an interval only")
	}
	if tt.anchor.IsZero() {
		tt.anchor = s.Start
	}
	if tt.anchor.IsZero() {
		tt.anchor = time.Unix(0, 0)
	}
	for _, f := range []struct {
		path string
		at   time.Time
	}{{"anchor", s.Anchor}, {"start", s.Start}, {"end", s.End}} {
		if !f.at.IsZero() && (f.at.Year() < 1900 || f.at.Year() > 9999) {
			add(f.path, "is not between the years 1900 and 9999")
		}
	}
	if s.Jitter < 0 {
		add("jitter", "is negative")
	}
	if len(faults) == 0 && !s.End.IsZero() {
		if _, ok := tt.next(s.Start.Add(-1)); !ok {
			add("end", "no time of the schedule is before it")
		}
	}
	return tt, faults
}

// normal returns the spec in the one form in which it is stored.
func (s Spec) normal() Spec {
	for _, t := range []*time.Time{&s.Anchor, &s.Start, &s.End} {
		if !t.IsZero() {
			*t = t.UTC().Truncate(time.Microsecond)
		}
	}
	if len(s.Labels) == 0 {
		s.Labels = nil
	}
	return s
}

// same reports whether two specs in normal form say the same.
func (s Spec) same(o Spec) bool {
	a, okA := document(s.Input)
	b, okB := document(o.Input)
	s.Input, o.Input = nil, nil
	return okA && okB && reflect.DeepEqual(a, b) && reflect.DeepEqual(s, o)
}

// document is JSON as Go values; numbers keep their text.
func document(raw bide.JSON) (v any, ok bool) {
	if len(raw) == 0 {
		return nil, true
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return v, dec.Decode(&v) == nil
}

// overlap, queue and grace are the fields with their defaults.
func (s *Spec) overlap() Overlap {
	if s.Overlap == "" {
		return Skip
	}
	return s.Overlap
}

func (s *Spec) queue() int { return max(s.Queue, 1) }

func (s *Spec) grace() time.Duration {
	if s.Grace == 0 {
		return 5 * time.Minute
	}
	return time.Duration(s.Grace)
}

// checkName says why a text cannot name a schedule, workflow or version, or nothing.
func checkName(s string) string {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	switch {
	case s == "":
		return "is empty"
	case len(s) > 100:
		return fmt.Sprintf("has %d characters, more than 100", len(s))
	case strings.Trim(s, allowed) != "":
		return fmt.Sprintf("%q contains something else than letters, digits and . _ -", s)
	}
	return ""
}
