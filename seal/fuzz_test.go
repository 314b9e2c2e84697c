package seal_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/seal"
	"github.com/bide-dev/bide/store/mem"
)

// Whatever stands in place of what was encrypted gives an error and never content.
func FuzzEnvelope(f *testing.F) {
	inner := mem.New()
	s := sealed(f, inner, line(f, "k"))
	rt := bide.Must(bide.New(s, nil))
	run, err := rt.Start(ctx, ask, "x", nil)
	if err != nil {
		f.Fatal(err)
	}
	raws, err := inner.Records(ctx, run.ID, 1, 1)
	if err != nil {
		f.Fatal(err)
	}
	good := bide.Must(bide.ParseRecord(raws[0]))
	f.Add(good.Sealed)
	f.Add([]byte{})
	f.Add([]byte{1})
	f.Add(good.Sealed[:20])
	f.Add(append(bytes.Clone(good.Sealed), 0))
	f.Fuzz(func(t *testing.T, envelope []byte) {
		rec := good
		rec.Sealed, rec.Data = envelope, nil
		err := s.OpenRecord(ctx, run.ID, &rec)
		if bytes.Equal(envelope, good.Sealed) || len(envelope) == 0 {
			return
		}
		if err == nil || rec.Data != nil || !errors.Is(err, bide.ErrCorrupt) && !errors.Is(err, bide.ErrSealed) {
			t.Errorf("OpenRecord = %v with data %q, want an error", err, rec.Data)
		}
	})
}

func FuzzParseKeyring(f *testing.F) {
	f.Add([]byte(line(f, "k")))
	f.Add([]byte("# x\n\nk AAAA"))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := seal.ParseKeyring(text)
		if (err == nil) != (k != nil && len(k.IDs()) > 0) {
			t.Errorf("ParseKeyring(%q) = %v, %v", text, k, err)
		}
	})
}

// A text of a record, as stored or opened, is read as what it was, or refused.
func FuzzOpenedText(f *testing.F) {
	f.Add([]byte(`{"seq":1,"prev":"","at":"2026-01-01T00:00:00Z","kind":"x","sealed":"AQ==","data":{}}`))
	f.Add([]byte(`{"seq":1,"prev":"0000000000000000000000000000000000000000000000000000000000000000","at":"2026-01-01T00:00:00Z","kind":"x","sealed":"AQ==","data":{"a":1}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		rec, err := bide.ParseRecord(text)
		if err != nil {
			return
		}
		again, err := bide.ParseRecord(rec.Text())
		if err != nil || again.Hash != rec.Hash || !bytes.Equal(again.Raw, rec.Raw) {
			t.Errorf("Text of %q = %q, which reads as %+v, %v", text, rec.Text(), again, err)
		}
		rec.Heading() // of anything that can be read
	})
}
