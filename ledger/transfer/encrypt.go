package transfer

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"

	"github.com/bide-dev/bide"
)

// A run that comes plain can be encrypted on the way. What is encrypted is hashed as it is stored, so its chain becomes another one: the
// same records with the same numbers, times and data, and other hashes.

// encrypting is a plain run that is encrypted while it comes in.
type encrypting struct {
	p      *putting
	sealer bide.Sealer
	came   bide.Hash // of the record before, as it came
	prev   bide.Hash // and as it is stored
	page   [][]byte  // records that are there from a try that was cut off, from number next on
	next   int64
}

// record returns a record as it is stored, with its data.
func (e *encrypting) record(rec bide.Record) (out bide.Record, err error) {
	if rec.Prev != e.came {
		return out, bide.Errorf(bide.CodeCorrupt, "record %d of run %s does not carry the hash of the one before it", rec.Seq, e.p.id)
	}
	if rec.Seq <= e.p.there.Seq {
		out, err = e.there(rec)
	} else {
		out, err = e.fresh(rec)
	}
	e.came, e.prev = rec.Hash, out.Hash
	return out, err
}

// fresh encrypts a record.
func (e *encrypting) fresh(rec bide.Record) (out bide.Record, err error) {
	if e.sealer == nil {
		if err := e.open(); err != nil {
			return out, err
		}
	}
	heading := bytes.Clone(rec.Heading())
	const prev = `"prev":"`
	at := bytes.Index(heading, []byte(prev)) + len(prev)
	hex.Encode(heading[at:], e.prev[:])
	raw := bytes.Clone(heading)
	if rec.Data != nil {
		sealed, err := e.sealer.Seal(heading, rec.Data)
		if err != nil {
			return out, err
		}
		raw = append(raw, `,"sealed":"`...)
		raw = base64.StdEncoding.AppendEncode(raw, sealed)
		raw = append(raw, '"')
	}
	out, err = bide.ParseRecord(append(raw, '}'))
	out.Data = rec.Data
	return out, err
}

// open gets the run's data key.
func (e *encrypting) open() (err error) {
	im := e.p.im
	if e.p.there.Seq == 0 {
		e.sealer, err = im.keys.NewSealer(im.ctx, e.p.id)
		return err
	}
	stored, err := im.store.Load(im.ctx, e.p.id, bide.Position{})
	if err != nil {
		return err
	}
	if e.sealer = stored.Sealer; e.sealer == nil {
		return bide.Errorf(bide.CodeExists, "run %s is there, and is not encrypted; copy it into a store that does not have it", e.p.id)
	}
	return nil
}

// there returns the record that is there under the number of one that comes, which must be the same but for its encryption.
func (e *encrypting) there(rec bide.Record) (out bide.Record, err error) {
	im := e.p.im
	if rec.Seq >= e.next+int64(len(e.page)) || e.page == nil {
		if e.page, err = im.store.Records(im.ctx, e.p.id, rec.Seq, batchRecords); err != nil {
			return out, err
		}
		e.next = rec.Seq
	}
	if i := rec.Seq - e.next; i < int64(len(e.page)) {
		out, err = bide.ParseRecord(e.page[i])
	}
	if err != nil {
		return out, err
	}
	if !out.At.Equal(rec.At) || out.Kind != rec.Kind || out.Command != rec.Command || !bytes.Equal(out.Data, rec.Data) {
		return out, bide.Errorf(bide.CodeExists, "run %s is there with another record %d; it is another run", e.p.id, rec.Seq)
	}
	return out, nil
}
