package bide

import "fmt"

// Items returns the texts of the items of the list at path, without copying those that were written
// one by one: the way to look through a long list that grows by appending. Nothing at path is an empty list. It
// fails when the path is malformed or leads to something else.
func (v Vars) Items(path string) ([]JSON, error) {
	segs, err := parsePath(path)
	if err != nil {
		return nil, err
	}
	n := v.root
	for i, seg := range segs {
		if n == nil {
			return nil, nil
		}
		if n.kind == 0 {
			raw, ok := seek(n.raw, segs[i:])
			if !ok {
				return nil, nil
			}
			n = leaf(raw)
			break
		}
		n = n.child(seg)
	}
	if n == nil {
		return nil, nil
	}
	if n = n.open(); n.kind != '[' {
		return nil, fmt.Errorf("vars %q: there is %s, not a list", path, kindName(n.text()))
	}
	items := make([]JSON, len(n.items))
	for i, item := range n.items {
		items[i] = item.text()
	}
	return items, nil
}
