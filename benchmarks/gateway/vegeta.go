package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/bide-dev/bide/benchmarks/internal/bench"
)

// starts lets vegeta, a process of its own, start runs for a while over so many connections, each
// beginning the next as soon as one is answered.
func starts(ctx context.Context, v *bench.Values, s *served, took time.Duration, connections int) error {
	target := "POST " + s.url + "/v1/runs\nContent-Type: application/json\n@" + s.body + "\n"
	n := strconv.Itoa(connections)
	attack := func(took time.Duration) (*report, error) {
		hits, err := vegeta(ctx, []byte(target), "attack", "-rate=0", "-workers="+n, "-max-workers="+n, "-connections="+n, "-duration="+took.String())
		if err != nil {
			return nil, err
		}
		text, err := vegeta(ctx, hits, "report", "-type=json")
		if err != nil {
			return nil, err
		}
		r := &report{}
		return r, json.Unmarshal(text, r)
	}
	if _, err := attack(took / 5); err != nil { // warm up
		return err
	}
	r, err := attack(took)
	if err != nil {
		return err
	}
	if r.Success < 1 {
		return fmt.Errorf("of the starts only %.2f %% were answered with 201: %v %v", 100*r.Success, r.Codes, r.Errors)
	}
	v.Add("starts", "starts/s", r.Throughput)
	v.Add("a start, p50", "ms", bench.Milliseconds(r.Latencies.P50))
	v.Add("a start, p99", "ms", bench.Milliseconds(r.Latencies.P99))
	m, err := s.memory()
	v.Add("memory of the server", "MB", m)
	return err
}

// report is what vegeta reports, as far as it is used.
type report struct {
	Latencies struct {
		P50 time.Duration `json:"50th"`
		P99 time.Duration `json:"99th"`
	} `json:"latencies"`
	Throughput float64        `json:"throughput"`
	Success    float64        `json:"success"`
	Codes      map[string]int `json:"status_codes"`
	Errors     []string       `json:"errors"`
}

// vegeta runs the load generator at the version of the repository's tools.
func vegeta(ctx context.Context, in []byte, args ...string) ([]byte, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/bide-dev/bide").Output()
	if err != nil {
		return nil, fmt.Errorf("the go command does not find the repository; run this in the folder of the benchmarks: %w", err)
	}
	dir := strings.TrimSpace(string(root))
	cmd := exec.CommandContext(ctx, "go", append([]string{"tool", "-modfile=" + filepath.Join(dir, "tools", "go.mod"), "vegeta"}, args...)...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(in)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("vegeta %s: %w: %s", args[0], err, &said)
	}
	return out, nil
}

// bodyFile writes the body of a start where vegeta can read it.
func bodyFile() (name string, err error) {
	f, err := os.CreateTemp("", "bide-start-")
	if err != nil {
		return "", err
	}
	if _, err := f.WriteString(`{"workflow":"wait","input":{"order":42}}`); err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}
