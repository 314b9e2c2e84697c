package seal

import (
	"crypto/cipher"
	"sync"
	"time"
)

// How much is kept at hand, and for how long what another process may destroy.
const (
	cached = 4096
	fresh  = time.Second
)

// cache keeps keys at hand. A map that is full begins anew.
type cache struct {
	mu     sync.Mutex
	boxes  map[string]cipher.AEAD // what opens the data keys of a block, by its id and wrapped key
	blocks map[string]cachedBlock
	keys   map[place]*dataKey
	runs   map[string]place // where the data key of a run is
}

type cachedBlock struct {
	*block
	until time.Time
}

func (c *cache) box(id string, make func() (cipher.AEAD, error)) (cipher.AEAD, error) {
	c.mu.Lock()
	box := c.boxes[id]
	c.mu.Unlock()
	if box != nil {
		return box, nil
	}
	box, err := make()
	if err == nil {
		keep(c, &c.boxes, id, box)
	}
	return box, err
}

func (c *cache) block(id string, now time.Time) *block {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.blocks[id]; ok && now.Before(b.until) {
		return b.block
	}
	return nil
}

func (c *cache) key(at place) *dataKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keys[at]
}

func (c *cache) run(id string) (place, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.runs[id]
	return at, ok
}

// forget drops what may have changed of a data key.
func (c *cache) forget(at place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.keys, at)
	delete(c.blocks, at.blockID())
}

// forgetRun drops where the data key of a run is.
func (c *cache) forgetRun(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.runs, id)
}

func keep[K comparable, V any](c *cache, m *map[K]V, k K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *m == nil || len(*m) >= cached {
		*m = map[K]V{}
	}
	(*m)[k] = v
}
