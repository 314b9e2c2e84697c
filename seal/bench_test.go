package seal_test

import (
	"bytes"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/store/mem"
)

// What sealing and opening the data of one record takes, beside what a record costs anyway.
func BenchmarkRecord(b *testing.B) {
	s := sealed(b, mem.New(), line(b, "k"))
	sealer, err := s.NewSealer(ctx, "r")
	if err != nil {
		b.Fatal(err)
	}
	heading, data := bytes.Repeat([]byte("h"), 200), bytes.Repeat([]byte("d"), 400)
	b.Run("seal 400 bytes", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := sealer.Seal(heading, data); err != nil {
				b.Fatal(err)
			}
		}
	})
	rt := bide.Must(bide.New(s, nil))
	run, err := rt.Start(ctx, ask, string(data), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("read a record", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Records(ctx, run.ID, 1, 1); err != nil {
				b.Fatal(err)
			}
		}
	})
}
