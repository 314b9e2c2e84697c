package bide

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// JSON is one JSON value as text: compact, valid UTF-8, no duplicate object
// names. Numbers keep the text they were written with (K10).
type JSON = stdjson.RawMessage

// encoding writes Go values the way encoding/json does, but refuses what
// encoding/json would silently repair: invalid UTF-8 and duplicate names.
var encoding = json.JoinOptions(
	jsonv1.DefaultOptionsV1(),
	jsontext.AllowInvalidUTF8(false),
	jsontext.AllowDuplicateNames(false),
	jsontext.EscapeForHTML(false),
	jsontext.EscapeForJS(false),
	json.WithMarshalers(json.MarshalToFunc(func(enc *jsontext.Encoder, n stdjson.Number) error {
		if n == "" {
			n = "0"
		}
		return enc.WriteValue(jsontext.Value(n))
	})),
)

// encode turns a Go value into JSON. It fails on what JSON cannot say: NaN,
// cycles, functions, invalid UTF-8.
func encode(v any) (JSON, error) {
	switch v := v.(type) {
	case nil:
		return JSON("null"), nil
	case JSON:
		return compact(v)
	case jsontext.Value:
		return compact(JSON(v))
	}
	b, err := json.Marshal(v, encoding)
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return b, nil
}

// compact checks that b is one valid JSON value and returns it without spaces.
// It does not keep or change b.
func compact(b JSON) (JSON, error) {
	if len(bytes.TrimSpace(b)) == 0 {
		return JSON("null"), nil
	}
	v := jsontext.Value(bytes.Clone(b))
	if err := v.Format(encoding); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return JSON(v), nil
}

// decode reads JSON into a Go value as encoding/json does, except that a number
// read into an any stays a json.Number and keeps its text.
func decode(b JSON, into any) error {
	dec := stdjson.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// encodeOwn and decodeOwn are for the kernel's own types, whose values are
// known to be valid.
func encodeOwn(v any) ([]byte, error)    { return json.Marshal(v, encoding) }
func decodeOwn(b []byte, into any) error { return json.Unmarshal(b, into) }
func appendString(b []byte, s string) []byte {
	out, err := jsontext.AppendQuote(b, s)
	if err != nil { // invalid UTF-8 was replaced; AppendQuote still wrote a valid string
		return out
	}
	return out
}

// sameJSON reports whether two values are equal as JSON: object order and the
// spelling of strings do not matter, the text of numbers does.
func sameJSON(a, b JSON) bool {
	if bytes.Equal(a, b) {
		return true
	}
	opts := []jsontext.Options{jsontext.ReorderRawObjects(true)}
	x, y := jsontext.Value(bytes.Clone(a)), jsontext.Value(bytes.Clone(b))
	return x.Format(opts...) == nil && y.Format(opts...) == nil && bytes.Equal(x, y)
}

// Duration is a time.Duration whose JSON is a Go-style string such as "30s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// String returns the Go-style form, such as "1m30s".
func (d Duration) String() string { return time.Duration(d).String() }
