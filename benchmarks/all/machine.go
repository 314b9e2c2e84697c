package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

// machine tells what the measurements were made on, as one without samples.
func machine(ctx context.Context) (*bench.Measurement, error) {
	about := map[string]string{
		"processors": fmt.Sprint(runtime.NumCPU()),
		"go":         runtime.Version(),
		"system":     runtime.GOOS + "/" + runtime.GOARCH,
		"date":       time.Now().UTC().Format(time.DateOnly),
	}
	for key, from := range map[string]struct{ path, line string }{
		"processor": {"/proc/cpuinfo", "model name"}, "memory": {"/proc/meminfo", "MemTotal"}, "kernel": {"/proc/sys/kernel/osrelease", ""},
	} {
		if text, err := os.ReadFile(from.path); err == nil { // else there is no such file on this system
			about[key] = field(string(text), from.line)
		}
	}
	if text, err := exec.CommandContext(ctx, "df", "-PT", os.TempDir()).Output(); err == nil { // df knows types on Linux only
		if lines := strings.Split(strings.TrimSpace(string(text)), "\n"); len(strings.Fields(lines[len(lines)-1])) > 1 {
			about["file system"] = strings.Fields(lines[len(lines)-1])[1]
		}
	}
	db, err := sqlite3.Open(":memory:")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	stmt, _, err := db.Prepare("SELECT sqlite_version()")
	if err != nil {
		return nil, err
	}
	defer stmt.Close()
	if stmt.Step() {
		about["sqlite"] = stmt.ColumnText(0)
	}
	if err := stmt.Err(); err != nil {
		return nil, err
	}
	if about["postgres"], err = bench.PostgresVersion(); err != nil {
		return nil, err
	}
	return &bench.Measurement{Question: "machine", Setting: about}, nil
}

// field returns what follows the name and a colon, or without name the text.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		if name == "" {
			return strings.TrimSpace(line)
		}
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
