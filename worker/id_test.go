package worker_test

import (
	"os"
	"testing"
	"time"

	"github.com/bide-dev/bide/worker"
)

func TestAnIDTellsWhoTheWorkerIs(t *testing.T) {
	before := time.Now().Add(-time.Millisecond)
	id := worker.NewID()
	who, ok := worker.Identify(id)
	if !ok || who.Process != os.Getpid() || who.Host == "" || who.Since.Before(before) || who.Since.After(time.Now().Add(time.Millisecond)) {
		t.Errorf("Identify(%q) = %+v, %v", id, who, ok)
	}
	if other := worker.NewID(); other == id {
		t.Errorf("two workers have the id %q", id)
	}
	for _, id := range []string{"", "w", "host.12", "a.b.c", "host.x.019ad5a4-0000-7000-8000-000000000000", "12.019ad5a4-0000-7000-8000-000000000000", "h.1.019ad5a4-0000-4000-8000-000000000000"} {
		if who, ok := worker.Identify(id); ok {
			t.Errorf("Identify(%q) = %+v", id, who)
		}
	}
}
