package postgres_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/pgtest"
	"github.com/bide-dev/bide/store/mem"
	"github.com/bide-dev/bide/store/postgres"
	"github.com/bide-dev/bide/storetest"
)

// TestItDoesWhatTheReferenceDoes gives random programs of commits, messages and
// claims to this store and to package mem: both must answer the same.
func TestItDoesWhatTheReferenceDoes(t *testing.T) {
	url := pgtest.Start(t)
	s := open(t, url, &postgres.Options{Sweep: time.Hour})
	conn := connect(t, url)
	rapid.Check(t, func(t *rapid.T) {
		for _, table := range tables {
			sql := "DELETE FROM " + table
			if table == "owners" { // the store knows that they are there
				sql = "UPDATE owners SET alive_until = 0"
			}
			run(t, conn, sql)
		}
		m := &model{T: t, ours: &dense{s, map[string][]int64{}}, reference: mem.New(), chains: map[string]*storetest.Chain{}, fences: map[string]int64{}, waits: map[string][]string{}}
		t.Repeat(map[string]func(*rapid.T){
			"commit": m.commit, "commit more": m.commit, "delete": m.delete, "send": m.send, "claim": m.claim, "release": m.release,
			"heartbeat": m.heartbeat, "set aside": m.setAside, "": m.compare,
		})
	})
}

var (
	modelRuns   = []string{"a", "b", "B", "c-1", "c_2"}
	modelKeys   = []string{"evt:run:a:go", "evt:run:a:stop", "evt:global::go", "job-1", "evt:run:a:*", "evt:*", "job-1:*", ":x", ":*"}
	modelOwners = []string{"w1", "w2", "w3"}
)

// stores is what both of them do.
type stores interface {
	bide.Store
	bide.Claims
}

// dense is a store whose claims are numbered without gaps, as those of the reference are.
type dense struct {
	stores
	numbers map[string][]int64 // by run, what its claims really have
}

func (d *dense) Claim(ctx context.Context, q bide.ClaimQuery) ([]bide.Claim, error) {
	claims, err := d.stores.Claim(ctx, q)
	for i := range claims {
		c := &claims[i]
		if stored := c.Stored; stored != nil && stored.Fence != c.Fence {
			return nil, fmt.Errorf("claim %d of run %s comes with the state of claim %d", c.Fence, c.RunID, stored.Fence)
		}
		ns := d.numbers[c.RunID]
		if len(ns) > 0 && c.Fence <= ns[len(ns)-1] {
			return nil, fmt.Errorf("run %s has claim %d after claim %d", c.RunID, c.Fence, ns[len(ns)-1])
		}
		d.numbers[c.RunID] = append(ns, c.Fence)
		if c.Fence = int64(len(ns)) + 1; c.Stored != nil {
			c.Stored.Fence = c.Fence
		}
	}
	return claims, err
}

func (d *dense) Load(ctx context.Context, id string, from bide.Position) (*bide.Stored, error) {
	out, err := d.stores.Load(ctx, id, from)
	if err == nil && out.Fence > 0 {
		out.Fence = int64(slices.Index(d.numbers[id], out.Fence)) + 1
	}
	return out, err
}

func (d *dense) Commit(ctx context.Context, c *bide.Commit) error {
	real := *c
	if ns := d.numbers[c.RunID]; c.Fence > 0 && c.Fence <= int64(len(ns)) { // else it is that of a run that was deleted
		real.Fence = ns[c.Fence-1]
	}
	err := d.stores.Commit(ctx, &real)
	if err == nil && c.Delete {
		delete(d.numbers, c.RunID)
	}
	return err
}

type model struct {
	*rapid.T
	ours      stores
	reference *mem.Store
	chains    map[string]*storetest.Chain
	fences    map[string]int64    // of the last claims
	waits     map[string][]string // open ones
	count     int
}

// both makes a call on both stores and compares the outcomes.
func (m *model) both(what string, call func(s stores) (any, error)) error {
	m.Helper()
	want, wantErr := call(m.reference)
	got, err := call(m.ours)
	if d := diff.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		m.Fatalf("%s differs (-mem +postgres):\n%s", what, d)
	}
	var e, wantE *bide.Error
	errors.As(err, &e)
	errors.As(wantErr, &wantE)
	if (err == nil) != (wantErr == nil) || e != nil && (wantE == nil || e.Code != wantE.Code) {
		m.Fatalf("%s = %v, want %v", what, err, wantErr)
	}
	return err
}

func (m *model) one(what string, of []string) string { return rapid.SampledFrom(of).Draw(m.T, what) }
func (m *model) flag(what string) bool               { return rapid.Bool().Draw(m.T, what) }
func (m *model) upTo(what string, n int) int         { return rapid.IntRange(0, n).Draw(m.T, what) }

func (m *model) time(what string) time.Time {
	return start.Add(time.Duration(m.upTo(what, 20)) * time.Second)
}

// message makes a message, sometimes with an id that was used before.
func (m *model) message() bide.Message {
	m.count++
	msg := bide.Message{ID: fmt.Sprint("m", m.count), Key: m.one("key", modelKeys[:4]), At: m.time("at")}
	if m.flag("payload") {
		msg.Payload = bide.JSON(`{"b": 1,"a":1.0}`)
	}
	switch m.upTo("kind of message", 3) {
	case 0:
		msg.To = m.one("to", modelRuns)
	case 1:
		msg.Copies = true
	case 2:
		msg.ID, msg.Key = "again", "job-1"
	}
	return msg
}

func (m *model) send(*rapid.T) {
	c := &bide.Commit{}
	for range 1 + m.upTo("messages", 2) {
		c.Send = append(c.Send, m.message())
	}
	m.both("send", func(s stores) (any, error) {
		return nil, s.Commit(m.Context(), c)
	})
}

// next makes a random commit of a run.
func (m *model) next(id string, chain *storetest.Chain) *bide.Commit {
	chain.Info.Status = rapid.SampledFrom([]bide.Status{bide.StatusRunning, bide.StatusWaiting, bide.StatusWaiting, bide.StatusPaused, bide.StatusCompleted}).Draw(m.T, "status")
	chain.Info.WakeAt = time.Time{}
	if m.flag("timer") {
		chain.Info.WakeAt = m.time("wake")
	}
	c := chain.Next(1 + m.upTo("records", 2))
	if stored, err := m.reference.Load(m.Context(), id, bide.Position{}); err == nil {
		c.MailSeen = max(0, stored.MailSeq-int64(m.upTo("behind", 1)))
		if m.flag("take mail") && len(stored.Mail) > 0 {
			c.Took = []string{stored.Mail[m.upTo("which", len(stored.Mail)-1)].ID}
		}
	}
	if m.upTo("take what is not there", 9) == 0 {
		c.Took = append(c.Took, "nothing")
	}
	for i := range m.upTo("waits", 2) {
		w := bide.Wait{ID: fmt.Sprintf("%s.%d", id, c.Info.Seq*10+int64(i)), Kind: bide.WaitForEvent, CreatedAt: m.time("created")}
		if m.flag("with key") {
			w.Key = m.one("wait's key", modelKeys)
		}
		c.Opened = append(c.Opened, w)
	}
	if open := m.waits[id]; len(open) > 0 && m.flag("close") {
		c.Closed = []string{open[m.upTo("which wait", len(open)-1)]}
	}
	if m.flag("fence") {
		c.Fence = max(0, m.fences[id]-int64(m.upTo("stale", 1)))
	}
	if m.flag("snapshot") {
		c.Snapshot = fmt.Append(nil, c.Info.Seq)
	}
	return c
}

func (m *model) commit(*rapid.T) {
	id := m.one("run", modelRuns)
	before := storetest.NewChain(id)
	if known := m.chains[id]; known != nil && m.upTo("begin again", 9) > 0 {
		*before = *known
	}
	chain := *before
	c := m.next(id, &chain)
	if m.flag("with message") {
		c.Send = []bide.Message{m.message()}
	}
	var children []*storetest.Chain
	for range m.upTo("children", 1) {
		child := storetest.NewChain(m.one("child", modelRuns))
		if child.Info.ID != id {
			c.Starts = append(c.Starts, child.Next(1))
			children = append(children, child)
		}
	}
	err := m.both("commit", func(s stores) (any, error) {
		return nil, s.Commit(m.Context(), c)
	})
	if err != nil {
		return
	}
	m.chains[id] = &chain
	m.waits[id] = slices.DeleteFunc(m.waits[id], func(id string) bool { return slices.Contains(c.Closed, id) })
	for _, w := range c.Opened {
		m.waits[id] = append(m.waits[id], w.ID)
	}
	for _, child := range children {
		if m.chains[child.Info.ID] == nil {
			m.chains[child.Info.ID] = child
		}
	}
	if m.flag("sent again") {
		m.both("commit again", func(s stores) (any, error) {
			return nil, s.Commit(m.Context(), c)
		})
	}
}

func (m *model) delete(*rapid.T) {
	id := m.one("run", modelRuns)
	c := &bide.Commit{RunID: id, Delete: true}
	chain := m.chains[id]
	if chain == nil {
		return
	}
	c.Expect = chain.Info.Position()
	if m.flag("wrong") {
		c.Expect.Seq++
	}
	if m.both("delete", func(s stores) (any, error) { return nil, s.Commit(m.Context(), c) }) == nil {
		delete(m.chains, id)
		delete(m.waits, id)
	}
}

func (m *model) claim(*rapid.T) {
	q := bide.ClaimQuery{Owner: m.one("owner", modelOwners), Now: m.time("now"), Limit: m.upTo("limit", 3), Sole: m.flag("sole"),
		Workflows: []bide.WorkflowVersion{{ID: "other", Version: "1"}, {ID: "wf", Version: "1"}}[m.upTo("known", 1):]}
	m.both("claim", func(s stores) (any, error) {
		claims, err := s.Claim(m.Context(), q)
		for i, c := range claims {
			m.fences[c.RunID] = c.Fence
			if c.Stored == nil {
				continue
			}
			if loaded, err := s.Load(m.Context(), c.RunID, bide.Position{}); err != nil || !diff.Equal(c.Stored, loaded) {
				m.Errorf("with the claim of %s comes what differs from Load: %v\n%s", c.RunID, err, diff.Diff(c.Stored, loaded))
			}
			claims[i].Stored = nil
		}
		return claims, err
	})
}

func (m *model) release(*rapid.T) {
	owner, quiet := m.one("owner", modelOwners), m.flag("quiet")
	var ids []string
	if m.flag("some") {
		ids = []string{m.one("run", modelRuns), m.one("run", modelRuns)}
	}
	m.both("release", func(s stores) (any, error) {
		return nil, s.Release(m.Context(), owner, ids, quiet)
	})
}

func (m *model) heartbeat(*rapid.T) {
	owner, until := m.one("owner", modelOwners), m.time("until")
	m.both("heartbeat", func(s stores) (any, error) {
		return nil, s.Heartbeat(m.Context(), owner, until)
	})
}

func (m *model) setAside(*rapid.T) {
	id, reason := m.one("run", append([]string{"missing"}, modelRuns...)), m.one("reason", []string{"", "broken"})
	m.both("set aside", func(s stores) (any, error) {
		return nil, s.SetAside(m.Context(), id, reason)
	})
}

// compare compares something that the stores show.
func (m *model) compare(*rapid.T) {
	switch m.upTo("look at", 3) {
	case 0, 1:
		id := m.one("run", modelRuns)
		m.both("load "+id, func(s stores) (any, error) {
			stored, err := s.Load(m.Context(), id, bide.Position{})
			if err == nil {
				sortCopies(stored.Mail)
			}
			return stored, err
		})
	case 2:
		q := []bide.RunQuery{{}, {SetAside: true}, {Status: bide.StatusWaiting}, {Status: bide.StatusWaiting, WakeBefore: start.Add(10 * time.Second)}}[m.upTo("query", 3)]
		m.both("runs", func(s stores) (any, error) { return s.Runs(m.Context(), q) })
	case 3:
		m.both("waits", func(s stores) (any, error) { return s.Waits(m.Context(), bide.WaitQuery{}) })
		after := m.time("after")
		m.both("next wake", func(s stores) (any, error) { return s.NextWake(m.Context(), after) })
	}
}

// sortCopies puts the copies of one broadcast to several waits of a run, which
// were sent at once, in an order.
func sortCopies(mail []bide.Message) {
	origin := func(m bide.Message) string { id, _, _ := strings.Cut(m.ID, "/"); return id }
	for i := 0; i < len(mail); {
		n := i
		for n < len(mail) && origin(mail[n]) == origin(mail[i]) {
			n++
		}
		slices.SortFunc(mail[i:n], func(a, b bide.Message) int { return cmp.Compare(a.ID, b.ID) })
		i = n
	}
}
