// Command peers runs the same work, workflows of three trivial steps, on bide
// and on other durable workflow libraries for Go, side by side on one machine,
// and prints a Markdown table. What was set for each of them, and why, is in README.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/bide-dev/bide/benchmarks/load"
)

// result is what every step and every workflow returns.
const result = "done"

// A setup is one way to do the work: a library, its store, and what was set.
type setup struct {
	name, store, set string
	// open begins with an empty store at place: a folder for SQLite, the URL of a
	// database for PostgreSQL.
	open func(ctx context.Context, place string, inFlight int) (*system, error)
}

// A system is a setup at work.
type system struct {
	durability string                                // what a commit survives, and how that is known
	run        func(context.Context) (string, error) // starts a workflow and waits for its result
	close      func() error
}

// A row is what was measured of a setup.
type row struct {
	setup
	durability string
	perSecond  []float64
	alone      []time.Duration
}

func main() {
	runs := flag.Int("runs", 2000, "workflows in a sample")
	inFlight := flag.Int("inflight", 64, "workflows in flight")
	repeats := flag.Int("repeats", 3, "samples of each setup, taken in turns")
	alone := flag.Int("alone", 30, "workflows in a sample that run one after the other, for their latency")
	postgres := flag.String("postgres", "", "URL of a PostgreSQL server; each sample makes a database on it and drops it")
	only := flag.String("only", "", "regular expression; measure only the setups that it matches, such as \"DBOS, FULL, SQLite\"")
	flag.Parse()
	if *runs < 1 || *inFlight < 1 || *repeats < 1 || *alone < 1 {
		log.Fatal("-runs, -inflight, -repeats and -alone must be at least 1")
	}

	chosen, err := regexp.Compile(*only)
	if err != nil {
		log.Fatal(err)
	}
	var rows []*row
	for _, s := range setups(*postgres != "") {
		if chosen.MatchString(s.name + ", " + s.store) {
			rows = append(rows, &row{setup: s})
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for i := range *repeats {
		for j := range rows {
			r := rows[(i+j)%len(rows)] // each repeat begins with another
			fmt.Fprintf(os.Stderr, "%d/%d: %s, %s\n", i+1, *repeats, r.name, r.store)
			if err := r.sample(ctx, *postgres, *runs, *inFlight, *alone); err != nil {
				log.Fatalf("%s, %s: %v", r.name, r.store, err)
			}
		}
	}

	fmt.Printf("%d workflows of 3 steps, %d in flight, %d interleaved samples; %s, %d processors.\n\n", *runs, *inFlight, *repeats, runtime.Version(), runtime.NumCPU())
	if err := versions(ctx, os.Stdout, *postgres); err != nil {
		log.Fatal(err)
	}
	table(os.Stdout, rows)
}

func setups(postgres bool) []setup {
	all := []setup{bideRun, bideWorker, dbosFull, dbosShipped, goWorkflowsTuned, goWorkflowsShipped, durabletaskTuned, durabletaskShipped}
	if postgres {
		all = append(all, bideRunPostgres, bideWorkerPostgres, dbosPostgres, goWorkflowsPostgresTuned, goWorkflowsPostgresShipped, durabletaskPostgresTuned, durabletaskPostgresShipped)
	}
	return all
}

// sample opens the setup on an empty store, warms it up with a few workflows,
// and measures.
func (r *row) sample(ctx context.Context, postgres string, runs, inFlight, alone int) (err error) {
	place, drop, err := emptyPlace(ctx, r.store, postgres)
	if err != nil {
		return err
	}
	defer drop()
	sys, err := r.open(ctx, place, inFlight)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := sys.close(); err == nil {
			err = cerr
		}
	}()
	r.durability = sys.durability
	if _, _, err := drive(ctx, sys.run, min(inFlight, runs), inFlight); err != nil {
		return err
	}
	_, each, err := drive(ctx, sys.run, alone, 1)
	if err != nil {
		return err
	}
	r.alone = append(r.alone, each...)
	total, _, err := drive(ctx, sys.run, runs, inFlight)
	if err != nil {
		return err
	}
	r.perSecond = append(r.perSecond, float64(runs)/total.Seconds())
	return nil
}

// versions prints what was measured.
func versions(ctx context.Context, w io.Writer, postgres string) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return fmt.Errorf("the program knows no module versions")
	}
	for _, dep := range info.Deps {
		switch dep.Path {
		case "github.com/bide-dev/bide":
			fmt.Fprintf(w, "- bide: this tree\n")
		case "github.com/dbos-inc/dbos-transact-golang", "github.com/cschleiden/go-workflows", "github.com/microsoft/durabletask-go",
			"github.com/jackc/pgx/v5", "github.com/ncruces/go-sqlite3", "modernc.org/sqlite":
			fmt.Fprintf(w, "- %s %s\n", dep.Path, dep.Version)
		}
	}
	if postgres != "" {
		v, err := serverVersion(ctx, postgres)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "- PostgreSQL %s\n", v)
	}
	return nil
}

func table(w io.Writer, rows []*row) {
	fmt.Fprintf(w, "\n| library | store | durability | what was set | wf/s, median (min-max) | alone, p50 ms |\n|---|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %.2f |\n", r.name, r.store, r.durability, r.set, load.Spread(r.perSecond), float64(load.Median(r.alone))/float64(time.Millisecond))
	}
}
