package s3_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/artifact/artifacttest"
	"github.com/bide-dev/bide/artifact/s3"
)

// shifted is a clock that is behind.
type shifted struct{ by time.Duration }

func (s *shifted) Now() time.Time                  { return time.Now().Add(-s.by) }
func (s *shifted) Since(t time.Time) time.Duration { return s.Now().Sub(t) }

// serve runs a server with an empty bucket, and returns what opens it. What was put before age is called is old from then on.
func serve(t *testing.T) (open func(prefix string) *s3.Bucket, clock *shifted) {
	t.Helper()
	clock = &shifted{}
	backend := s3mem.New(s3mem.WithTimeSource(clock))
	if err := backend.CreateBucket("blobs"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(backend, gofakes3.WithTimeSource(clock), gofakes3.WithTimeSkewLimit(0)).Server())
	t.Cleanup(server.Close)
	return func(prefix string) *s3.Bucket {
		b, err := s3.Open(t.Context(), "s3://blobs/"+prefix+"?endpoint="+server.URL+"&region=us-east-1", &s3.Options{
			Credentials: credentials.NewStaticV4("key", "secret", ""), Settle: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}, clock
}

// aged is a bucket whose clock is two days behind until Age is called.
func aged(t *testing.T) artifacttest.Subject {
	open, clock := serve(t)
	clock.by = 48 * time.Hour
	return artifacttest.Subject{Store: open("some/where"), Age: func() { clock.by = 0 }}
}

func TestBucket(t *testing.T) { artifacttest.Run(t, aged) }

func TestTwoSweepsDoNotWorkAtOnce(t *testing.T) {
	s := aged(t)
	if _, _, err := s.Put(t.Context(), strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	s.Age()
	before := time.Now().Add(-24 * time.Hour)
	_, err := s.Sweep(t.Context(), before, func(ctx context.Context, _ string) (bool, error) {
		if _, err := s.Sweep(ctx, before, nil); !errors.Is(err, bide.ErrConflict) {
			t.Errorf("a second sweep = %v, want ErrConflict", err)
		}
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPrefixesKeepTheirOwn(t *testing.T) {
	open, clock := serve(t)
	clock.by = 48 * time.Hour
	a, b := open("a"), open("b")
	sum, _, err := a.Put(t.Context(), strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open(t.Context(), sum); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("Open under another prefix = %v, want ErrNotFound", err)
	}
	clock.by = 0
	out, err := b.Sweep(t.Context(), time.Now().Add(-24*time.Hour), func(context.Context, string) (bool, error) { return false, nil })
	if err != nil || out != (artifact.Swept{}) {
		t.Errorf("Sweep under another prefix = %+v, %v; want nothing touched", out, err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	server := httptest.NewServer(gofakes3.New(s3mem.New()).Server())
	defer server.Close()
	for address, want := range map[string]error{
		"http://x/y":                          bide.ErrInvalidInput,
		"s3://":                               bide.ErrInvalidInput,
		"s3://b?endpont=https://x":            bide.ErrInvalidInput,
		"s3://b?endpoint=x":                   bide.ErrInvalidInput,
		"s3://nothere?endpoint=" + server.URL: bide.ErrNotFound,
	} {
		if _, err := s3.Open(t.Context(), address, &s3.Options{Credentials: credentials.NewStaticV4("k", "s", "")}); !errors.Is(err, want) {
			t.Errorf("Open(%q) = %v, want %v", address, err, want)
		}
	}
}
