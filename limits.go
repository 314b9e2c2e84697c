package bide

import (
	"math"
)

// Limits bound what one run can use (K15).
type Limits struct {
	// Steps is how many steps a run may make; the next fails it with code limit_exceeded. Defaults to 100,000.
	Steps int64
	// ValueBytes bounds one payload, result, answer or written value. Defaults to 8 MiB.
	ValueBytes int
	// Effects is how many effects one plan may have. Defaults to 1,000.
	Effects int
	// Concurrency is how many attempts of one step run at once. Defaults to 64.
	Concurrency int
	// Depth is how many levels of children may be below a run. Defaults to 16.
	Depth int
	// Children is how many runs one FanOut may start. Defaults to 100,000.
	Children int
	// Lost is how many crashes in the middle of one effect are repeated before
	// an attention wait asks a person. Defaults to 10.
	Lost int
}

func (l Limits) withDefaults() Limits {
	set := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	if l.Steps <= 0 {
		l.Steps = 100_000
	}
	l.Steps = min(l.Steps, math.MaxInt64/4)
	set(&l.ValueBytes, 8<<20)
	set(&l.Effects, 1000)
	set(&l.Concurrency, 64)
	set(&l.Depth, 16)
	set(&l.Children, 100_000)
	set(&l.Lost, 10)
	return l
}
