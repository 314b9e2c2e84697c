package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/store/postgres"
)

// spoken is something under way that is told in texts.
type spoken struct {
	mu    sync.Mutex
	texts []string
	told  int
	asked int           // how often next was called
	news  chan struct{} // holds a token after a call
}

func newSpoken() *spoken { return &spoken{news: make(chan struct{}, 1)} }

func (s *spoken) say(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts = append(s.texts, texts...)
}

func (s *spoken) next(anew bool) (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if anew {
		s.told = 0
	}
	out = slices.Clone(s.texts[s.told:])
	s.told = len(s.texts)
	s.asked++
	select {
	case s.news <- struct{}{}:
	default:
	}
	return out
}

// calls returns how often it was asked for news.
func (s *spoken) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// await waits until it was asked.
func (s *spoken) await(t *testing.T) {
	t.Helper()
	await(t, s.news, "nobody asks for what is under way")
}

func await[T any](t *testing.T, c <-chan T, otherwise string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(time.Minute):
		t.Fatal(otherwise)
	}
	return v
}

func TestWhatIsUnderWayIsSeenInAnotherProcessWhileSomebodyListensThere(t *testing.T) {
	server := pgtest.NewServer(t)
	p := newProxy(t, server)
	maker := open(t, p.url(), &postgres.Options{Sweep: time.Hour})
	reader := open(t, server.URL(), &postgres.Options{Sweep: time.Hour})

	long := strings.Repeat("größer ", 5_000)
	s := newSpoken()
	s.say("first")
	end := maker.Offer("run", s.next)
	elsewhere := newSpoken() // nobody listens for it
	endElsewhere := maker.Offer("another", elsewhere.next)
	texts := make(chan string, 1000)
	stop := reader.Listen("run", func(text string) { texts <- text })
	if got := await(t, texts, "nothing comes"); got != "first" {
		t.Errorf("the reader hears %q", got)
	}
	want := []string{"second", "second", long, "last"} // the same twice is not the same
	s.say(want[:3]...)
	s.await(t)
	before := p.statements.Load()
	for i := range 200 {
		if s.say(fmt.Sprint(i)); i%20 == 19 {
			s.await(t)
		}
		want = slices.Insert(want, 3+i, fmt.Sprint(i))
	}
	s.say("last")
	end() // comes back when the last texts were sent
	for i, w := range want {
		if got := await(t, texts, "a text is missing"); got != w {
			t.Fatalf("text %d is %.40q, want %.40q", i, got, w)
		}
	}
	sent := p.statements.Load() - before
	t.Logf("200 texts to a reader in another process: %d statements; without one: 0", sent)
	if sent > 20 {
		t.Errorf("200 texts cost %d statements", sent)
	}

	s = newSpoken()
	s.say("again")
	end = maker.Offer("run", s.next)
	if got := await(t, texts, "nothing comes of another offer"); got != "again" {
		t.Errorf("the reader hears %q", got)
	}
	stop()
	for look, i := time.Tick(5*time.Millisecond), 0; maker.Wanted("run"); i++ {
		if <-look; i == 6000 {
			t.Fatal("the maker does not hear that the reader left")
		}
	}
	asked, before := s.calls(), p.statements.Load()
	for range 100 {
		s.say("to nobody")
	}
	end()
	endElsewhere()
	if sent := p.statements.Load() - before; sent != 0 || s.calls() != asked || elsewhere.calls() != 0 {
		t.Errorf("after the reader left, %d statements and %d calls; for what nobody listens to, %d calls", sent, s.calls()-asked, elsewhere.calls())
	}
	if len(texts) > 0 {
		t.Errorf("after it left, the reader hears %q", <-texts)
	}
}

// The connection over which a process hears breaks: it is told anew what it may have missed.
func TestAListenerThatWasCutOffIsToldAnew(t *testing.T) {
	server := pgtest.NewServer(t)
	maker, reader := open(t, server.URL(), nil), open(t, server.URL(), nil)
	s := newSpoken()
	s.say("one")
	end := maker.Offer("run", s.next)
	defer end()
	texts := make(chan string, 1000)
	defer reader.Listen("run", func(text string) { texts <- text })()
	await(t, texts, "nothing comes")
	run(t, connect(t, server.URL()), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'bide' AND backend_type = 'client backend'`)
	s.say("two")
	heard := []string{}
	for !slices.Equal(heard[max(0, len(heard)-2):], []string{"one", "two"}) {
		heard = append(heard, await(t, texts, fmt.Sprintf("heard only %q", heard)))
	}
}
