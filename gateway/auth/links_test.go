package auth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/bidetest"
	"github.com/bide-dev/bide/gateway/auth"
	"github.com/bide-dev/bide/store/mem"
)

// What is kept of a link goes when its time is over, and a link of which nothing is kept opens nothing.
func TestLinksAreSweptWhenTheyHaveExpired(t *testing.T) {
	store, clock := mem.New(), bidetest.NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	links, sessions := auth.NewLinks(store, clock.Now), auth.NewSessions(store, &auth.SessionOptions{Now: clock.Now})
	ann := &auth.Principal{Actor: "ann"}
	linkTo := func(wait string, lasts time.Duration) (auth.Link, string) {
		t.Helper()
		link, text, err := links.Make(t.Context(), wait, ann, "bob", lasts)
		if err != nil {
			t.Fatal(err)
		}
		return link, text
	}
	short, _ := linkTo("r.1", time.Hour)
	long, text := linkTo("r.1", 3*time.Hour)
	other, _ := linkTo("r.1.x.1", 3*time.Hour)
	kept := func(wait string, want ...string) {
		t.Helper()
		all, err := links.List(t.Context(), wait)
		if err != nil || len(all) != len(want) {
			t.Fatalf("List(%q) = %v, %v; want %v", wait, all, err, want)
		}
		for _, id := range want {
			if all[0].ID != id && all[len(all)-1].ID != id {
				t.Errorf("List(%q) = %v, want %s among them", wait, all, id)
			}
		}
	}
	kept("r.1", short.ID, long.ID)
	kept("r.1.x.1", other.ID)
	clock.Advance(2 * time.Hour)
	if err := sessions.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept("r.1", long.ID)
	if got, err := links.Open(t.Context(), text); err != nil || got.Wait != "r.1" || got.Actor != "link:bob" {
		t.Errorf("Open = %v, %v; want the link to r.1", got, err)
	}
	if err := store.DeleteDocument(t.Context(), "link", long.ID, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := links.Open(t.Context(), text); !errors.Is(err, auth.ErrBadLink) {
		t.Errorf("Open without what is kept = %v, want ErrBadLink", err)
	}
	if _, err := links.Revoke(t.Context(), long.ID, "ann"); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("Revoke without what is kept = %v, want ErrNotFound", err)
	}
}
