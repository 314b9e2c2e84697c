package flow

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"go.starlark.net/starlark"
)

// toStarlark turns a value into one that scripts know.
func toStarlark(v any) (starlark.Value, error) {
	switch v := v.(type) {
	case nil:
		return starlark.None, nil
	case bool:
		return starlark.Bool(v), nil
	case string:
		return starlark.String(v), nil
	case int64:
		return starlark.MakeInt64(v), nil
	case json.Number:
		if i := whole(v); i != nil {
			return starlark.MakeBigInt(i), nil
		}
		f, err := v.Float64()
		return starlark.Float(f), err
	case []any:
		items := make([]starlark.Value, len(v))
		for i := range v {
			var err error
			if items[i], err = toStarlark(v[i]); err != nil {
				return nil, err
			}
		}
		return starlark.NewList(items), nil
	case map[string]any:
		d := starlark.NewDict(len(v))
		for _, name := range sortedNames(v) {
			item, err := toStarlark(v[name])
			if err == nil {
				err = d.SetKey(starlark.String(name), item)
			}
			if err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	return nil, fmt.Errorf("a script cannot take %T", v)
}

// fromStarlark is the inverse. budget counts down the bytes of the result.
func fromStarlark(v starlark.Value, budget *int, depth int) (any, error) {
	if *budget -= 8; *budget < 0 {
		return nil, errors.New("the result is larger than its limit")
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("the result is nested more than %d levels deep", maxDepth)
	}
	switch v := v.(type) {
	case nil, starlark.NoneType:
		return nil, nil
	case starlark.Bool:
		return bool(v), nil
	case starlark.String:
		if *budget -= len(v); *budget < 0 {
			return nil, errors.New("the result is larger than its limit")
		}
		return string(v), nil
	case starlark.Int:
		return fromNumber(new(big.Int).Set(v.BigInt()).String()), nil
	case starlark.Float:
		return float64(v), nil
	case *starlark.Dict:
		out := map[string]any{}
		for _, item := range v.Items() {
			name, ok := starlark.AsString(item[0])
			if !ok {
				return nil, fmt.Errorf("the result has a dict whose key is %s, not a string", item[0])
			}
			var err error
			if out[name], err = fromStarlark(item[1], budget, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case starlark.Iterable:
		out := []any{}
		it := v.Iterate()
		defer it.Done()
		for x := starlark.Value(nil); it.Next(&x); {
			item, err := fromStarlark(x, budget, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, item)
		}
		return out, nil
	}
	return nil, fmt.Errorf("the result cannot hold a %s", v.Type())
}
