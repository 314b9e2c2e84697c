package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
)

func newBench(t *testing.T) *Bench {
	t.Helper()
	b := &Bench{question: "test", Repeats: 3, allowed: All, stores: strings.Join(All, ",")}
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestNumbersShowThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.01234: "0.0123", 0.5: "0.500", 5: "5.00", 12.34: "12.3", 123.4: "123", 1234: "1,234", 1234567: "1,234,567", -1234: "-1,234", -0.5: "-0.500",
	} {
		if got := Number(v); got != want {
			t.Errorf("Number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestMediansAndQuantiles(t *testing.T) {
	values := []float64{9, 1, 3, 2}
	if got := Median(values); got != 2.5 {
		t.Errorf("Median(%v) = %v, want 2.5", values, got)
	}
	if got := Median(values[:3]); got != 3 {
		t.Errorf("Median(%v) = %v, want 3", values[:3], got)
	}
	for q, want := range map[float64]float64{0: 1, 0.5: 3, 0.99: 9, 1: 9} {
		if got := Quantile(values, q); got != want {
			t.Errorf("Quantile(%v, %v) = %v, want %v", values, q, got, want)
		}
	}
}

func TestSamplesTakenWhileOthersWereBusyAreLeftOut(t *testing.T) {
	m := Measurement{Samples: []float64{1, 2, 3}, Others: []float64{90, 5, 30}}
	if got, quiet := m.Quiet(); !quiet || !slices.Equal(got, []float64{2}) {
		t.Errorf("Quiet() = %v, %v, want [2], true", got, quiet)
	}
	m.Others[1] = 80
	if got, quiet := m.Quiet(); quiet || len(got) != 3 {
		t.Errorf("with others always busy, Quiet() = %v, %v, want all, false", got, quiet)
	}
	m.Others = nil
	if got, quiet := m.Quiet(); !quiet || len(got) != 3 {
		t.Errorf("with nothing known of others, Quiet() = %v, %v, want all, true", got, quiet)
	}
}

func TestCasesTakeTurns(t *testing.T) {
	b := newBench(t)
	var order []string
	var cases []Case
	for _, name := range []string{"a", "b", "c"} {
		cases = append(cases, Case{Setting: map[string]string{"name": name}, Sample: func(_ context.Context, v *Values) error {
			order = append(order, name)
			v.Is("found", "out")
			v.Add("count", "x", float64(len(order)))
			v.Flushes("run", 1)()
			return nil
		}})
	}
	if err := b.Interleave(t.Context(), cases); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(order, ""), "abcbcacab"; got != want {
		t.Errorf("the order was %s, want %s", got, want)
	}
	b.json = true
	var out bytes.Buffer
	if err := b.print(&out); err != nil {
		t.Fatal(err)
	}
	found, err := Read(&out)
	if err != nil || len(found) != 3 {
		t.Fatalf("Read = %v, %v, want 3 measurements: flushes do not count yet", found, err)
	}
	for i, want := range [][]float64{{1, 6, 8}, {2, 4, 9}, {3, 5, 7}} {
		m := found[i]
		if m.Question != "test" || m.Setting["name"] != string("abc"[i]) || m.Setting["found"] != "out" || m.Metric != "count" || !slices.Equal(m.Samples, want) {
			t.Errorf("measurement %d = %+v, want samples %v", i, m, want)
		}
	}
}

func TestEveryStoreHasAPlace(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	for _, store := range All {
		var dir string
		err := b.At(ctx, store, func(p *Place) error {
			dir = p.Dir
			s, err := p.Open(ctx)
			if err != nil {
				return err
			}
			rt, err := Runtime(s)
			if err != nil {
				return err
			}
			_, _, err = Drive(ctx, 5, 2, func(ctx context.Context, _ int) error { return RunThreeSteps(ctx, rt) })
			if err := errors.Join(err, s.Close()); err != nil {
				return err
			}
			if n, err := p.Bytes(ctx); err != nil || (n == 0) != (store == Memory) || p.Durability == "" {
				return fmt.Errorf("Bytes() = %d, %v; durability %q", n, err, p.Durability)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", store, err)
		}
		if _, err := os.Stat(dir); dir != "" && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: its folder is still there: %v", store, err)
		}
	}
}

func TestDriveEndsWithTheFirstError(t *testing.T) {
	wrong := errors.New("wrong")
	_, _, err := Drive(t.Context(), 1000, 1, func(_ context.Context, i int) error {
		switch {
		case i == 3:
			return wrong
		case i > 3:
			t.Errorf("thing %d is done after an error", i)
		}
		return nil
	})
	if !errors.Is(err, wrong) {
		t.Errorf("Drive() = %v, want %v", err, wrong)
	}
}

func TestARunThatDoesNotCompleteIsAnError(t *testing.T) {
	if err := Completed(&bide.Run{RunInfo: bide.RunInfo{ID: "r", Status: bide.StatusWaiting}}, nil); err == nil {
		t.Error("Completed(a waiting run) = nil")
	}
}

func TestUnknownStoresAreRefused(t *testing.T) {
	b := &Bench{allowed: []string{SQLite}, stores: "sqlite,mem"}
	if _, err := b.Stores(); err == nil || !strings.Contains(err.Error(), `"mem"`) {
		t.Errorf("Stores() = %v, want an error that names mem", err)
	}
}
