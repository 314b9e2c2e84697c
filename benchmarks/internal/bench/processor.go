package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the system's accounts of processor time (USER_HZ), which
// has been this on Linux for as long as it has been told to programs.
const tick = 10 * time.Millisecond

// Processor returns the processor time that this process and those below it, a
// database server for instance, have used so far. It fails where there is no /proc.
func Processor() (time.Duration, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(paths) == 0 {
		return 0, fmt.Errorf("the system does not tell of its processes in /proc")
	}
	parent, used := map[int]int{}, map[int]time.Duration{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended; its parent has its time
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return 0, err
		}
		// pid (name) state ppid ...; utime, stime, cutime and cstime are fields 14 to 17.
		f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(f) < 15 {
			return 0, fmt.Errorf("%s: %q", path, text)
		}
		if parent[pid], err = strconv.Atoi(f[1]); err != nil {
			return 0, err
		}
		for _, field := range f[11:15] {
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, err
			}
			used[pid] += time.Duration(n) * tick
		}
	}
	var sum time.Duration
	for pid, t := range used {
		for p := pid; p > 0; p = parent[p] {
			if p == os.Getpid() {
				sum += t
				break
			}
		}
	}
	return sum, nil
}

// machine returns the processor time of the machine so far, that at work and all there was.
func machine() (busy, total time.Duration, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	// cpu user nice system idle iowait irq softirq steal guest ...; guest is part of user.
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return 0, 0, fmt.Errorf("/proc/stat: %q", line)
	}
	for i, field := range fields[1:9] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, 0, err
		}
		total += time.Duration(n) * tick
		if i != 3 && i != 4 {
			busy += time.Duration(n) * tick
		}
	}
	return busy, total, nil
}

// watchOthers begins to look at what other processes do. What it returns tells
// their share of the processor time since, in percent; what the kernel does for nobody in particular is in it.
func watchOthers() func() (share float64, known bool) {
	own, err1 := Processor()
	busy, total, err2 := machine()
	return func() (float64, bool) {
		ownNow, err3 := Processor()
		busyNow, totalNow, err4 := machine()
		if err1 != nil || err2 != nil || err3 != nil || err4 != nil || totalNow == total {
			return 0, false
		}
		others := (busyNow - busy) - (ownNow - own)
		return 100 * max(others.Seconds(), 0) / (totalNow - total).Seconds(), true
	}
}
