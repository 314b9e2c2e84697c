// Command throughput asks how many durable runs of three steps a second bide
// makes on SQLite with full durability, alone and with many in flight, beside
// the same rows written raw to SQLite in groups. The two take turns, and each
// ratio is of neighbours.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/bide-dev/bide/benchmarks/load"
	"github.com/bide-dev/bide/store/sqlite"
	"github.com/bide-dev/bide/store/sqlite/faultvfs"
)

func main() {
	runs := flag.Int("runs", 2000, "runs in a sample")
	repeats := flag.Int("repeats", 5, "samples of each kind")
	delay := flag.Duration("flush", 0, "time added to every flush of the disk, to emulate a slower one")
	flag.Parse()
	fmt.Printf("SQLite, synchronous=FULL, %d runs of 3 steps, %d samples, %s, %d processors\n", *runs, *repeats, runtime.Version(), runtime.NumCPU())
	if *delay > 0 {
		fmt.Printf("every flush is made to take %v longer\n", *delay)
	}
	for _, inFlight := range []int{1, 8, 64, 512} {
		if err := compare(context.Background(), *runs, inFlight, *repeats, *delay); err != nil {
			log.Fatal(err)
		}
	}
}

func compare(ctx context.Context, n, inFlight, repeats int, delay time.Duration) error {
	commits, err := record(ctx, n, inFlight)
	if err != nil {
		return err
	}
	disk := faultvfs.Register() // counts the flushes
	defer disk.Unregister()
	disk.DelaySync(delay)
	var ours, bare, ratios, p50, flushes []float64
	for range repeats {
		err := inTemp(func(dir string) error {
			took, err := raw(filepath.Join(dir, "raw.db"), disk.Name(), commits, inFlight)
			if err != nil {
				return err
			}
			bare = append(bare, float64(n)/took.Seconds())
			db, err := sqlite.Open(ctx, filepath.Join(dir, "bide.db"), &sqlite.Options{VFS: disk.Name()})
			if err != nil {
				return err
			}
			before := disk.Syncs()
			took, each, err := load.Drive(ctx, db, n, inFlight)
			if err != nil {
				return err
			}
			ours = append(ours, float64(n)/took.Seconds())
			flushes = append(flushes, float64(disk.Syncs()-before)/float64(n))
			ratios = append(ratios, bare[len(bare)-1]/ours[len(ours)-1])
			p50 = append(p50, float64(load.Median(each))/float64(time.Millisecond))
			return db.Close()
		})
		if err != nil {
			return err
		}
	}
	fmt.Printf("%4d in flight: %s runs/s, p50 %.2f ms a run; raw groups of %d: %s runs/s; ours/raw %.2f; %.1f commits and %.2f flushes a run\n",
		inFlight, load.Spread(ours), load.Median(p50), inFlight, load.Spread(bare), 1/load.Median(ratios), float64(len(commits))/float64(n), load.Median(flushes))
	return nil
}

func inTemp(do func(dir string) error) error {
	dir, err := os.MkdirTemp("", "throughput")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return do(dir)
}
