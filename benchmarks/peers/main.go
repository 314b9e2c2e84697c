// Command peers runs the same work, workflows of three trivial steps, on bide
// and on other durable workflow libraries for Go, side by side on one machine.
// What was set for each of them, and why, is in README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"regexp"
	"runtime/debug"
	"slices"

	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

// result is what every step and every workflow returns.
const result = bench.Result

// A setup is one way to do the work: a library, its store, and what was set.
type setup struct {
	library, variant, store, set string
	// open begins with an empty store.
	open func(ctx context.Context, place *bench.Place, inFlight int) (*system, error)
}

// A system is a setup at work.
type system struct {
	durability string                                // what a commit survives, and how that is known
	run        func(context.Context) (string, error) // starts a workflow and waits for its result
	close      func() error
}

var setups = []setup{
	bideRun, bideWorker, dbosFull, dbosShipped, goWorkflowsTuned, goWorkflowsShipped, durabletaskTuned, durabletaskShipped,
	bideRunPostgres, bideWorkerPostgres, dbosPostgres, goWorkflowsPostgresTuned, goWorkflowsPostgresShipped, durabletaskPostgresTuned, durabletaskPostgresShipped,
}

// modules are those whose versions matter, by library.
var modules = map[string][]string{
	"bide":           {"github.com/ncruces/go-sqlite3"},
	"DBOS":           {"github.com/dbos-inc/dbos-transact-golang", "modernc.org/sqlite"},
	"go-workflows":   {"github.com/cschleiden/go-workflows", "modernc.org/sqlite"},
	"durabletask-go": {"github.com/microsoft/durabletask-go", "modernc.org/sqlite"},
}

func main() {
	n := flag.Int("n", 2000, "workflows in a sample")
	inFlight := flag.Int("inflight", 64, "workflows in flight")
	alone := flag.Int("alone", 30, "workflows in a sample that run one after the other, for their latency")
	only := flag.String("only", "", "regular expression; measure only the setups that it matches, such as \"DBOS, FULL, sqlite\"")
	bench.Main("peers", []string{bench.SQLite, bench.Postgres}, func(ctx context.Context, b *bench.Bench) error {
		if *n < 1 || *inFlight < 1 || *alone < 1 {
			return errors.New("-n, -inflight and -alone must be at least 1")
		}
		chosen, err := regexp.Compile(*only)
		if err != nil {
			return fmt.Errorf("-only: %w", err)
		}
		stores, err := b.Stores()
		if err != nil {
			return err
		}
		var cases []bench.Case
		for _, s := range setups {
			if !slices.Contains(stores, s.store) || !chosen.MatchString(s.library+", "+s.variant+", "+s.store) {
				continue
			}
			m := measurer{b, s, *n, *inFlight, *alone}
			cases = append(cases, bench.Case{Sample: m.sample, Setting: map[string]string{
				"library": s.library, "variant": s.variant, "store": s.store, "set": s.set, "in flight": fmt.Sprint(*inFlight), "version": version(s)}})
		}
		if len(cases) == 0 {
			return fmt.Errorf("-only: nothing matches %q", *only)
		}
		if err := b.Interleave(ctx, cases); err != nil {
			return err
		}
		return b.Count(ctx, cases)
	})
}

// version tells which versions are measured.
func version(s setup) (text string) {
	info, _ := debug.ReadBuildInfo()
	for _, path := range modules[s.library] {
		for _, dep := range info.Deps {
			if dep.Path != path {
				continue
			}
			switch {
			case text == "":
				text = dep.Version
			case s.store == bench.SQLite:
				text += ", " + path + " " + dep.Version
			}
		}
	}
	if s.library != "bide" {
		return text
	}
	return "this tree"
}

// measurer takes samples of a setup.
type measurer struct {
	b *bench.Bench
	setup
	n, inFlight, alone int
}

// sample opens the setup on an empty store, warms it up with a few workflows,
// and measures.
func (m measurer) sample(ctx context.Context, v *bench.Values) error {
	return m.b.At(ctx, m.store, func(place *bench.Place) (err error) {
		sys, err := m.open(ctx, place, m.inFlight)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, sys.close()) }()
		v.Is("durability", sys.durability)
		run := func(ctx context.Context, _ int) error {
			got, err := sys.run(ctx)
			if err == nil && got != result {
				err = fmt.Errorf("the workflow returned %q instead of %q", got, result)
			}
			return err
		}
		if _, _, err := bench.Drive(ctx, min(m.inFlight, m.n), m.inFlight, run); err != nil {
			return err
		}
		_, each, err := bench.Drive(ctx, m.alone, 1, run)
		if err != nil {
			return err
		}
		v.Add("alone, p50", "ms", bench.Milliseconds(bench.Median(each)))
		_, err = bench.DriveCounted(ctx, v, m.n, m.inFlight, run)
		return err
	})
}
