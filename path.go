package bide

import (
	"fmt"
	"strconv"
	"strings"
)

// listIndex reads seg as an index: decimal digits without leading zeros.
func listIndex(seg string) (int, bool) {
	i, err := strconv.Atoi(seg)
	return i, err == nil && i >= 0 && strconv.Itoa(i) == seg
}

func parsePath(path string) ([]string, error) {
	if !strings.ContainsRune(path, '\\') {
		segs := strings.Split(path, ".")
		for _, s := range segs {
			if s == "" {
				return nil, fmt.Errorf("path %q has an empty part", path)
			}
		}
		return segs, nil
	}
	var segs []string
	var cur strings.Builder
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '\\':
			if i++; i == len(path) {
				return nil, fmt.Errorf("path %q ends in a backslash", path)
			}
			cur.WriteByte(path[i])
		case '.':
			if cur.Len() == 0 {
				return nil, fmt.Errorf("path %q has an empty part", path)
			}
			segs = append(segs, cur.String())
			cur.Reset()
		default:
			cur.WriteByte(path[i])
		}
	}
	if cur.Len() == 0 {
		return nil, fmt.Errorf("path %q has an empty part", path)
	}
	return append(segs, cur.String()), nil
}

// joinPath is the inverse of parsePath.
func joinPath(segs []string) string {
	esc := strings.NewReplacer(`\`, `\\`, `.`, `\.`)
	out := make([]string, len(segs))
	for i, s := range segs {
		out[i] = esc.Replace(s)
	}
	return strings.Join(out, ".")
}
