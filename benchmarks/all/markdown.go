package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

// tables says how what was found is laid out. A row is for a setting, told by
// its keys; a column for a metric. Without metrics, all that the rows have.
var tables = []struct {
	title, question string
	keys, metrics   []string
}{
	{"Runs of three steps", "throughput", []string{"flush", "store", "in flight"}, []string{"runs", "raw", "of raw", "a run, p50", "a run, p99", "processor time", "commits", "flushes"}},
	{"One run alone, from start to end", "latency", []string{"flush", "store", "driven by"}, nil},
	{"Until a waiting run goes on", "latency", []string{"flush", "store", "what", "processes", "quiet before"}, nil},
	{"Steps of a run that grows", "growth", []string{"flush", "store", "bytes per step"}, nil},
	{"A conversation on disk", "growth", []string{"flush", "store", "turns", "bytes per turn"}, nil},
	{"Many parked runs", "scale", []string{"flush", "store", "parked"}, nil},
	{"After a crash", "recovery", []string{"flush", "store", "what"}, []string{"store open", "all going again"}},
	{"A long run", "recovery", []string{"flush", "store", "what"}, []string{"open", "verify", "load, answer and complete"}},
	{"Evidence", "evidence", []string{"flush", "store", "runs"}, nil},
	{"Encryption at rest", "encryption", []string{"flush", "store", "content", "bytes"}, nil},
	{"Worker processes", "workers", []string{"flush", "store", "workers"}, nil},
	{"Starts over HTTP", "gateway", []string{"flush", "store", "connections"}, nil},
	{"Streams of everything", "gateway", []string{"flush", "store", "streams"}, nil},
	{"A server killed under load", "gateway", []string{"flush", "store", "streams", "killed"}, nil},
	{"Other libraries, the same work", "peers", []string{"flush", "store", "library", "variant", "version", "durability"}, []string{"runs", "a run, p50", "alone, p50", "processor time", "flushes"}},
}

// markdown makes the tables.
func markdown(found []*bench.Measurement) string {
	var out strings.Builder
	for _, m := range found {
		if m.Question == "machine" {
			out.WriteString(machineText(m.Setting))
		}
	}
	fmt.Fprintf(&out, "Figures are the median (least-greatest) of the samples, which took turns. Samples during which other processes used more than\n"+
		"%d %% of the machine are left out; where there were no others, they count, and the figure has a †. *flush* is what was added to each flush of the disk.\n", bench.Noisy)
	fmt.Fprintf(&out, "\n| store | a commit survives | as it was set |\n|---|---|---|\n")
	for _, row := range durabilities(found) {
		fmt.Fprintf(&out, "| %s |\n", strings.Join(row, " | "))
	}
	for _, t := range tables {
		rows, metrics := rowsOf(found, t.question, t.keys, t.metrics)
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(&out, "\n### %s\n\n| %s |", t.title, strings.Join(t.keys, " | "))
		for _, m := range metrics {
			fmt.Fprintf(&out, " %s |", m)
		}
		fmt.Fprintf(&out, "\n|%s\n", strings.Repeat("---|", len(t.keys)+len(metrics)))
		for _, r := range rows {
			out.WriteByte('|')
			for _, key := range t.keys {
				fmt.Fprintf(&out, " %s |", r.setting[key])
			}
			for _, m := range metrics {
				fmt.Fprintf(&out, " %s |", r.cells[m])
			}
			out.WriteByte('\n')
		}
	}
	return out.String()
}

func machineText(about map[string]string) string {
	var out strings.Builder
	for _, key := range slices.Sorted(maps.Keys(about)) {
		fmt.Fprintf(&out, "- %s: %s\n", key, about[key])
	}
	return out.String() + "\n"
}

// survives is what a commit survives, by store.
var survives = map[string]string{
	bench.Memory: "nothing", bench.File: "kill -9 and loss of power", bench.SQLite: "kill -9 and loss of power",
	bench.SQLiteNormal: "kill -9; loss of power may undo the last", bench.Postgres: "kill -9 and loss of power of the server",
}

func durabilities(found []*bench.Measurement) (rows [][]string) {
	for _, store := range bench.All {
		i := slices.IndexFunc(found, func(m *bench.Measurement) bool {
			return m.Setting["store"] == store && m.Setting["durability"] != "" && m.Setting["library"] == ""
		})
		if i >= 0 {
			rows = append(rows, []string{store, survives[store], found[i].Setting["durability"]})
		}
	}
	return rows
}

// row is what was found under one setting.
type row struct {
	setting, cells map[string]string
}

// aside are keys of settings that a table need not have.
var aside = []string{"durability", "set", "in flight"}

// rowsOf gathers the measurements of a question whose settings have the keys,
// and nothing else but what may be left aside.
func rowsOf(found []*bench.Measurement, question string, keys, wanted []string) (rows []row, metrics []string) {
	for _, m := range found {
		if m.Question != question || !hasKeys(m.Setting, keys) || (wanted != nil && !slices.Contains(wanted, m.Metric)) {
			continue
		}
		i := slices.IndexFunc(rows, func(r row) bool { return maps.Equal(r.setting, m.Setting) })
		if i < 0 {
			i = len(rows)
			rows = append(rows, row{m.Setting, map[string]string{}})
		}
		name := strings.TrimSpace(m.Metric + ", " + m.Unit)
		if !slices.Contains(metrics, name) {
			metrics = append(metrics, name)
		}
		samples, quiet := m.Quiet()
		rows[i].cells[name] = bench.Spread(samples)
		if !quiet {
			rows[i].cells[name] += " †"
		}
	}
	return rows, metrics
}

// hasKeys reports whether a setting has these keys.
func hasKeys(setting map[string]string, keys []string) bool {
	for key := range setting {
		if !slices.Contains(keys, key) && !slices.Contains(aside, key) {
			return false
		}
	}
	for _, key := range keys {
		if setting[key] == "" {
			return false
		}
	}
	return true
}

// The markers in performance.md between which the tables are.
const (
	begin = "<!-- begin: written by benchmarks/all -->"
	end   = "<!-- end -->"
)

// replaceBetween replaces what is between the markers of a file.
func replaceBetween(path, text string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok1 := strings.Cut(string(old), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no place for the tables: put the lines %q and %q there", path, begin, end)
	}
	return os.WriteFile(path, []byte(before+begin+"\n\n"+text+"\n"+end+after), 0o644)
}
