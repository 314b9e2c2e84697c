package flow

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// The values of expressions are nil, bool, string, []any, map[string]any and numbers: int64, float64 from
// calculations, and json.Number for those that neither holds exactly, which keep their text.

func (c *exprCompiler) unary(n *ast.UnaryNode) eval {
	of := c.node(n.Node)
	switch n.Operator {
	case "!", "not":
		return func(f *frame) (any, error) {
			ok, err := truth(of(f))
			return !ok, err
		}
	case "-", "+":
		return func(f *frame) (any, error) {
			v, err := of(f)
			if err != nil {
				return nil, err
			}
			if n.Operator == "+" {
				_, _, err := numbers(v, int64(0), "+")
				return v, err
			}
			return arithmetic("-", int64(0), v)
		}
	}
	return c.fail(n, "the operator %s is not part of the profile", n.Operator)
}

func (c *exprCompiler) binary(n *ast.BinaryNode) eval {
	left, right := c.node(n.Left), c.node(n.Right)
	both := func(do func(f *frame, a, b any) (any, error)) eval {
		return func(f *frame) (any, error) {
			a, err := left(f)
			if err != nil {
				return nil, err
			}
			b, err := right(f)
			if err != nil {
				return nil, err
			}
			return do(f, a, b)
		}
	}
	switch op := n.Operator; op {
	case "and", "&&", "or", "||":
		stop := op == "or" || op == "||"
		return func(f *frame) (any, error) {
			if ok, err := truth(left(f)); err != nil || ok == stop {
				return ok, err
			}
			return wrap(truth(right(f)))
		}
	case "??":
		return func(f *frame) (any, error) {
			if v, err := left(f); err != nil || v != nil {
				return v, err
			}
			return right(f)
		}
	case "==", "!=":
		return both(func(f *frame, a, b any) (any, error) {
			same, err := f.equal(a, b)
			return same == (op == "=="), err
		})
	case "<", "<=", ">", ">=":
		return both(func(_ *frame, a, b any) (any, error) {
			d, err := compare(a, b)
			switch op {
			case "<":
				return d < 0, err
			case "<=":
				return d <= 0, err
			case ">":
				return d > 0, err
			}
			return d >= 0, err
		})
	case "+":
		return both(func(f *frame, a, b any) (any, error) {
			if s, ok := a.(string); ok {
				if t, ok := b.(string); ok {
					return s + t, f.made(len(s) + len(t))
				}
			}
			return arithmetic(op, a, b)
		})
	case "-", "*", "/", "%", "**", "^":
		return both(func(_ *frame, a, b any) (any, error) { return arithmetic(op, a, b) })
	case "..":
		return both(span)
	case "in":
		return both(func(f *frame, a, b any) (any, error) { return f.contains(b, a) })
	case "contains", "startsWith", "endsWith":
		test := map[string]func(a, b string) bool{"contains": strings.Contains, "startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix}[op]
		return both(func(_ *frame, a, b any) (any, error) {
			s, ok := a.(string)
			t, ok2 := b.(string)
			if !ok || !ok2 {
				return nil, fmt.Errorf("%s stands between two strings, not %s and %s", op, describe(a), describe(b))
			}
			return test(s, t), nil
		})
	case "matches":
		return c.matches(n, left)
	}
	return c.fail(n, "the operator %s is not part of the profile", n.Operator)
}

// matches takes a pattern that is written down, so that it is checked when the document is loaded.
func (c *exprCompiler) matches(n *ast.BinaryNode, left eval) eval {
	s, ok := n.Right.(*ast.StringNode)
	if !ok {
		return c.fail(n, "the pattern of matches must be a string in quotes")
	}
	re, err := regexp.Compile(s.Value)
	if err != nil {
		return c.fail(n.Right, "the pattern cannot be used: %v", err)
	}
	return func(f *frame) (any, error) {
		v, err := left(f)
		if err != nil {
			return nil, err
		}
		text, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("matches takes a string, not %s", describe(v))
		}
		f.work += len(text) / 16
		return re.MatchString(text), nil
	}
}

func wrap(ok bool, err error) (any, error) { return ok, err }

// truth is the value of a condition. Nothing counts as false.
func truth(v any, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	switch v := v.(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	}
	return false, fmt.Errorf("a condition is true or false, not %s", describe(v))
}

// describe says what v is, for messages.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case string:
		return fmt.Sprintf("the string %q", shorten(v))
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	case map[string]any:
		return "an object"
	}
	return fmt.Sprint(v)
}

// index reads a member or an item. A member of nothing is nothing.
func index(v, at any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		name, ok := at.(string)
		if !ok {
			return nil, fmt.Errorf("the name of a member is a string, not %s", describe(at))
		}
		return v[name], nil
	case []any:
		i, err := integer(at)
		if err != nil {
			return nil, fmt.Errorf("the index of a list: %w", err)
		}
		if i < 0 {
			i += len(v)
		}
		if i < 0 || i >= len(v) {
			return nil, nil
		}
		return v[i], nil
	}
	return nil, fmt.Errorf("%s has no member %s", describe(v), describe(at))
}

func slice(v, from, to any) (any, error) {
	length := 0
	runes, list := []rune(nil), []any(nil)
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		runes = []rune(v)
		length = len(runes)
	case []any:
		list, length = v, len(v)
	default:
		return nil, fmt.Errorf("a part is taken of a list or a string, not of %s", describe(v))
	}
	bound := func(at any, otherwise int) (int, error) {
		if at == nil {
			return otherwise, nil
		}
		i, err := integer(at)
		if i < 0 {
			i += length
		}
		return max(0, min(i, length)), err
	}
	a, err := bound(from, 0)
	if err != nil {
		return nil, err
	}
	b, err := bound(to, length)
	if err != nil {
		return nil, err
	}
	b = max(a, b)
	if list != nil {
		return list[a:b:b], nil
	}
	return string(runes[a:b]), nil
}

func integer(v any) (int, error) {
	switch v := v.(type) {
	case int64:
		return int(v), nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int(v), nil
		}
	}
	return 0, fmt.Errorf("a whole number is needed, not %s", describe(v))
}

func isNumber(v any) bool {
	switch v.(type) {
	case int64, float64, json.Number:
		return true
	}
	return false
}

func float(v any) (float64, error) {
	switch v := v.(type) {
	case int64:
		return float64(v), nil
	case float64:
		return v, nil
	case json.Number:
		return v.Float64()
	}
	return 0, fmt.Errorf("%s is not a number", describe(v))
}

func numbers(a, b any, op string) (float64, float64, error) {
	x, err := float(a)
	y, err2 := float(b)
	if err != nil || err2 != nil {
		return 0, 0, fmt.Errorf("%s cannot join %s and %s", op, describe(a), describe(b))
	}
	return x, y, nil
}

var errOverflow = errors.New("the result is too large a number")

// arithmetic calculates with whole numbers exactly, and with others as floating point.
func arithmetic(op string, a, b any) (any, error) {
	i, ok := a.(int64)
	j, ok2 := b.(int64)
	if ok && ok2 && strings.Contains("+-*%", op) {
		x, y := big.NewInt(i), big.NewInt(j)
		switch op {
		case "+":
			x.Add(x, y)
		case "-":
			x.Sub(x, y)
		case "*":
			x.Mul(x, y)
		case "%":
			if j == 0 {
				return nil, errors.New("division by zero")
			}
			x.Rem(x, y)
		}
		if !x.IsInt64() {
			return nil, errOverflow
		}
		return x.Int64(), nil
	}
	x, y, err := numbers(a, b, op)
	if err != nil {
		return nil, err
	}
	var out float64
	switch op {
	case "+":
		out = x + y
	case "-":
		out = x - y
	case "*":
		out = x * y
	case "/", "%":
		if y == 0 {
			return nil, errors.New("division by zero")
		}
		if out = x / y; op == "%" {
			out = math.Mod(x, y)
		}
	default:
		out = math.Pow(x, y)
	}
	if math.IsNaN(out) || math.IsInf(out, 0) {
		return nil, errOverflow
	}
	return out, nil
}

// compare orders two numbers or two strings.
func compare(a, b any) (int, error) {
	s, ok := a.(string)
	t, ok2 := b.(string)
	if ok && ok2 {
		return strings.Compare(s, t), nil
	}
	if !isNumber(a) || !isNumber(b) {
		return 0, fmt.Errorf("%s and %s cannot be compared", describe(a), describe(b))
	}
	if x, y := whole(a), whole(b); x != nil && y != nil {
		return x.Cmp(y), nil
	}
	x, y, err := numbers(a, b, "comparison")
	switch {
	case err != nil:
		return 0, err
	case x < y:
		return -1, nil
	case x > y:
		return 1, nil
	}
	return 0, nil
}

// whole returns a number without fraction and exponent exactly, or nil.
func whole(v any) *big.Int {
	switch v := v.(type) {
	case int64:
		return big.NewInt(v)
	case json.Number:
		if len(v) < 1000 {
			if i, ok := new(big.Int).SetString(string(v), 10); ok {
				return i
			}
		}
	}
	return nil
}

func (f *frame) equal(a, b any) (bool, error) {
	if err := f.visit(); err != nil {
		return false, err
	}
	if isNumber(a) && isNumber(b) {
		d, err := compare(a, b)
		return d == 0, err
	}
	switch x := a.(type) {
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		for i := range x {
			if same, err := f.equal(x[i], y[i]); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		for name := range x {
			v, ok := y[name]
			if !ok {
				return false, nil
			}
			if same, err := f.equal(x[name], v); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	}
	switch b.(type) {
	case []any, map[string]any:
		return false, nil
	}
	return reflect.DeepEqual(a, b), nil
}

func (f *frame) contains(in, v any) (bool, error) {
	switch in := in.(type) {
	case nil:
		return false, nil
	case []any:
		for _, item := range in {
			if same, err := f.equal(item, v); err != nil || same {
				return same, err
			}
		}
		return false, nil
	case map[string]any:
		name, ok := v.(string)
		_, has := in[name]
		return ok && has, nil
	}
	return false, fmt.Errorf("in stands before a list or an object, not %s", describe(in))
}

func span(f *frame, a, b any) (any, error) {
	from, err := integer(a)
	if err != nil {
		return nil, err
	}
	to, err := integer(b)
	if err != nil {
		return nil, err
	}
	n := to - from + 1
	if n <= 0 {
		return []any{}, nil
	}
	if n > maxBytes || f.made(24*n) != nil {
		return nil, errBytes
	}
	out := make([]any, n)
	for i := range out {
		out[i] = int64(from + i)
	}
	return out, nil
}
