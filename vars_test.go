package bide

import (
	"encoding/json"
	"reflect"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// Vars under random writes is held against a plain Go value under the same
// writes; what was handed out before must not change.
func TestVarsAgreeWithAPlainDocumentAndViewsStayAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var v Vars
		plain := any(map[string]any{})
		type shot struct {
			view Vars
			text string
		}
		var shots []shot
		seg := rapid.SampledFrom([]string{"a", "b", "c", "0", "1", "x.y"})
		value := rapid.SampledFrom([]string{`1`, `"s"`, `null`, `{}`, `[]`, `{"a":{"b":[1,2]},"0":7}`, `[{"a":1},[2]]`, `9007199254740993`})
		for range rapid.IntRange(1, 40).Draw(t, "writes") {
			var ws []Write
			for range rapid.IntRange(1, 3).Draw(t, "together") {
				ws = append(ws, Write{
					Op:    rapid.SampledFrom([]Op{OpSet, OpAppend, OpAppend, OpDelete}).Draw(t, "op"),
					Path:  joinPath(rapid.SliceOfN(seg, 1, 3).Draw(t, "path")),
					Value: JSON(value.Draw(t, "value")),
				})
			}
			want, ok := plain, true
			for _, w := range ws {
				segs, err := parsePath(w.Path)
				if err != nil {
					t.Fatal(err)
				}
				if want, ok = plainWrite(clone(want), w.Op, segs, w.Value); !ok {
					break
				}
			}
			err := v.apply(ws...)
			if (err == nil) != ok {
				t.Fatalf("%v on %s = %v, the plain document says ok=%v", ws, v, err, ok)
			}
			if ok {
				plain = want
			}
			if got := parse(v.String()); !reflect.DeepEqual(got, plain) {
				t.Fatalf("after %v: %s, want %v", ws, v, plain)
			}
			if rapid.Bool().Draw(t, "view") {
				shots = append(shots, shot{v.view(), v.String()})
			}
			for _, s := range shots {
				if s.view.String() != s.text {
					t.Fatalf("a view changed from %s to %s", s.text, s.view)
				}
			}
		}
		for _, path := range []string{"a", "a.0", "b.a.b.1", `x\.y`, "c.1.0"} {
			segs, _ := parsePath(path)
			want, ok := plainGet(plain, segs)
			raw, has, err := v.Raw(path)
			if err != nil || has != ok || ok && !reflect.DeepEqual(parse(string(raw)), want) {
				t.Fatalf("Raw(%q) = %s, %v, %v, want %v, %v in %s", path, raw, has, err, want, ok, v)
			}
		}
	})
}

func parse(text string) (v any) {
	if err := decode(JSON(text), &v); err != nil {
		panic(err)
	}
	return v
}

func clone(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return parse(string(b))
}

func plainGet(v any, segs []string) (any, bool) {
	for _, s := range segs {
		switch c := v.(type) {
		case map[string]any:
			next, ok := c[s]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, ok := listIndex(s)
			if !ok || i >= len(c) {
				return nil, false
			}
			v = c[i]
		default:
			return nil, false
		}
	}
	return v, true
}

func plainWrite(v any, op Op, segs []string, raw JSON) (any, bool) {
	if len(segs) == 0 {
		if op == OpSet {
			return parse(string(raw)), true
		}
		list, ok := v.([]any) // append
		return append(list, parse(string(raw))), ok
	}
	switch c := v.(type) {
	case map[string]any:
		next, has := c[segs[0]]
		if op == OpDelete {
			if !has {
				return c, true
			}
			if len(segs) == 1 {
				delete(c, segs[0])
				return c, true
			}
		}
		if !has {
			next = any(map[string]any{})
			if len(segs) == 1 && op == OpAppend {
				next = []any{}
			}
		}
		next, ok := plainWrite(next, op, segs[1:], raw)
		c[segs[0]] = next
		return c, ok
	case []any:
		i, ok := listIndex(segs[0])
		if !ok || i >= len(c) {
			return v, false
		}
		if op == OpDelete && len(segs) == 1 {
			return append(c[:i], c[i+1:]...), true
		}
		next, ok := plainWrite(c[i], op, segs[1:], raw)
		c[i] = next
		return c, ok
	}
	return v, false
}

func TestWideObjectsAndLongListsReadAndWrite(t *testing.T) {
	var v Vars
	for i := range 100 {
		if err := v.apply(Write{OpSet, "o.k" + strconv.Itoa(i), JSON(strconv.Itoa(i))}, Write{OpAppend, "l", JSON(strconv.Itoa(i))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.apply(Write{OpDelete, "o.k5", nil}); err != nil {
		t.Fatal(err)
	}
	if v.Has("o.k5") || !v.Has("o.k99") || !v.Has("l.99") || v.Has("l.100") {
		t.Errorf("wrong members in %s", v)
	}
	if got, err := Get[int](v, "o.k77"); got != 77 || err != nil {
		t.Errorf("Get(o.k77) = %d, %v", got, err)
	}
}

func TestWritesThatFailTogetherChangeNothing(t *testing.T) {
	var v Vars
	if err := v.apply(Write{Op: OpSet, Path: "c", Value: JSON(`[1,2]`)}); err != nil {
		t.Fatal(err)
	}
	// Without its first item, the list has no item 1.
	err := v.apply(Write{Op: OpSet, Path: "a", Value: JSON("1")}, Write{Op: OpDelete, Path: "c.0"}, Write{Op: OpSet, Path: "c.1", Value: JSON("3")})
	if err == nil || v.String() != `{"c":[1,2]}` {
		t.Errorf("writes of which one cannot be made = %v, and leave %s", err, v)
	}
}

func TestAppendingIsFlat(t *testing.T) {
	// The thousandth append allocates what the tenth did, with a view handed out between each.
	var v Vars
	appendAt := func(n int) float64 {
		for i := 0; i < n; i++ {
			if err := v.apply(Write{OpAppend, "l", JSON(`"x"`)}); err != nil {
				t.Fatal(err)
			}
		}
		return testing.AllocsPerRun(50, func() {
			v.view()
			if err := v.apply(Write{OpAppend, "l", JSON(`"x"`)}); err != nil {
				t.Fatal(err)
			}
		})
	}
	few, many := appendAt(10), appendAt(5000)
	if many > few+1 {
		t.Errorf("an append allocates %v times in a list of 5000, %v in one of 10", many, few)
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"a.b.0", `a\.b.c`, "", ".", "a..b", `\`, `a\\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		segs, err := parsePath(path)
		if err != nil {
			return
		}
		again, err := parsePath(joinPath(segs))
		if err != nil || !reflect.DeepEqual(segs, again) {
			t.Errorf("parsePath(joinPath(%q)) = %q, %v", segs, again, err)
		}
	})
}

func FuzzVarsRaw(f *testing.F) {
	f.Add(`{"a":[1,{"b":"c"}]}`, "a.1.b")
	f.Fuzz(func(t *testing.T, doc, path string) {
		raw, err := compact(JSON(doc))
		if err != nil || raw[0] != '{' {
			return
		}
		var v Vars
		if err := v.UnmarshalJSON([]byte(doc)); err != nil {
			t.Fatal(err)
		}
		text, ok, err := v.Raw(path)
		if err != nil || !ok {
			return
		}
		var got any
		if err := decode(text, &got); err != nil {
			t.Errorf("Raw(%q) of %s is %q: %v", path, doc, text, err)
		}
	})
}
