// Package bench is what the benchmarks share: their flags, empty stores, the
// work, samples that take turns, and one form for what was measured. It must not know
// what any of them asks.
package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/bide-dev/bide/benchmarks/internal/flush"
	"github.com/bide-dev/bide/internal/pgtest"
)

// Bench is one benchmark at work.
type Bench struct {
	// Repeats is how many samples of each case to take.
	Repeats int

	question string
	flush    time.Duration
	allowed  []string // stores that the question can be asked of
	stores   string
	postgres string
	json     bool
	profile  string

	watching bool
	server   *pgtest.Server // of our own; nil until it is needed
	folder   string         // that all places are in
	places   int
	turns    int                 // so far
	settings []map[string]string // of all cases, in their order
	found    []*Measurement
	profiles profiles
}

// Main parses the flags, does what run says, and prints what was measured. The
// stores are those that the question can be asked of. A command registers flags of its own before.
func Main(question string, stores []string, run func(context.Context, *Bench) error) {
	log.SetFlags(0)
	log.SetPrefix(question + ": ")
	b := &Bench{question: question, allowed: stores}
	var dir string
	flag.IntVar(&b.Repeats, "repeats", 5, "samples of each case; they take turns")
	flag.StringVar(&b.stores, "stores", strings.Join(stores, ","), "stores to measure")
	flag.StringVar(&dir, "dir", "", "folder in which the stores are made; by default the one for temporary files")
	flag.DurationVar(&b.flush, "flush", 0, "make every flush of the disk take so much longer")
	flag.StringVar(&b.postgres, "postgres", "", "URL of the PostgreSQL server to use; by default one is started, and removed in the end")
	flag.BoolVar(&b.json, "json", false, "print measurements as lines of JSON")
	flag.StringVar(&b.profile, "profile", "", "folder for profiles of this process: cpu, allocs, mutex, block")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("%q: there are only flags; see -help", flag.Arg(0))
	}
	if b.Repeats < 1 {
		log.Fatalf("-repeats %d: take at least 1", b.Repeats)
	}
	if dir != "" {
		if err := os.Setenv("TMPDIR", dir); err != nil { // of the server, too
			log.Fatal(err)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := errors.Join(b.run(ctx, run), b.close())
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

func (b *Bench) run(ctx context.Context, run func(context.Context, *Bench) error) error {
	if b.flush > 0 {
		if b.postgres != "" && strings.Contains(b.stores, Postgres) {
			return errors.New("-flush does not reach the server of -postgres; leave out one of them, or the store")
		}
		if err := b.watch(b.flush); err != nil {
			return err
		}
	}
	if b.profile != "" {
		if err := b.profiles.start(b.profile); err != nil {
			return err
		}
	}
	failed := run(ctx, b)
	if b.profile != "" {
		failed = errors.Join(failed, b.profiles.stop(b.profile))
	}
	return errors.Join(failed, b.print(os.Stdout)) // what was found before something failed counts
}

func (b *Bench) watch(delay time.Duration) error {
	b.watching = true
	return flush.Watch(delay)
}

// close removes what was made.
func (b *Bench) close() (err error) {
	if b.server != nil {
		err = b.server.Remove()
		b.server = nil
	}
	if b.folder != "" {
		err = errors.Join(err, os.RemoveAll(b.folder))
		b.folder = ""
	}
	return err
}

// Count takes one more sample of each case, of which only the flushes count
// (Values.Flushes). Those are not counted while timing: seeing them costs time. No
// case may be sampled for its time afterwards. A server that was not started here cannot be counted.
func (b *Bench) Count(ctx context.Context, cases []Case) error {
	if b.watching {
		return nil // every sample had them
	}
	if err := b.close(); err != nil { // the server must be started anew to be seen
		return err
	}
	if err := b.watch(0); err != nil {
		fmt.Fprintf(os.Stderr, "%s: flushes are not counted: %v\n", b.question, err)
		return nil
	}
	return b.turn(ctx, cases, func(v *Value) bool { return v.counted })
}
