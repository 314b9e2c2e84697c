package ledgertest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
)

// flip changes one field of a record's text, so that it is still JSON, or reports that it has none.
func flip(raw, _ []byte, field string) ([]byte, bool) {
	at := bytes.Index(raw, []byte(`"`+field+`":`))
	if field != "seq" {
		at = bytes.Index(raw, []byte(`,"`+field+`":`)) + 1
	}
	if at < 0 || at == 0 && field != "seq" {
		return nil, false
	}
	out := bytes.Clone(raw)
	from := at + len(field) + 3
	for i := from; i < len(out); i++ {
		switch c := out[i]; {
		case c >= '0' && c < '9', c >= 'a' && c < 'f':
			out[i]++
			return out, true
		case c == '9':
			out[i] = '8'
			return out, true
		case c == ',' && field != "data" && field != "sealed":
			return nil, false
		}
	}
	return nil, false
}

// drop removes one field of a record's text.
func drop(raw, _ []byte, field string) ([]byte, bool) {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || m[field] == nil {
		return nil, false
	}
	delete(m, field)
	return write(m), true
}

// swap exchanges a field with that of another record.
func swap(raw, other []byte, field string) ([]byte, bool) {
	var m, o map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || json.Unmarshal(other, &o) != nil || bytes.Equal(m[field], o[field]) || o[field] == nil {
		return nil, false
	}
	m[field] = o[field]
	return write(m), true
}

// shorten takes something away from the end of a field's value.
func shorten(raw, _ []byte, field string) ([]byte, bool) {
	return revalue(raw, field, func(v json.RawMessage) json.RawMessage {
		switch {
		case v[0] == '"' && len(v) > 3 && v[len(v)-3] != '\\':
			return slices.Concat(v[:len(v)-2], []byte(`"`))
		case v[0] == '{':
			var m map[string]json.RawMessage
			if json.Unmarshal(v, &m) != nil || len(m) == 0 {
				return nil
			}
			delete(m, slices.Max(slices.Collect(maps.Keys(m))))
			return bide.Must(json.Marshal(m))
		case v[0] >= '0' && v[0] <= '9' && len(v) > 1:
			return v[:len(v)-1]
		}
		return nil
	})
}

// extend adds something to the end of a field's value.
func extend(raw, _ []byte, field string) ([]byte, bool) {
	return revalue(raw, field, func(v json.RawMessage) json.RawMessage {
		switch {
		case v[0] == '"':
			return slices.Concat(v[:len(v)-1], []byte(`0"`))
		case v[0] == '{' && len(v) > 2:
			return slices.Concat(v[:len(v)-1], []byte(`,"more":1}`))
		case v[0] >= '0' && v[0] <= '9':
			return slices.Concat(v, []byte("0"))
		}
		return nil
	})
}

// revalue gives a field another value, or reports that it has none.
func revalue(raw []byte, field string, change func(json.RawMessage) json.RawMessage) ([]byte, bool) {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || m[field] == nil {
		return nil, false
	}
	v := change(m[field])
	if v == nil {
		return nil, false
	}
	m[field] = v
	return write(m), true
}

// write makes a record's text of its fields, in their order.
func write(m map[string]json.RawMessage) []byte {
	var parts []string
	for _, name := range Fields {
		if m[name] != nil {
			parts = append(parts, fmt.Sprintf("%q:%s", name, m[name]))
		}
	}
	return []byte("{" + strings.Join(parts, ",") + "}")
}

var (
	seqField  = regexp.MustCompile(`^\{"seq":\d+`)
	prevField = regexp.MustCompile(`"prev":"[0-9a-f]{64}"`)
)

// rechain numbers records anew and gives each the hash of the one before, as somebody would who can write to the store.
func rechain(records [][]byte) (out [][]byte) {
	var prev [32]byte
	for i, raw := range records {
		raw = seqField.ReplaceAll(raw, fmt.Appendf(nil, `{"seq":%d`, i+1))
		raw = prevField.ReplaceAll(raw, fmt.Appendf(nil, `"prev":"%x"`, prev))
		prev = sha256.Sum256(raw)
		out = append(out, raw)
	}
	return out
}

// RowOf is a row that fits the records, as far as the records can be read.
func RowOf(row bide.RunInfo, records [][]byte) *bide.RunInfo {
	run, err := bide.Fold(func(yield func(bide.Record, error) bool) {
		for _, raw := range records {
			if !yield(bide.ParseRecord(raw)) {
				return
			}
		}
	})
	if err == nil {
		row = run.RunInfo
	}
	row.Seq, row.Head = int64(len(records)), bide.Hash{}
	if len(records) > 0 {
		row.Head = sha256.Sum256(records[len(records)-1])
	}
	return &row
}

// Attack is one change to a run's records, and the place that a fault must name.
type Attack struct {
	Op      string // what was done: one of Ops
	Field   string // of which field; empty for whole records
	Name    string
	Records [][]byte
	Rewrite bool // numbers, chain and row were made to fit
	// From and To are the records in which the fault must be.
	From, To int64
}

// Ops are the ways in which a field is changed, and Fields the fields of a record's text.
var (
	Ops = []struct {
		Name   string
		change func(raw, other []byte, field string) ([]byte, bool)
	}{{"flip", flip}, {"delete", drop}, {"swap", swap}, {"truncate", shorten}, {"append", extend}}
	Fields = []string{"seq", "prev", "at", "kind", "step", "node", "command", "actor", "reason", "sealed", "data"}
)

// Attacks are all changes of the matrix to a run's records: every field, and whole records, as they are and with all
// that follows made to fit.
func Attacks(records [][]byte) (out []Attack) {
	n := int64(len(records))
	add := func(a Attack) {
		made := a
		made.Name, made.Records, made.Rewrite, made.To = a.Name+", the chain made to fit", rechain(a.Records), true, max(n, int64(len(a.Records)))
		for _, a := range []Attack{a, made} {
			if !slices.EqualFunc(a.Records, records, bytes.Equal) { // to make the chain fit may give what was there
				out = append(out, a)
			}
		}
	}
	for i := range records {
		at := int64(i) + 1
		replace := func(op, field string, text []byte) {
			changed := slices.Clone(records)
			changed[i] = text
			add(Attack{Op: op, Field: field, Name: fmt.Sprintf("%s %s of record %d", op, field, at), Records: changed, From: at, To: at})
		}
		for _, field := range Fields {
			for _, op := range Ops {
				if text, ok := op.change(records[i], records[(i+1)%len(records)], field); ok {
					replace(op.Name, field, text)
				}
			}
		}
		whole := func(op string, changed [][]byte, to int64) {
			add(Attack{Op: op, Name: fmt.Sprintf("%s record %d", op, at), Records: changed, From: at, To: to})
		}
		replace("truncate", "", records[i][:len(records[i])-3])
		replace("append", "", append(bytes.Clone(records[i]), ' '))
		whole("delete", slices.Delete(slices.Clone(records), i, i+1), n)
		if i+1 < len(records) {
			changed := slices.Clone(records)
			changed[i], changed[i+1] = changed[i+1], changed[i]
			whole("swap", changed, at+1)
		}
		whole("truncate", slices.Clone(records[:i]), n)
		whole("double", slices.Insert(slices.Clone(records), i, records[i]), n+1)
	}
	add(Attack{Op: "append", Name: "append a record", Records: append(slices.Clone(records), records[n-1]), From: n + 1, To: n + 1})
	return out
}
