package postgres

import "slices"

// Limits of one group. A single commit may be larger.
const (
	groupCommits = 256
	groupBytes   = 4 << 20
)

// pick chooses the commits of the next transaction, oldest first. No two of a group may touch the same run or take the
// same message: the later one waits for the next group, and so does what follows it there.
func pick(group, waiting []*entry) (picked, rest []*entry) {
	touched := make(map[string]bool, 2*min(len(waiting), groupCommits))
	rest = waiting[:0]
	bytes := 0
	for i, e := range waiting {
		if len(group) == groupCommits || len(group) > 0 && bytes+e.bytes > groupBytes {
			return group, append(rest, waiting[i:]...)
		}
		free := !slices.ContainsFunc(e.keys, func(key string) bool { return touched[key] })
		for _, key := range e.keys {
			touched[key] = true
		}
		if free {
			group, bytes = append(group, e), bytes+e.bytes
		} else {
			rest = append(rest, e)
		}
	}
	return group, rest
}
