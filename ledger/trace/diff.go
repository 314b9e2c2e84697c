package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/bide-dev/bide"
)

// Diff is how two runs differ.
type Diff struct {
	A Side `json:"a"`
	B Side `json:"b"`
	// Common is how many records they share byte for byte in effect: kind, step, node and data, from the first on; of a fork,
	// those of its origin up to where it was forked.
	Common int64 `json:"common"`
	// Fork says that one was forked from the other, and at which record.
	Fork *bide.Origin `json:"fork,omitempty"`
	// First are the first records that differ; one of them is nil when that run ends there.
	FirstA *bide.Record `json:"first_a,omitempty"`
	FirstB *bide.Record `json:"first_b,omitempty"`
	// Changes are the differences of the vars as they are at the ends of both, by path.
	Changes []Change `json:"changes,omitempty"`
}

// Side is one of two runs.
type Side struct {
	bide.RunInfo
	Output bide.JSON `json:"output,omitempty"`
}

// Change is a value that two runs have otherwise; nil is none.
type Change struct {
	Path string    `json:"path"`
	A    bide.JSON `json:"a,omitempty"`
	B    bide.JSON `json:"b,omitempty"`
}

// Compare returns how two runs differ. Ids and times do not count. It fails with ErrNotFound.
func Compare(a, b *bide.Run, recordsA, recordsB iter.Seq2[bide.Record, error]) (*Diff, error) {
	d := &Diff{A: Side{a.RunInfo, a.Output}, B: Side{b.RunInfo, b.Output}}
	nextA, stopA := iter.Pull2(recordsA)
	defer stopA()
	nextB, stopB := iter.Pull2(recordsB)
	defer stopB()
	if err := d.records(nextA, nextB); err != nil {
		return nil, err
	}
	x, err := a.Vars.MarshalJSON()
	if err != nil {
		return nil, err
	}
	y, err := b.Vars.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return d, d.values("", x, y)
}

type pull func() (bide.Record, error, bool)

// records finds the first records that differ.
func (d *Diff) records(nextA, nextB pull) error {
	a, err, moreA := nextA()
	if err != nil {
		return err
	}
	b, err, moreB := nextB()
	if err != nil {
		return err
	}
	switch {
	case moreA && moreB && forkOf(&b, d.A.ID) != nil:
		d.Fork = forkOf(&b, d.A.ID)
		a, moreA, err = d.skip(nextA)
		if err == nil {
			b, err, moreB = nextB()
		}
	case moreA && moreB && forkOf(&a, d.B.ID) != nil:
		d.Fork = forkOf(&a, d.B.ID)
		b, moreB, err = d.skip(nextB)
		if err == nil {
			a, err, moreA = nextA()
		}
	}
	for err == nil && moreA && moreB && d.same(&a, &b) {
		d.Common++
		var errB error
		a, err, moreA = nextA()
		b, errB, moreB = nextB()
		err = errors.Join(err, errB)
	}
	if moreA {
		d.FirstA = &a
	}
	if moreB {
		d.FirstB = &b
	}
	return err
}

// forkOf returns where a fork begins, when the record begins one of that run.
func forkOf(rec *bide.Record, of string) *bide.Origin {
	if rec.Kind != bide.KindRunForked {
		return nil
	}
	data, err := rec.Decode()
	if err != nil {
		return nil
	}
	if o := data.(*bide.RunForked).Origin; o.RunID == of {
		return &o
	}
	return nil
}

// skip reads over the records that a fork shares with its origin.
func (d *Diff) skip(next pull) (rec bide.Record, more bool, err error) {
	for d.Common = 1; d.Common < d.Fork.Seq; d.Common++ {
		if _, err, more = next(); err != nil || !more {
			return rec, false, err
		}
	}
	rec, err, more = next()
	return rec, more, err
}

// same reports whether two records say the same, each of its own run.
func (d *Diff) same(a, b *bide.Record) bool {
	if a.Kind != b.Kind || a.Node != b.Node {
		return false
	}
	x := neutral(a.Data, d.A.ID)
	y := neutral(b.Data, d.B.ID)
	return bytes.Equal(x, y)
}

// neutral is a record's data without the id of its run and without times.
func neutral(data bide.JSON, id string) []byte {
	var v any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return data
	}
	text, err := json.Marshal(strip(v, id))
	if err != nil {
		return data
	}
	return text
}

// times are the members of records that are times.
var times = []string{"at", "created_at", "started_at", "expires_at", "until", "retry_at", "deadline", "since"}

// strip takes times out of a value, and the run's id out of its texts: it stands alone, or before a dot, slash or colon.
func strip(v any, id string) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if slices.Contains(times, name) {
				delete(v, name)
			} else {
				v[name] = strip(member, id)
			}
		}
	case []any:
		for i := range v {
			v[i] = strip(v[i], id)
		}
	case string:
		if rest, ok := strings.CutPrefix(v, id); ok && (rest == "" || strings.ContainsAny(rest[:1], "./:")) {
			return rest
		}
	}
	return v
}

// maxChanges bounds how many differences of vars are told.
const maxChanges = 1000

// values compares two values.
func (d *Diff) values(path string, a, b bide.JSON) error {
	if bytes.Equal(a, b) || len(d.Changes) == maxChanges {
		return nil
	}
	if len(a) > 0 && len(b) > 0 && a[0] == b[0] && a[0] == '{' {
		var x, y map[string]bide.JSON
		if err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y)); err != nil {
			return fmt.Errorf("vars at %q: %w", path, err)
		}
		names := []string{}
		for name := range x {
			names = append(names, name)
		}
		for name := range y {
			if x[name] == nil {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			if err := d.values(strings.TrimPrefix(path+"."+name, "."), x[name], y[name]); err != nil {
				return err
			}
		}
		return nil
	}
	if len(a) > 0 && len(b) > 0 && a[0] == b[0] && a[0] == '[' {
		var x, y []bide.JSON
		if err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y)); err != nil {
			return fmt.Errorf("vars at %q: %w", path, err)
		}
		at := func(list []bide.JSON, i int) bide.JSON {
			if i < len(list) {
				return list[i]
			}
			return nil
		}
		for i := range max(len(x), len(y)) {
			if err := d.values(path+"."+strconv.Itoa(i), at(x, i), at(y, i)); err != nil {
				return err
			}
		}
		return nil
	}
	d.Changes = append(d.Changes, Change{path, a, b})
	return nil
}
