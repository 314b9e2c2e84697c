package bench

import (
	"context"
	"fmt"
	"maps"
	"os"

	"github.com/bide-dev/bide/benchmarks/internal/flush"
)

// A Case is one thing to measure under one setting.
type Case struct {
	Setting map[string]string
	// Sample measures once, on a store that nobody has used.
	Sample func(ctx context.Context, v *Values) error
}

// Values are what one sample gives.
type Values struct {
	values  []Value
	setting map[string]string
}

// Value is one of them.
type Value struct {
	metric, unit string
	value        float64
	counted      bool // a number of flushes
}

// Add adds a value.
func (v *Values) Add(metric, unit string, value float64) {
	v.values = append(v.values, Value{metric: metric, unit: unit, value: value})
}

// Is says something of the setting that shows only when it is at work, such as the durability.
func (v *Values) Is(key, value string) { v.setting[key] = value }

// Flushes begins to count flushes. Calling what it returns adds those so far, a unit.
func (v *Values) Flushes(unit string, units int) (stop func()) {
	before := flush.Count()
	return func() {
		v.values = append(v.values, Value{"flushes", "a " + unit, float64(flush.Count()-before) / float64(units), true})
	}
}

// Interleave takes a sample of each case in turn, and so as many times as
// -repeats says. Each turn begins with another case.
func (b *Bench) Interleave(ctx context.Context, cases []Case) error {
	for range b.Repeats {
		if err := b.Turn(ctx, cases); err != nil {
			return err
		}
	}
	return nil
}

// Turn takes one sample of each case.
func (b *Bench) Turn(ctx context.Context, cases []Case) error {
	return b.turn(ctx, cases, func(v *Value) bool { return b.watching || !v.counted })
}

func (b *Bench) turn(ctx context.Context, cases []Case, keep func(*Value) bool) error {
	for i := range cases {
		c := &cases[i]
		if c.Setting["flush"] == "" {
			c.Setting = maps.Clone(c.Setting)
			c.Setting["flush"] = b.flush.String()
			b.settings = append(b.settings, c.Setting)
		}
	}
	for i := range cases {
		c := &cases[(b.turns+i)%len(cases)]
		v := &Values{setting: c.Setting}
		fmt.Fprintf(os.Stderr, "%s, %s\n", b.question, settingText(c.Setting))
		others := watchOthers()
		if err := c.Sample(ctx, v); err != nil {
			return fmt.Errorf("%s: %w", settingText(c.Setting), err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		share, known := others()
		for j := range v.values {
			if !keep(&v.values[j]) {
				continue
			}
			m := b.measurement(c.Setting, &v.values[j])
			m.Samples = append(m.Samples, v.values[j].value)
			if known {
				m.Others = append(m.Others, share)
			}
		}
	}
	b.turns++
	return nil
}

// measurement finds where a value belongs.
func (b *Bench) measurement(setting map[string]string, v *Value) *Measurement {
	for _, m := range b.found {
		if m.Metric == v.metric && maps.Equal(m.Setting, setting) {
			return m
		}
	}
	m := &Measurement{Question: b.question, Setting: setting, Metric: v.metric, Unit: v.unit}
	b.found = append(b.found, m)
	return m
}
