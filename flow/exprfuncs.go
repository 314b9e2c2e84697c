package flow

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// signature says how many arguments a function takes.
type signature struct{ min, max int }

// functions are those that expressions may call, besides the ones with a predicate.
var functions = map[string]signature{
	"len": {1, 1}, "type": {1, 1}, "string": {1, 1}, "int": {1, 1}, "float": {1, 1},
	"abs": {1, 1}, "floor": {1, 1}, "ceil": {1, 1}, "round": {1, 1}, "min": {1, 1000}, "max": {1, 1000},
	"trim": {1, 1}, "upper": {1, 1}, "lower": {1, 1}, "split": {2, 2}, "join": {1, 2}, "replace": {3, 3},
	"keys": {1, 1}, "values": {1, 1}, "first": {1, 1}, "last": {1, 1}, "reverse": {1, 1}, "sort": {1, 1}, "uniq": {1, 1},
	"concat": {1, 1000}, "flatten": {1, 1}, "merge": {1, 1000}, "said": {1, 1}, "toJSON": {1, 1}, "fromJSON": {1, 1}, "mean": {1, 1},
}

func (c *exprCompiler) call(n ast.Node, name string, args []ast.Node) eval {
	sig, isPredicate := predicates[name]
	if !isPredicate {
		var ok bool
		if sig, ok = functions[name]; !ok {
			return c.unknown(n, name)
		}
	}
	if len(args) < sig.min || len(args) > sig.max {
		return c.fail(n, "%s takes %s, not %d", name, sig, len(args))
	}
	if isPredicate {
		return c.predicate(name, args)
	}
	values := c.nodes(args)
	return func(f *frame) (any, error) {
		in := make([]any, len(values))
		for i, value := range values {
			var err error
			if in[i], err = value(f); err != nil {
				return nil, err
			}
		}
		out, err := f.apply(name, in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return out, nil
	}
}

func (c *exprCompiler) unknown(n ast.Node, name string) eval {
	c.fail(n, "there is no function %s", name)
	if name == "secret" {
		c.err.message = `secret("name") must be the whole of its {{ }}`
	}
	if c.err.word == "" {
		c.err.word, c.err.names = name, slices.Concat(slices.Collect(maps.Keys(functions)), slices.Collect(maps.Keys(predicates)))
	}
	return nil
}

// String returns "1 argument" or "2 to 3 arguments".
func (s signature) String() string {
	switch {
	case s.min == 1 && s.max == 1:
		return "1 argument"
	case s.min == s.max:
		return fmt.Sprintf("%d arguments", s.min)
	case s.max == 1000:
		return fmt.Sprintf("%d arguments or more", s.min)
	}
	return fmt.Sprintf("%d to %d arguments", s.min, s.max)
}

// apply carries out a function of values.
func (f *frame) apply(name string, args []any) (any, error) {
	switch name {
	case "trim", "upper", "lower", "split", "replace":
		return f.text(name, args)
	case "int", "float", "abs", "floor", "ceil", "round":
		return round(name, args[0])
	case "min", "max", "mean", "first", "last", "reverse", "sort", "uniq", "join", "concat", "flatten":
		return f.lists(name, args)
	}
	switch v := args[0]; name {
	case "len":
		return length(v)
	case "type":
		return typeOf(v), nil
	case "string":
		s, err := text(v)
		return s, errors.Join(err, f.made(len(s)))
	case "said":
		s := said(v)
		return s, f.made(len(s))
	case "toJSON":
		raw, err := encode(v)
		return string(raw), errors.Join(err, f.made(len(raw)))
	case "fromJSON":
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("a string is needed, not %s", describe(v))
		}
		if err := f.made(4 * len(s)); err != nil {
			return nil, err
		}
		return decode([]byte(s))
	case "merge":
		return f.merge(args)
	}
	object, ok := args[0].(map[string]any)
	if !ok && args[0] != nil {
		return nil, fmt.Errorf("an object is needed, not %s", describe(args[0]))
	}
	out := make([]any, 0, len(object))
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if name == "keys" {
			out = append(out, key)
		} else {
			out = append(out, object[key])
		}
	}
	return out, f.made(16 * len(out))
}

func length(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return int64(0), nil
	case string:
		return int64(len([]rune(v))), nil
	case []any:
		return int64(len(v)), nil
	case map[string]any:
		return int64(len(v)), nil
	}
	return nil, fmt.Errorf("%s has no length", describe(v))
}

func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "nil"
	case bool:
		return "bool"
	case string:
		return "string"
	case []any:
		return "list"
	case map[string]any:
		return "object"
	}
	return "number"
}

func (f *frame) merge(args []any) (any, error) {
	out := map[string]any{}
	for _, v := range args {
		object, ok := v.(map[string]any)
		if !ok && v != nil {
			return nil, fmt.Errorf("an object is needed, not %s", describe(v))
		}
		maps.Copy(out, object)
	}
	return out, f.made(48 * len(out))
}

// text carries out the functions of strings.
func (f *frame) text(name string, args []any) (any, error) {
	in := make([]string, len(args))
	for i, v := range args {
		var ok bool
		if in[i], ok = v.(string); !ok {
			return nil, fmt.Errorf("a string is needed, not %s", describe(v))
		}
	}
	size := len(in[0])
	switch name {
	case "trim":
		return strings.TrimSpace(in[0]), f.made(size)
	case "upper":
		return strings.ToUpper(in[0]), f.made(size)
	case "lower":
		return strings.ToLower(in[0]), f.made(size)
	case "split":
		parts := strings.Split(in[0], in[1])
		out := make([]any, len(parts))
		for i, p := range parts {
			out[i] = p
		}
		return out, f.made(32 * len(out))
	}
	if err := f.made(size + strings.Count(in[0], in[1])*len(in[2])); err != nil {
		return nil, err
	}
	return strings.ReplaceAll(in[0], in[1], in[2]), nil
}

// round carries out the functions of one number; int and float read strings too.
func round(name string, v any) (any, error) {
	if s, ok := v.(string); ok && (name == "int" || name == "float") {
		n := number(s)
		if n == "" {
			return nil, fmt.Errorf("%s is not a number", describe(v))
		}
		v = fromNumber(n)
	}
	if i, ok := v.(int64); ok && name != "float" {
		if name == "abs" && i < 0 {
			return arithmetic("-", int64(0), i)
		}
		return i, nil
	}
	x, err := float(v)
	if err != nil {
		return nil, err
	}
	switch name {
	case "float":
		return x, nil
	case "abs":
		return math.Abs(x), nil
	case "floor":
		x = math.Floor(x)
	case "ceil":
		x = math.Ceil(x)
	case "round":
		x = math.Round(x)
	default:
		x = math.Trunc(x)
	}
	if math.Abs(x) >= 1<<63 {
		return nil, errOverflow
	}
	return int64(x), nil
}

// lists carries out the functions of lists.
func (f *frame) lists(name string, args []any) (any, error) {
	if (name == "min" || name == "max") && len(args) > 1 {
		args = []any{args}
	}
	if name == "concat" {
		args = []any{args}
		name = "flatten"
	}
	list, err := asList(args[0])
	if err != nil {
		return nil, err
	}
	if err := f.made(16 * len(list)); err != nil {
		return nil, err
	}
	switch name {
	case "first", "last":
		if len(list) == 0 {
			return nil, nil
		}
		return list[map[string]int{"first": 0, "last": len(list) - 1}[name]], nil
	case "reverse":
		list = slices.Clone(list)
		slices.Reverse(list)
		return list, nil
	case "join":
		return f.join(list, args[1:])
	case "flatten":
		return f.flatten(list)
	case "uniq":
		return f.uniq(list)
	case "mean":
		return mean(list)
	}
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	if err := f.sort(order, func(a, b int) (int, error) { return compare(list[a], list[b]) }); err != nil {
		return nil, err
	}
	out := make([]any, len(list))
	for i, k := range order {
		out[i] = list[k]
	}
	switch {
	case name == "sort":
		return out, nil
	case len(out) == 0:
		return nil, nil
	case name == "min":
		return out[0], nil
	}
	return out[len(out)-1], nil
}

func mean(list []any) (any, error) {
	if len(list) == 0 {
		return nil, nil
	}
	total := 0.0
	for _, v := range list {
		x, err := float(v)
		if err != nil {
			return nil, err
		}
		total += x
	}
	return total / float64(len(list)), nil
}

func (f *frame) join(list, rest []any) (any, error) {
	by := ""
	if len(rest) > 0 {
		var ok bool
		if by, ok = rest[0].(string); !ok {
			return nil, fmt.Errorf("the separator is a string, not %s", describe(rest[0]))
		}
	}
	parts := make([]string, len(list))
	for i, v := range list {
		var err error
		if parts[i], err = text(v); err == nil {
			err = f.made(len(parts[i]) + len(by))
		}
		if err != nil {
			return nil, err
		}
	}
	return strings.Join(parts, by), nil
}

func (f *frame) flatten(list []any) (any, error) {
	out := []any{}
	for _, v := range list {
		if inner, ok := v.([]any); ok {
			out = append(out, inner...)
		} else if v != nil {
			out = append(out, v)
		}
		if len(out) > maxBytes/16 {
			return nil, errBytes
		}
	}
	return out, f.made(16 * len(out))
}

func (f *frame) uniq(list []any) (any, error) {
	out := []any{}
	for _, v := range list {
		has, err := f.contains(out, v)
		if err != nil {
			return nil, err
		}
		if !has {
			out = append(out, v)
		}
	}
	return out, nil
}

// text is how a value stands in a string: a string as it is, nothing as nothing, others as JSON.
func text(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	}
	raw, err := encode(v)
	return string(raw), err
}

// said is the text of a model's answer, without its reasoning; of anything else, nothing.
func said(v any) string {
	answer, ok := v.(map[string]any)
	if !ok {
		return ""
	}
	parts, ok := answer["parts"].([]any)
	if !ok {
		return ""
	}
	var b strings.Builder
	for _, part := range parts {
		p, ok := part.(map[string]any)
		if text, is := p["text"].(string); ok && is && p["type"] == "text" {
			b.WriteString(text)
		}
	}
	return b.String()
}
