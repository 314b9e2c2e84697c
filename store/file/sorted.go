package file

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/bide-dev/bide"
)

// sorted holds values in the order of a time and, within it, of an id. It is cut
// into chunks, so that a change moves few of them whatever there is. Ids are never empty: the
// cursor of a time alone is before everything of that time.
type sorted[T any] struct {
	chunks [][]sortedItem[T] // none is empty
	size   int
}

type sortedItem[T any] struct {
	bide.Cursor
	value T
}

// orNone is the list, or an empty one for nil.
func (s *sorted[T]) orNone() *sorted[T] {
	if s == nil {
		return &sorted[T]{}
	}
	return s
}

// chunkSize is the largest chunk.
const chunkSize = 256

func compareCursors(a, b bide.Cursor) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID))
}

// find is where an item is, or would be: the chunk and the place in it.
func (s *sorted[T]) find(at bide.Cursor) (chunk, i int, found bool) {
	if n := len(s.chunks); n == 0 || compareCursors(last(s.chunks[n-1]), at) < 0 {
		return n, 0, false // the usual case: later than all
	}
	chunk, _ = slices.BinarySearchFunc(s.chunks, at, func(c []sortedItem[T], at bide.Cursor) int { return compareCursors(last(c), at) })
	i, found = slices.BinarySearchFunc(s.chunks[chunk], at, func(i sortedItem[T], at bide.Cursor) int { return compareCursors(i.Cursor, at) })
	return chunk, i, found
}

func last[T any](chunk []sortedItem[T]) bide.Cursor { return chunk[len(chunk)-1].Cursor }

// put adds a value, or replaces the one that is there.
func (s *sorted[T]) put(at time.Time, id string, value T) {
	item := sortedItem[T]{bide.Cursor{At: at, ID: id}, value}
	n, i, found := s.find(item.Cursor)
	if found {
		s.chunks[n][i] = item
		return
	}
	s.size++
	if n == len(s.chunks) { // after all
		if n == 0 || len(s.chunks[n-1]) == chunkSize {
			s.chunks = append(s.chunks, nil)
		} else {
			n--
		}
		i = len(s.chunks[n])
	}
	s.chunks[n] = slices.Insert(s.chunks[n], i, item)
	if c := s.chunks[n]; len(c) > chunkSize {
		s.chunks[n] = slices.Clone(c[:chunkSize/2])
		s.chunks = slices.Insert(s.chunks, n+1, slices.Clone(c[chunkSize/2:]))
	}
}

func (s *sorted[T]) remove(at time.Time, id string) {
	n, i, found := s.find(bide.Cursor{At: at, ID: id})
	if !found {
		return
	}
	s.size--
	s.chunks[n] = slices.Delete(s.chunks[n], i, i+1)
	switch {
	case len(s.chunks[n]) == 0:
		s.chunks = slices.Delete(s.chunks, n, n+1)
	case n > 0 && len(s.chunks[n-1])+len(s.chunks[n]) <= chunkSize/2:
		s.chunks[n-1] = append(s.chunks[n-1], s.chunks[n]...)
		s.chunks = slices.Delete(s.chunks, n, n+1)
	}
}

// span is what lies strictly between two places; the zero one is no bound.
type span struct{ after, before bide.Cursor }

// count is the number of items in a span.
func (s *sorted[T]) count(in span) int {
	to := s.size
	if in.before != (bide.Cursor{}) {
		to = s.rank(in.before)
	}
	return max(to-s.rank(in.after), 0)
}

// rank is the number of items before a place.
func (s *sorted[T]) rank(at bide.Cursor) (n int) {
	chunk, i, _ := s.find(at)
	for _, c := range s.chunks[:chunk] {
		n += len(c)
	}
	return n + i
}

// up yields the items of a span in order.
func (s *sorted[T]) up(in span) iter.Seq2[bide.Cursor, T] {
	return func(yield func(bide.Cursor, T) bool) {
		chunk, i, found := s.find(in.after)
		if found {
			i++
		}
		for ; chunk < len(s.chunks); chunk, i = chunk+1, 0 {
			for _, item := range s.chunks[chunk][i:] {
				if in.before != (bide.Cursor{}) && compareCursors(item.Cursor, in.before) >= 0 || !yield(item.Cursor, item.value) {
					return
				}
			}
		}
	}
}

// down yields the items of a span in reverse order.
func (s *sorted[T]) down(in span) iter.Seq2[bide.Cursor, T] {
	return func(yield func(bide.Cursor, T) bool) {
		chunk, i := len(s.chunks), 0
		if in.before != (bide.Cursor{}) {
			chunk, i, _ = s.find(in.before)
		}
		for n := min(chunk, len(s.chunks)-1); n >= 0; n-- {
			items := s.chunks[n]
			if n == chunk {
				items = items[:i]
			}
			for _, item := range slices.Backward(items) {
				if compareCursors(item.Cursor, in.after) <= 0 || !yield(item.Cursor, item.value) {
					return
				}
			}
		}
	}
}
