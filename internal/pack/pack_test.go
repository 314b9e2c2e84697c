package pack_test

import (
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bide-dev/bide/internal/pack"
)

// noise is text without repeats.
func noise(n int) []byte {
	b := make([]byte, n)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(b) // never fails
	return []byte(base64.StdEncoding.EncodeToString(b))[:n]
}

func TestTextsComeBackAndTakeLessRoom(t *testing.T) {
	p, err := pack.New()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text []byte
		most float64 // of the text's length; 0 for not packed
	}{
		"short":  {noise(pack.Least - 1), 0},
		"noise":  {noise(4 << 10), 0.8},
		"prose":  {[]byte(strings.Repeat("Once more, with feeling. ", 1000)), 0.05},
		"binary": {func() []byte { b := make([]byte, 4<<10); _, _ = rand.NewChaCha8([32]byte{}).Read(b); return b }(), 0},
	} {
		packed := p.Pack(c.text)
		if c.most == 0 {
			if packed != nil {
				t.Errorf("%s: %d bytes were packed into %d; want them left alone", name, len(c.text), len(packed))
			}
			continue
		}
		if got := float64(len(packed)) / float64(len(c.text)); packed == nil || got > c.most {
			t.Errorf("%s: packed to %.2f of its length, want at most %.2f", name, got, c.most)
		}
		if text, err := p.Unpack(packed); err != nil || string(text) != string(c.text) {
			t.Errorf("%s: Unpack = %d bytes, %v; want the %d that were packed", name, len(text), err, len(c.text))
		}
	}
}

// The frame was made by the first version, and has to be readable by all that follow.
func TestWhatWasPackedOnceCanBeRead(t *testing.T) {
	const frame = "28b52ffd62deb16504d50100440230313233343536373839616263646566322d30335430343a30353a303622616220227d7d0600aae83fa159091c4d7ca7918366a275cc0f08"
	want := `{"seq":2,"prev":"` + strings.Repeat("0123456789abcdef", 4) + `","at":"2026-02-03T04:05:06Z","kind":"effect.completed","data":{"effect":0,"attempt":1,"result":"` + strings.Repeat("ab ", 400) + `"}}`
	p, err := pack.New()
	if err != nil {
		t.Fatal(err)
	}
	packed, err := hex.DecodeString(frame)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := p.Unpack(packed); err != nil || string(text) != want {
		t.Errorf("Unpack = %q, %v; want %q; packed now it is %x", text, err, want, p.Pack([]byte(want)))
	}
}

func FuzzUnpack(f *testing.F) {
	p, err := pack.New()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p.Pack(noise(2 << 10)))
	f.Add([]byte(`{"seq":1}`))
	f.Fuzz(func(t *testing.T, packed []byte) {
		text, err := p.Unpack(packed)
		if again := p.Pack(text); err == nil && again != nil {
			if back, err := p.Unpack(again); err != nil || string(back) != string(text) {
				t.Errorf("Unpack(Pack(%q)) = %q, %v", text, back, err)
			}
		}
	})
}
