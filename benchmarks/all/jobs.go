package main

import (
	"runtime"
	"strings"
)

// job is a command with its arguments.
type job struct {
	command string
	args    []string
}

// slowDisk emulates a disk as clouds have it: each flush takes a millisecond
// longer than in memory, and nothing else has a part in it.
const slowDisk = " -flush 1ms -dir /dev/shm"

// effort is how much is measured.
type effort int

const (
	whole effort = iota // hours
	short               // twenty minutes: the same questions with less work, three samples of each and no million of runs
	quick               // a minute or two: it shows that everything works, and roughly where things are
)

// jobs lists what to run.
func jobs(much effort) (out []job) {
	lines := []string{
		"throughput -repeats 5",
		"latency -repeats 5 -quiet 60s",
		"growth -repeats 3",
		"scale -repeats 3",
		"recovery -repeats 5",
		"evidence -repeats 3",
		"encryption -repeats 5",
		"workers -repeats 5",
		"gateway -repeats 3",
		"peers -repeats 3",
	}
	slow := []string{
		"throughput -repeats 5",
		"latency -repeats 5 -quiet 60s",
		"growth -repeats 3",
		"scale -repeats 1",
		"recovery -repeats 5",
		"workers -repeats 5",
		"peers -repeats 3 -n 500",
	}
	switch much {
	case short:
		lines = []string{
			"throughput -repeats 3 -inflight 1,64,512",
			"latency -repeats 3 -n 100 -quiet 3s",
			"growth -repeats 3 -steps 2000",
			"scale -repeats 3 -n 50000 -rest 10s -wakes 300 -span 5s",
			"recovery -repeats 3 -takeover=false",
			"evidence -repeats 3 -runs 300 -steps 10000",
			"encryption -repeats 3",
			"workers -repeats 3 -n 5000",
			"gateway -repeats 1 -time 3s -n 1000 -stores sqlite,postgres",
			"peers -repeats 3 -n 1000 -alone 20 -only bide|DBOS|tuned",
		}
		slow = []string{
			"throughput -repeats 3 -n 500 -inflight 1,64",
			"peers -repeats 3 -n 1000 -alone 20 -only bide|DBOS",
		}
	case quick:
		lines = []string{
			"throughput -repeats 1 -n 200 -inflight 1,64",
			"latency -repeats 1 -n 20 -quiet 1s",
			"growth -repeats 1 -steps 500 -turns 50",
			"scale -repeats 1 -n 2000 -rest 1s -wakes 50 -span 2s",
			"recovery -repeats 1 -n 100 -records 2000 -takeover=false",
			"evidence -repeats 1 -runs 100 -steps 2000",
			"encryption -repeats 1 -runs 100 -steps 300",
			"workers -repeats 1 -n 300",
			"gateway -repeats 1 -time 1s -n 300 -streams 200 -connections 1,64 -stores sqlite",
			"peers -repeats 1 -n 1000 -alone 3 -only bide|DBOS,.FULL|DBOS.*postgres",
		}
		slow = []string{"throughput -repeats 1 -n 100 -inflight 1,64"}
	}
	if runtime.GOOS == "linux" { // the only place where flushes can be slowed down
		for _, line := range slow {
			lines = append(lines, line+slowDisk)
		}
	}
	for _, line := range lines {
		fields := strings.Fields(line)
		out = append(out, job{fields[0], fields[1:]})
	}
	return out
}
