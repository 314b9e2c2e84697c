package bench

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Measurement is what was measured of one thing under one setting. It is
// written as a line of JSON.
type Measurement struct {
	Question string            `json:"question"` // the command that asked
	Setting  map[string]string `json:"setting"`  // store, durability, flush, and what the question varies
	Metric   string            `json:"metric"`
	Unit     string            `json:"unit"`
	Samples  []float64         `json:"samples"`
	// Others is, for each sample, how much of the machine's processor time went
	// to processes that have no part in the benchmark, in percent. Empty where that is not known.
	Others []float64 `json:"others,omitempty"`
}

// Noisy is the share of processor time, in percent, from which what others do
// makes a sample doubtful.
const Noisy = 25

// Quiet returns the samples during which others left the machine alone; when
// there are none, all, and false.
func (m *Measurement) Quiet() (samples []float64, quiet bool) {
	for i, v := range m.Samples {
		if i >= len(m.Others) || m.Others[i] <= Noisy {
			samples = append(samples, v)
		}
	}
	if len(samples) == 0 {
		return m.Samples, false
	}
	return samples, true
}

// String is the measurement for people: median, least and greatest.
func (m *Measurement) String() string {
	samples, quiet := m.Quiet()
	text := fmt.Sprintf("%s: %s %s", m.Metric, Spread(samples), m.Unit)
	if !quiet {
		text += fmt.Sprintf(" (while others used %s %% of the machine)", Number(Median(m.Others)))
	}
	return text
}

// print writes all that was found, setting by setting.
func (b *Bench) print(w io.Writer) error {
	for _, setting := range b.settings {
		if !b.json {
			fmt.Fprintf(w, "%s, %s\n", b.question, settingText(setting))
		}
		for _, m := range b.found {
			if !maps.Equal(m.Setting, setting) {
				continue
			}
			if !b.json {
				fmt.Fprintf(w, "    %s\n", m)
			} else if err := m.Write(w); err != nil {
				return err
			}
		}
	}
	return nil
}

func settingText(setting map[string]string) string {
	parts := make([]string, 0, len(setting))
	for _, key := range slices.Sorted(maps.Keys(setting)) {
		parts = append(parts, key+" "+setting[key])
	}
	return strings.Join(parts, ", ")
}

// Write writes the measurement as a line of JSON.
func (m *Measurement) Write(w io.Writer) error { return json.NewEncoder(w).Encode(m) }

// Read reads measurements, one a line.
func Read(r io.Reader) (out []*Measurement, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m := &Measurement{}
		if err := json.Unmarshal(lines.Bytes(), m); err != nil {
			return nil, fmt.Errorf("%q is not a measurement: %w", lines.Text(), err)
		}
		out = append(out, m)
	}
	return out, lines.Err()
}

// Quantile returns the value below which a share q of values lies; q is from 0 to 1.
func Quantile[T cmp.Ordered](values []T, q float64) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// Median returns the middle of values.
func Median[T ~float64 | ~int64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Spread returns the middle, the least and the greatest of values as text.
func Spread(values []float64) string {
	if len(values) == 1 {
		return Number(values[0])
	}
	return fmt.Sprintf("%s (%s-%s)", Number(Median(values)), Number(slices.Min(values)), Number(slices.Max(values)))
}

// Number returns a number with three digits that mean something, and thousands apart.
func Number(v float64) string {
	digits := 0
	for limit := 100.0; digits < 4 && v != 0 && max(v, -v) < limit; limit /= 10 {
		digits++
	}
	text := fmt.Sprintf("%.*f", digits, v)
	if digits > 0 {
		return text
	}
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// Milliseconds returns a duration as a number.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
