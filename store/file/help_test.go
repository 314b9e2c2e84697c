package file

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
)

// notes is a log to look into.
type notes struct{ bytes.Buffer }

func (n *notes) logger() *slog.Logger { return slog.New(slog.NewTextHandler(n, nil)) }

// wantLine checks that a line of the log has all of some texts.
func (n *notes) wantLine(t testing.TB, texts ...string) {
	t.Helper()
	for line := range strings.Lines(n.String()) {
		has := 0
		for _, text := range texts {
			if strings.Contains(line, text) {
				has++
			}
		}
		if has == len(texts) {
			return
		}
	}
	t.Errorf("the log has no line with %q:\n%s", texts, n.String())
}

func must(t testing.TB, s bide.Store, commits ...*bide.Commit) {
	t.Helper()
	for _, c := range commits {
		if err := s.Commit(t.Context(), c); err != nil {
			t.Fatalf("Commit(%s, to record %d) = %v", c.RunID, c.Info.Seq, err)
		}
	}
}

// wantAt checks where a run is, and that its records are a chain up to there.
func wantAt(t testing.TB, s bide.Store, id string, want bide.Position) {
	t.Helper()
	whole, err := s.Load(t.Context(), id, bide.Position{})
	if errors.Is(err, bide.ErrNotFound) && want.Seq == 0 {
		return
	}
	if err != nil {
		t.Errorf("Load(%s) = %v", id, err)
		return
	}
	raws, err := s.Records(t.Context(), id, 1, 1<<20)
	if err != nil || whole.Position != want {
		t.Errorf("run %s is at record %d (%v), want %d", id, whole.Seq, err, want.Seq)
		return
	}
	checkStored(t, whole, raws)
}

// wantDamage checks that an error is of a damaged run and says where.
func wantDamage(t testing.TB, what string, err error, texts ...string) {
	t.Helper()
	if !errors.Is(err, bide.ErrCorrupt) {
		t.Errorf("%s = %v, want code %s", what, err, bide.CodeCorrupt)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s = %v, which does not say %q", what, err, text)
		}
	}
}
