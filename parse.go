package bide

import (
	"crypto/sha256"
	"iter"
)

// ParseRecord reads a record from its stored text, which it keeps. The hash is
// computed; whether it fits into a chain is for Fold to say, and whether its data is what
// its kind has for Decode.
func ParseRecord(raw []byte) (Record, error) {
	r := Record{Raw: raw, Hash: sha256.Sum256(raw)}
	if r.unseal(raw) {
		return r, nil
	}
	return decodeRecord(raw, r.Hash)
}

// decodeRecord is ParseRecord for text that seal did not write; beside it, a record that seal wrote stays off the heap.
func decodeRecord(raw []byte, sum Hash) (Record, error) {
	r := Record{Raw: raw, Hash: sum}
	if err := decodeOwn(raw, &r); err != nil {
		return r, Errorf(CodeCorrupt, "record text: %w", err)
	}
	return r, nil
}

// parsedBatch is how many records are handed over at a time: enough that this costs
// nothing beside them, and few enough for a short ledger to be worked on by two.
const parsedBatch = 128

// parsed is what became of a text.
type parsed struct {
	rec Record
	err error
}

// ParseRecords yields what ParseRecord makes of each text, a text that is no record
// included. An error of texts comes with a zero Record. Texts are read and parsed by a goroutine of its own, some
// ahead of the caller, which has come to its end when the iteration does: who reads a ledger and who works on it share two processors.
func ParseRecords(texts iter.Seq2[[]byte, error]) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		full, empty := make(chan []parsed, 2), make(chan []parsed, 2)
		stop := make(chan struct{})
		go func() {
			defer close(full)
			parseAhead(texts, full, empty, stop)
		}()
		defer func() {
			close(stop)
			for range full { // until the goroutine has ended
			}
		}()
		for batch := range full {
			for i := range batch {
				if !yield(batch[i].rec, batch[i].err) {
					return
				}
			}
			empty <- batch
		}
	}
}

// parseAhead fills batches, at most two that it makes and then those that come back empty.
func parseAhead(texts iter.Seq2[[]byte, error], full chan<- []parsed, empty <-chan []parsed, stop <-chan struct{}) {
	made := 0
	next := func() []parsed {
		if made++; made <= cap(full) {
			return make([]parsed, 0, parsedBatch)
		}
		select {
		case b := <-empty:
			return b[:0]
		case <-stop:
			return nil
		}
	}
	batch := next()
	for raw, err := range texts {
		p := parsed{err: err}
		if err == nil {
			p.rec, p.err = ParseRecord(raw)
		}
		if batch = append(batch, p); len(batch) < parsedBatch {
			continue
		}
		full <- batch
		if batch = next(); batch == nil {
			return
		}
	}
	full <- batch
}
