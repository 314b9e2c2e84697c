// Command all asks all questions, and writes what it found into
// docs/performance.md, as tables and a picture.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

func main() {
	log.SetFlags(0)
	isQuick := flag.Bool("quick", false, "take a minute or two instead of hours: little work, one sample of each, for a first look")
	isShort := flag.Bool("short", false, "take twenty minutes instead of hours: less work, three samples")
	out := flag.String("out", "", "folder for performance.md, performance.svg and performance.jsonl; by default the repository's docs, and with -quick none: the tables are printed")
	render := flag.Bool("render", false, "measure nothing; make tables and picture from performance.jsonl as it is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	much := whole
	switch {
	case *isQuick:
		much = quick
	case *isShort:
		much = short
	}
	err := run(ctx, much, *render, *out)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, much effort, render bool, out string) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	if out == "" && much != quick {
		out = filepath.Join(root, "..", "docs")
	}
	data := filepath.Join(out, "performance.jsonl")
	var failed error
	if out == "" || !render {
		dir, err := os.MkdirTemp("", "bide-all-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		fresh := filepath.Join(dir, "performance.jsonl")
		if failed = measure(ctx, root, dir, fresh, much); ctx.Err() != nil {
			return failed
		}
		if out == "" {
			data = fresh
		} else if err := copyFile(fresh, data); err != nil {
			return err
		}
	}
	f, err := os.Open(data)
	if err != nil {
		return err
	}
	defer f.Close()
	found, err := bench.Read(f)
	if err != nil {
		return err
	}
	if out == "" {
		_, err := os.Stdout.WriteString(markdown(found))
		return errors.Join(failed, err)
	}
	return errors.Join(failed,
		replaceBetween(filepath.Join(out, "performance.md"), markdown(found)),
		os.WriteFile(filepath.Join(out, "performance.svg"), []byte(picture(found)), 0o644))
}

// moduleRoot finds the folder of the benchmarks.
func moduleRoot(ctx context.Context) (string, error) {
	text, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/bide-dev/bide/benchmarks").Output()
	if err != nil {
		return "", fmt.Errorf("the go command does not find the benchmarks; run this in their folder: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// measure runs the commands one after the other, and gathers what they print in a file. One that fails does
// not take along what the others have found.
func measure(ctx context.Context, root, dir, path string, much effort) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	about, err := machine(ctx)
	if err != nil {
		return err
	}
	if err := about.Write(f); err != nil {
		return err
	}
	var failed error
	for _, j := range jobs(much) {
		program := filepath.Join(dir, j.command)
		build := exec.CommandContext(ctx, "go", "build", "-o", program, ".")
		build.Dir = filepath.Join(root, j.command)
		if text, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", j.command, err, text)
		}
		cmd := exec.CommandContext(ctx, program, append(j.args, "-json")...)
		cmd.Stdout, cmd.Stderr = f, os.Stderr
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it removes what it made
		if err := cmd.Run(); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s %s: %w", j.command, strings.Join(j.args, " "), err))
			if ctx.Err() != nil {
				break
			}
		}
	}
	return errors.Join(failed, f.Close())
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}
