package flow

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bide-dev/bide"
)

// reading is the state of a run as expressions see it.
type reading struct {
	run   *bide.Run
	cache *cache
}

// read returns the value that a reference stands for.
func (r *reading) read(ref *reference) (any, error) {
	switch {
	case ref.bound.kind == 'i' && ref.name == "run":
		return r.self(), nil
	case ref.bound.item && len(ref.path) == 3 && ref.path[0] == "loops":
		return r.item(ref.path)
	}
	return r.at(ref.path)
}

// at returns the value at a path in vars, or nil.
func (r *reading) at(path []string) (any, error) {
	raw, ok, err := r.run.Vars.Raw(strings.Join(path, "."))
	if err != nil || !ok {
		return nil, err
	}
	return r.cache.decode(raw)
}

// item returns the current item of the loop whose items are at path.
func (r *reading) item(path []string) (any, error) {
	list, err := r.at([]string{path[0], path[1], "items"})
	if err != nil {
		return nil, err
	}
	at, err := bide.Get[int](r.run.Vars, strings.Join([]string{path[0], path[1], "at"}, "."))
	if err != nil {
		return nil, err
	}
	items, ok := list.([]any)
	if !ok || at < 0 || at >= len(items) {
		return nil, fmt.Errorf("the loop has no item %d", at)
	}
	return items[at], nil
}

// self is what expressions can know of their run.
func (r *reading) self() any {
	stamp := func(t time.Time) any { return t.UTC().Format(time.RFC3339Nano) }
	return map[string]any{
		"id": r.run.ID, "flow": r.run.Workflow, "version": r.run.Version, "key": r.run.Key, "session": r.run.Session, "actor": r.run.Actor,
		"parent": r.run.Parent, "step": r.run.Step, "started_at": stamp(r.run.CreatedAt), "now": stamp(r.run.Now()),
	}
}

// cache keeps the values of large texts, so that a loop over a list does not
// read the whole of it for every item. A text in vars never changes, so it is known by its place in
// memory, which the entry keeps from being used for another.
type cache struct {
	mu      sync.Mutex
	entries []cached
}

type cached struct {
	raw   bide.JSON
	value any
}

// Bounds of the cache.
const (
	cacheFrom    = 512 // bytes of a text that is worth it
	cacheEntries = 32
)

func (c *cache) decode(raw bide.JSON) (any, error) {
	if len(raw) < cacheFrom {
		return decode(raw)
	}
	c.mu.Lock()
	for i, e := range c.entries {
		if &e.raw[0] == &raw[0] && len(e.raw) == len(raw) {
			if i > 0 {
				c.entries = slices.Insert(slices.Delete(c.entries, i, i+1), 0, e)
			}
			c.mu.Unlock()
			return e.value, nil
		}
	}
	c.mu.Unlock()
	v, err := decode(raw)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= cacheEntries {
		c.entries = c.entries[:cacheEntries-1]
	}
	c.entries = slices.Insert(c.entries, 0, cached{raw, v})
	return v, nil
}
