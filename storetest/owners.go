package storetest

import (
	"testing"
	"time"

	"github.com/bide-dev/bide"
)

func ownersListed(t *testing.T, s Store) {
	want := func(since time.Time, owners ...bide.Owner) {
		t.Helper()
		got, err := s.Owners(t.Context(), since)
		if err != nil {
			t.Fatalf("Owners(%v) = %v", since, err)
		}
		same(t, "the owners since "+since.String(), got, owners)
	}
	want(time.Time{})
	for _, id := range []string{"r1", "r2", "r3"} {
		must(t, s, NewChain(id).Next(1))
	}
	soon, later := today.Add(time.Second), today.Add(time.Hour)
	beat(t, s, "b", soon)
	beat(t, s, "a", later)
	want(today, bide.Owner{Name: "a", Until: later}, bide.Owner{Name: "b", Until: soon})
	want(soon, bide.Owner{Name: "a", Until: later})
	wantClaims(t, s, query("b", 2), "r1", "r2")
	wantClaims(t, s, query("silent", 1), "r3")
	want(soon, bide.Owner{Name: "a", Until: later}, bide.Owner{Name: "b", Until: soon, Runs: 2}, bide.Owner{Name: "silent", Runs: 1})
	giveBack(t, s, "b", false, "r1")
	giveBack(t, s, "silent", false)
	want(today, bide.Owner{Name: "a", Until: later}, bide.Owner{Name: "b", Until: soon, Runs: 1})
	giveBack(t, s, "b", false)
	want(later)
	beat(t, s, "b", later.Add(time.Microsecond))
	want(later, bide.Owner{Name: "b", Until: later.Add(time.Microsecond)})
}

func ownersDrained(t *testing.T, s Store) {
	for _, id := range []string{"r1", "r2"} {
		must(t, s, NewChain(id).Next(1))
	}
	wantError(t, "draining nobody", s.Drain(t.Context(), "nobody", true), bide.ErrNotFound)
	until := today.Add(time.Hour)
	beat(t, s, "a", until)
	beat(t, s, "b", until)
	wantClaims(t, s, query("a", 1), "r1")
	ok(t, s.Drain(t.Context(), "a", true))
	wantClaims(t, s, query("a", 1))
	beat(t, s, "a", until)
	got, err := s.Owners(t.Context(), today)
	ok(t, err)
	same(t, "the owners", got, []bide.Owner{{Name: "a", Until: until, Runs: 1, Drained: true}, {Name: "b", Until: until}})
	wantClaims(t, s, query("b", 1), "r2")
	giveBack(t, s, "b", false)
	ok(t, s.Drain(t.Context(), "a", false))
	wantClaims(t, s, query("a", 1), "r2")
}
