// Package artifacttest is what every store of blobs must do.
package artifacttest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
)

// Subject is a store under test. Age makes all that it holds two days old.
type Subject struct {
	artifact.Store
	Age func()
}

// Run runs the suite on stores that open makes, each empty.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for name, test := range map[string]func(*testing.T, Subject){
		"a blob is kept once, and given back":                  keptOnce,
		"a large blob is streamed":                             large,
		"a reader that fails leaves nothing":                   failing,
		"what is not there is not found":                       notThere,
		"a sweep removes what is old and not needed":           swept,
		"a blob that is put again is not swept":                putAgain,
		"a blob that is put again while a sweep decides stays": putMeanwhile,
		"a sweep of what is young is refused":                  young,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func put(t *testing.T, s artifact.Store, text string) string {
	t.Helper()
	sum, size, err := s.Put(t.Context(), strings.NewReader(text))
	if want := sha256.Sum256([]byte(text)); err != nil || sum != hex.EncodeToString(want[:]) || size != int64(len(text)) {
		t.Fatalf("Put(%q) = %s, %d, %v", text, sum, size, err)
	}
	return sum
}

func get(t *testing.T, s artifact.Store, sum string) ([]byte, error) {
	t.Helper()
	r, err := s.Open(t.Context(), sum)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func has(t *testing.T, s artifact.Store, sum, text string) {
	t.Helper()
	if got, err := get(t, s, sum); string(got) != text || err != nil {
		t.Errorf("the blob is %q, %v; want %q", got, err, text)
	}
}

func keptOnce(t *testing.T, s Subject) {
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, _, err := s.Put(t.Context(), strings.NewReader("hello")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	has(t, s, put(t, s, "hello"), "hello")
	has(t, s, put(t, s, ""), "")
}

func large(t *testing.T, s Subject) {
	content := make([]byte, 9<<20)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	sum, size, err := s.Put(t.Context(), bytes.NewReader(content))
	if err != nil || size != int64(len(content)) {
		t.Fatalf("Put = %d bytes, %v", size, err)
	}
	if got, err := get(t, s, sum); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
}

func failing(t *testing.T, s Subject) {
	broken := errors.New("broken")
	if _, _, err := s.Put(t.Context(), io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("Put = %v, want the reader's error", err)
	}
	over, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	if _, _, err := s.Put(over, strings.NewReader("x")); !errors.Is(err, broken) {
		t.Errorf("Put after the end = %v, want its cause", err)
	}
	half := sha256.Sum256([]byte("half"))
	if _, err := get(t, s, hex.EncodeToString(half[:])); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("half of a blob is there: %v", err)
	}
}

func notThere(t *testing.T, s Subject) {
	if _, err := s.Open(t.Context(), strings.Repeat("0", 64)); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("Open of what is not there = %v, want ErrNotFound", err)
	}
	for _, sum := range []string{"", "../../etc/passwd", strings.Repeat("0", 63) + "/", strings.Repeat("A", 64)} {
		if _, err := s.Open(t.Context(), sum); !errors.Is(err, bide.ErrInvalidInput) {
			t.Errorf("Open(%q) = %v, want ErrInvalidInput", sum, err)
		}
	}
}

// yesterday is before what is new and after what was aged.
func yesterday() time.Time { return time.Now().Add(-24 * time.Hour) }

func sweep(t *testing.T, s Subject, keep artifact.Keep) artifact.Swept {
	t.Helper()
	out, err := s.Sweep(t.Context(), yesterday(), keep)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func nothing(context.Context, string) (bool, error) { return false, nil }

func swept(t *testing.T, s Subject) {
	needed, old := put(t, s, "needed"), put(t, s, "old")
	s.Age()
	fresh := put(t, s, "fresh")
	out := sweep(t, s, func(_ context.Context, sum string) (bool, error) { return sum == needed, nil })
	if out.Removed != 1 || out.Bytes < 3 || out.Kept != 2 { // what is kept may be larger than what was put
		t.Errorf("Sweep = %+v, want the old one removed", out)
	}
	has(t, s, needed, "needed")
	has(t, s, fresh, "fresh")
	if _, err := get(t, s, old); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("the old blob = %v, want ErrNotFound", err)
	}
	broken := errors.New("broken")
	if _, err := s.Sweep(t.Context(), yesterday(), func(context.Context, string) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("a sweep that cannot find out what is needed = %v, want its error", err)
	}
	has(t, s, needed, "needed")
	has(t, s, put(t, s, "old"), "old")
}

func putAgain(t *testing.T, s Subject) {
	sum := put(t, s, "again")
	s.Age()
	put(t, s, "again")
	if out := sweep(t, s, nothing); out.Removed != 0 {
		t.Errorf("Sweep = %+v, want nothing removed", out)
	}
	has(t, s, sum, "again")
}

// While a sweep is about to remove blobs, others put them again, all at once: whoever was told that a blob is kept has it.
func putMeanwhile(t *testing.T, s Subject) {
	sums := map[string]string{}
	for _, text := range []string{"a", "b", "c", "d"} {
		sums[put(t, s, text)] = text
	}
	s.Age()
	var putting sync.WaitGroup
	defer putting.Wait()
	sweep(t, s, func(ctx context.Context, sum string) (bool, error) {
		putting.Go(func() {
			if _, _, err := s.Put(ctx, strings.NewReader(sums[sum])); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
		return false, nil
	})
	putting.Wait()
	for sum, text := range sums {
		put(t, s, text) // one whose context ended with the sweep is put now
		has(t, s, sum, text)
	}
}

func young(t *testing.T, s Subject) {
	if _, err := s.Sweep(t.Context(), time.Now(), nothing); !errors.Is(err, bide.ErrInvalidInput) {
		t.Errorf("Sweep = %v, want ErrInvalidInput", err)
	}
}
