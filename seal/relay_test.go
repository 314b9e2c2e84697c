package seal_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/store/postgres"
)

// What is under way reaches those who have the keys, and nobody else on the database can read it.
func TestWhatIsUnderWayIsReadWithTheKeysAlone(t *testing.T) {
	database, keys := pgtest.Start(t), line(t, "k1")
	postgresStore := func() *postgres.Store {
		s := bide.Must(postgres.Open(ctx, database, nil))
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	maker, reader, stranger := sealed(t, postgresStore(), keys), sealed(t, postgresStore(), keys), postgresStore()
	read, seen := make(chan string, 100), make(chan string, 100)
	defer reader.Listen("run", func(text string) { read <- text })()
	defer stranger.Listen("run", func(text string) { seen <- text })()
	defer maker.Offer("run", func(bool) []string { return []string{secret} })()
	defer stranger.Offer("run", func(bool) []string { return []string{"not encrypted"} })()
	late := time.After(time.Minute)
	for _, heard := range []chan string{read, seen} {
		select {
		case text := <-heard:
			if (heard == read) != (text == secret) || heard == seen && strings.Contains(text, secret) {
				t.Errorf("with the keys %v, heard %.60q", heard == read, text)
			}
		case <-late:
			t.Fatal("nothing was heard")
		}
	}
	for range 5 {
		if text := <-read; text != secret {
			t.Errorf("a text that is not encrypted was heard: %q", text)
		}
	}
}

// A store that passes nothing on is none the worse for it.
func TestAStoreWithoutARelayPassesNothingOn(t *testing.T) {
	s := sealed(t, mem.New(), line(t, "k1"))
	stop := s.Listen("run", func(text string) { t.Errorf("heard %q", text) })
	s.Offer("run", func(bool) []string { t.Error("asked for what nobody hears"); return nil })()
	stop()
}
