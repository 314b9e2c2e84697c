package file

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/bide-dev/bide"
)

// sorted holds values in the order of a time and, within it, of an id. Putting
// something in front of many others moves them in memory; at a hundred thousand that takes microseconds.
type sorted[T any] struct{ items []sortedItem[T] }

type sortedItem[T any] struct {
	bide.Cursor
	value T
}

func compareCursors(a, b bide.Cursor) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID))
}

// find is where an item is, or would be.
func (s *sorted[T]) find(at bide.Cursor) (int, bool) {
	if n := len(s.items); n > 0 && compareCursors(s.items[n-1].Cursor, at) < 0 {
		return n, false // the usual case: later than all
	}
	return slices.BinarySearchFunc(s.items, at, func(i sortedItem[T], at bide.Cursor) int { return compareCursors(i.Cursor, at) })
}

func (s *sorted[T]) put(at time.Time, id string, value T) {
	c := bide.Cursor{At: at, ID: id}
	i, found := s.find(c)
	if found {
		s.items[i].value = value
		return
	}
	s.items = slices.Insert(s.items, i, sortedItem[T]{c, value})
}

func (s *sorted[T]) remove(at time.Time, id string) {
	if i, found := s.find(bide.Cursor{At: at, ID: id}); found {
		s.items = slices.Delete(s.items, i, i+1)
	}
}

// up yields the values in order, from the first after a cursor's text.
func (s *sorted[T]) up(cursor string) (iter.Seq2[bide.Cursor, T], error) {
	after, err := bide.ParseCursor(cursor)
	from := 0
	if cursor != "" {
		i, found := s.find(after)
		if from = i; found {
			from++
		}
	}
	return func(yield func(bide.Cursor, T) bool) {
		for _, i := range s.items[from:] {
			if !yield(i.Cursor, i.value) {
				return
			}
		}
	}, err
}

// down yields the values in reverse order, from the first before a cursor's text.
func (s *sorted[T]) down(cursor string) (iter.Seq2[bide.Cursor, T], error) {
	before, err := bide.ParseCursor(cursor)
	to := len(s.items)
	if cursor != "" {
		to, _ = s.find(before)
	}
	return func(yield func(bide.Cursor, T) bool) {
		for _, i := range slices.Backward(s.items[:to]) {
			if !yield(i.Cursor, i.value) {
				return
			}
		}
	}, err
}
