package flow

import (
	"fmt"
	"slices"

	"github.com/expr-lang/expr/ast"
)

// predicates are the functions whose second argument is evaluated for each item of a list.
var predicates = map[string]signature{
	"all": {2, 2}, "any": {2, 2}, "none": {2, 2}, "one": {2, 2}, "filter": {2, 2}, "map": {2, 2}, "count": {1, 2}, "sum": {1, 2},
	"find": {2, 2}, "findIndex": {2, 2}, "groupBy": {2, 2}, "sortBy": {2, 3}, "reduce": {2, 3},
}

// predicate compiles a function that goes over a list.
func (c *exprCompiler) predicate(name string, args []ast.Node) eval {
	list := c.node(args[0])
	test := eval(nil)
	if len(args) > 1 {
		p, ok := args[1].(*ast.PredicateNode)
		if !ok {
			return c.fail(args[1], "%s needs a predicate, as in %s(list, # > 1)", name, name)
		}
		c.depth++
		test = c.node(p.Node)
		c.depth--
	}
	extra := constant(nil)
	if len(args) > 2 {
		extra = c.node(args[2])
	}
	if test == nil {
		test = func(f *frame) (any, error) { return f.loops[len(f.loops)-1].item, nil }
	}
	return func(f *frame) (any, error) {
		v, err := list(f)
		if err != nil {
			return nil, err
		}
		items, err := asList(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		last, err := extra(f)
		if err != nil {
			return nil, err
		}
		out, err := f.over(name, items, test, last)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return out, nil
	}
}

// asList takes nothing for an empty list.
func asList(v any) ([]any, error) {
	list, ok := v.([]any)
	if !ok && v != nil {
		return nil, fmt.Errorf("a list is needed, not %s", describe(v))
	}
	return list, nil
}

// each evaluates test for every item until it says stop.
func (f *frame) each(items []any, test eval, do func(i int, v any) (stop bool, err error)) error {
	f.loops = append(f.loops, pointer{})
	defer func() { f.loops = f.loops[:len(f.loops)-1] }()
	at := len(f.loops) - 1
	for i, item := range items {
		f.loops[at].item, f.loops[at].index = item, i
		if err := f.visit(); err != nil {
			return err
		}
		v, err := test(f)
		if err != nil {
			return err
		}
		if stop, err := do(i, v); err != nil || stop {
			return err
		}
	}
	return nil
}

// over carries out a function that goes over a list.
func (f *frame) over(name string, items []any, test eval, extra any) (any, error) {
	switch name {
	case "map", "sum", "groupBy", "sortBy", "reduce":
		return f.gather(name, items, test, extra)
	}
	var hits []any
	first, n := -1, 0
	err := f.each(items, test, func(i int, v any) (bool, error) {
		ok, err := truth(v, nil)
		if ok {
			if n++; first < 0 {
				first = i
			}
			if name == "filter" {
				hits = append(hits, items[i])
			}
		}
		return name == "all" && !ok || (name == "any" || name == "none" || name == "find" || name == "findIndex") && ok, err
	})
	if err != nil {
		return nil, err
	}
	switch name {
	case "all":
		return n == len(items), nil
	case "any":
		return n > 0, nil
	case "none":
		return n == 0, nil
	case "one":
		return n == 1, nil
	case "count":
		return int64(n), nil
	case "findIndex":
		return int64(first), nil
	case "find":
		if first < 0 {
			return nil, nil
		}
		return items[first], nil
	}
	if hits == nil {
		hits = []any{}
	}
	return hits, f.made(16 * len(hits))
}

// gather carries out the functions that use every value of their predicate.
func (f *frame) gather(name string, items []any, test eval, extra any) (any, error) {
	if name == "reduce" {
		return f.reduce(items, test, extra)
	}
	values := make([]any, 0, len(items))
	if err := f.made(16 * len(items)); err != nil {
		return nil, err
	}
	err := f.each(items, test, func(_ int, v any) (bool, error) { values = append(values, v); return false, nil })
	if err != nil {
		return nil, err
	}
	switch name {
	case "sum":
		var total any = int64(0)
		for _, v := range values {
			if total, err = arithmetic("+", total, v); err != nil {
				return nil, err
			}
		}
		return total, nil
	case "groupBy":
		groups := map[string]any{}
		for i, v := range values {
			key, ok := v.(string)
			if !ok {
				return nil, fmt.Errorf("the name of a group is a string, not %s", describe(v))
			}
			group, _ := groups[key].([]any)
			groups[key] = append(group, items[i])
		}
		return groups, nil
	case "sortBy":
		order := make([]int, len(items))
		for i := range order {
			order[i] = i
		}
		if extra != nil && extra != "asc" && extra != "desc" {
			return nil, fmt.Errorf(`the order is "asc" or "desc", not %s`, describe(extra))
		}
		err = f.sort(order, func(a, b int) (int, error) {
			d, err := compare(values[a], values[b])
			if extra == "desc" {
				d = -d
			}
			return d, err
		})
		out := make([]any, len(items))
		for i, k := range order {
			out[i] = items[k]
		}
		return out, err
	}
	return values, nil
}

func (f *frame) reduce(items []any, test eval, acc any) (any, error) {
	if acc == nil && len(items) > 0 {
		acc, items = items[0], items[1:]
	}
	f.loops = append(f.loops, pointer{})
	defer func() { f.loops = f.loops[:len(f.loops)-1] }()
	at := len(f.loops) - 1
	for i, item := range items {
		if err := f.visit(); err != nil {
			return nil, err
		}
		f.loops[at] = pointer{item, i, acc}
		var err error
		if acc, err = test(f); err != nil {
			return nil, err
		}
	}
	return acc, nil
}

// sort orders list by a comparison that may fail, and counts its work.
func (f *frame) sort(list []int, less func(a, b int) (int, error)) (err error) {
	slices.SortStableFunc(list, func(a, b int) int {
		if err == nil {
			err = f.visit()
		}
		d := 0
		if err == nil {
			d, err = less(a, b)
		}
		return d
	})
	return err
}
