package auth

import (
	"container/list"
	"sync"
)

// bounded is a map that forgets what was not used for longest when it is full. It
// may be used from many goroutines.
type bounded[K comparable, V any] struct {
	mu    sync.Mutex
	limit int
	byKey map[K]*list.Element
	order *list.List // of pair, least recently used first
}

type pair[K comparable, V any] struct {
	key   K
	value V
}

func newBounded[K comparable, V any](limit int) *bounded[K, V] {
	return &bounded[K, V]{limit: limit, byKey: map[K]*list.Element{}, order: list.New()}
}

// get returns what is kept for a key.
func (b *bounded[K, V]) get(key K) (value V, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.byKey[key]
	if at == nil {
		return value, false
	}
	b.order.MoveToBack(at)
	return at.Value.(*pair[K, V]).value, true
}

// change replaces what is kept for a key by what f makes of it, and returns that.
func (b *bounded[K, V]) change(key K, f func(V) V) V {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.byKey[key]
	if at == nil {
		at = b.order.PushBack(&pair[K, V]{key: key})
		b.byKey[key] = at
	}
	b.order.MoveToBack(at)
	p := at.Value.(*pair[K, V])
	p.value = f(p.value)
	for b.order.Len() > b.limit {
		delete(b.byKey, b.order.Remove(b.order.Front()).(*pair[K, V]).key)
	}
	return p.value
}
