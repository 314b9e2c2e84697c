package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
)

// Crash lets a process die at every commit of two scenarios in turn, and at every
// claim and release, once before it is applied and once after. Each time a new runtime carries on with
// the same store, and the client repeats its commands. In the end the runs must be what they are
// when nothing fails, nothing may have been done that the ledger did not
// announce, and nothing that is to be done at most once may have been done twice.
//
// The first scenario has questions, forms, timers, retries, several effects in a
// step, effects of both kinds of delivery, and the commands pause, unpause, retry
// and cancel. In the second a worker drives runs by claims; they have children, and events that
// are sent before and after they are waited for.
func Crash(t *testing.T, open func(t *testing.T) bide.Store) {
	crash(t, func(t *testing.T) *disk {
		s := open(t)
		return &disk{open: func() Store { return whole(t, s) }, close: func(Store) error { return nil }, remove: func() { s.Close() }}
	})
}

// CrashDurable is Crash for a store that keeps its runs in a directory: it is
// closed and opened again after each death.
func CrashDurable(t *testing.T, open func(t *testing.T, dir string) bide.Store) {
	crash(t, func(t *testing.T) *disk {
		dir := t.TempDir()
		return &disk{open: func() Store { return whole(t, open(t, dir)) }, close: Store.Close, remove: func() {}}
	})
}

// disk is what outlives a process.
type disk struct {
	open   func() Store
	close  func(Store) error
	remove func()
}

// death says how a process ends.
type death struct {
	at      int  // the write at which it dies, from 1; 0 for never
	applied bool // whether that write reaches the store
}

func (d death) String() string {
	return fmt.Sprintf("write %d %s", d.at, map[bool]string{false: "not applied", true: "applied, then error"}[d.applied])
}

func crash(t *testing.T, newDisk func(*testing.T) *disk) {
	t.Run("orders", func(t *testing.T) { crashIn(t, newDisk, (*process).orders) })
	t.Run("trips", func(t *testing.T) { crashIn(t, newDisk, (*process).trips) })
}

// scenario gives all commands to a process and returns how the runs ended.
type scenario func(*process) *ending

func crashIn(t *testing.T, newDisk func(*testing.T) *disk, script scenario) {
	var want *ending
	var writes int
	t.Run("undisturbed", func(t *testing.T) { want, writes = live(t, newDisk(t), death{}, script) })
	if want == nil {
		return
	}
	for _, applied := range []bool{false, true} {
		// A death may cost or save a few writes: go on until the process lives.
		for at, died := 1, true; died && at < 3*writes; at++ {
			d := death{at, applied}
			t.Run(d.String(), func(t *testing.T) {
				got, n := live(t, newDisk(t), d, script)
				died = n >= at
				same(t, "the end", got, want)
			})
		}
	}
}

// live plays a scenario, starting a new process when one dies, and checks
// what is left. It returns the end and the number of writes that the first process made.
func live(t *testing.T, d *disk, first death, script scenario) (end *ending, writes int) {
	t.Helper()
	defer d.remove()
	world := newWorld(t)
	client := &client{t: t, world: world}
	for process, how := 1, first; ; process, how = process+1, (death{}) {
		s := d.open()
		mortal := &mortal{Store: s, death: how}
		world.ledger = s
		end = client.play(mortal, script)
		if process == 1 {
			writes = mortal.writes
		}
		if end != nil {
			world.check(s, end)
		}
		if err := d.close(s); err != nil {
			t.Fatalf("Close = %v", err)
		}
		switch {
		case end != nil:
			return end, writes
		case process > 1:
			t.Fatal("a process failed that was not to die")
		}
	}
}

// errDied is what every call on the store of a dead process gives.
var errDied = errors.New("the process has died")

// mortal is a store as one process sees it: at a chosen write the process dies,
// and every call from then on fails.
type mortal struct {
	Store
	death

	mu     sync.Mutex
	writes int
	dead   bool
}

// write makes a call that changes the store.
func write[T any](m *mortal, call func() (T, error)) (T, error) {
	var none T
	m.mu.Lock()
	m.writes++
	switch {
	case m.dead:
		m.mu.Unlock()
		return none, errDied
	case m.writes == m.at:
		m.dead = true
		m.mu.Unlock()
		if m.applied {
			_, _ = call() // nobody is there to learn the outcome
		}
		return none, errDied
	}
	m.mu.Unlock()
	return call()
}

func (m *mortal) isDead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// alive makes a call that a dead process cannot make.
func alive[T any](m *mortal, call func() (T, error)) (T, error) {
	if m.isDead() {
		var none T
		return none, errDied
	}
	return call()
}

func (m *mortal) Commit(ctx context.Context, c *bide.Commit) error {
	_, err := write(m, func() (struct{}, error) { return struct{}{}, m.Store.Commit(ctx, c) })
	return err
}

func (m *mortal) Claim(ctx context.Context, q bide.ClaimQuery) ([]bide.Claim, error) {
	return write(m, func() ([]bide.Claim, error) { return m.Store.Claim(ctx, q) })
}

func (m *mortal) Release(ctx context.Context, owner string, runIDs []string, quiet bool) error {
	_, err := write(m, func() (struct{}, error) { return struct{}{}, m.Store.Release(ctx, owner, runIDs, quiet) })
	return err
}

func (m *mortal) NextWake(ctx context.Context, after time.Time) (time.Time, error) {
	return alive(m, func() (time.Time, error) { return m.Store.NextWake(ctx, after) })
}

func (m *mortal) Load(ctx context.Context, runID string, have bide.Position) (*bide.Stored, error) {
	return alive(m, func() (*bide.Stored, error) { return m.Store.Load(ctx, runID, have) })
}

func (m *mortal) Records(ctx context.Context, runID string, from int64, limit int) ([][]byte, error) {
	return alive(m, func() ([][]byte, error) { return m.Store.Records(ctx, runID, from, limit) })
}

func (m *mortal) Command(ctx context.Context, runID, commandID string) (*bide.CommandRecord, error) {
	return alive(m, func() (*bide.CommandRecord, error) { return m.Store.Command(ctx, runID, commandID) })
}

func (m *mortal) Feed(ctx context.Context, q bide.FeedQuery) (*bide.FeedPage, error) {
	return alive(m, func() (*bide.FeedPage, error) { return m.Store.Feed(ctx, q) })
}

func (m *mortal) Runs(ctx context.Context, q bide.RunQuery) (*bide.RunPage, error) {
	return alive(m, func() (*bide.RunPage, error) { return m.Store.Runs(ctx, q) })
}

func (m *mortal) Waits(ctx context.Context, q bide.WaitQuery) (*bide.WaitPage, error) {
	return alive(m, func() (*bide.WaitPage, error) { return m.Store.Waits(ctx, q) })
}
