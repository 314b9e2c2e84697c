package bide

import (
	"bytes"
	"crypto/sha256"
	"iter"
)

// ParseRecord reads a record from its stored text, which it keeps, or from its
// Text. The hash is computed; whether it fits into a chain is for Fold to say, and whether its data
// is what its kind has for Decode.
func ParseRecord(raw []byte) (Record, error) {
	r := Record{Raw: raw}
	if !r.readText(raw) {
		r = Record{Raw: raw}
		if err := decodeOwn(raw, &r); err != nil {
			r.Hash = sha256.Sum256(raw)
			return r, Errorf(CodeCorrupt, "record text: %w", err)
		}
	}
	if len(r.Sealed) > 0 && r.Data != nil {
		at := len(raw) - len(opened) - len(r.Data) - 1
		if at < 0 || !bytes.Equal(raw[at:at+len(opened)], []byte(opened)) {
			return r, Errorf(CodeCorrupt, "record text: data and sealed are not its last members")
		}
		r.Raw = append(bytes.Clone(raw[:at]), '}')
	}
	r.Hash = sha256.Sum256(r.Raw)
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
