package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
)

// model is what a store does with mail, claims and the feed, in the shortest form.
type model struct {
	runs       map[string]*modelRun
	mail       []bide.Message
	broadcasts []bide.Message // that are kept, in the order of sending
	known      map[string]bool
	alive      map[string]time.Time
	feed       []bide.FeedRecord // without positions
	unread     []bide.FeedRecord // what of it the program has not read yet
}

type modelRun struct {
	chain               *Chain
	waits               map[string]bide.Wait
	fence               int64
	owner               string
	driven, aside, told bool
	toldInClaim         bool // told of mail after the last claim
}

func (m *model) matches(r *modelRun, key string) bool {
	for _, w := range r.waits {
		prefix, star := strings.CutSuffix(w.Key, "*")
		if w.Key == key || star && strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

func (m *model) isFor(r *modelRun, msg *bide.Message) bool {
	return msg.To == r.chain.Info.ID || msg.To == "" && m.matches(r, msg.Key)
}

func (m *model) send(msg bide.Message) {
	if msg.Copies {
		for _, r := range m.runs {
			for _, w := range r.waits {
				m.copyTo(r, w, &msg)
			}
		}
		if !msg.Until.IsZero() {
			m.broadcasts = append(m.broadcasts, msg)
		}
		return
	}
	box := msg.ID + " " + cmp.Or(msg.To, msg.Key)
	if m.known[box] {
		return
	}
	m.known[box] = true
	m.mail = append(m.mail, msg)
	for _, r := range m.runs {
		if r.chain.Info.Seq > 0 && m.isFor(r, &msg) {
			r.told, r.toldInClaim = true, true
		}
	}
}

// copyTo gives a wait its copy of a broadcast, if it is on its key.
func (m *model) copyTo(r *modelRun, w bide.Wait, msg *bide.Message) {
	if m.matches(&modelRun{waits: map[string]bide.Wait{"": w}}, msg.Key) {
		m.send(bide.Message{ID: msg.ID + "/" + w.ID, To: r.chain.Info.ID, Key: msg.Key})
	}
}

// opened gives a run what was kept for a wait that it opens.
func (m *model) opened(r *modelRun, w bide.Wait) {
	if len(m.mailOf(&modelRun{chain: r.chain, waits: map[string]bide.Wait{"": w}})) > 0 {
		r.told, r.toldInClaim = true, true
	}
	for _, msg := range m.broadcasts {
		if !w.Since.IsZero() && !w.Since.After(msg.At) && r.chain.Info.UpdatedAt.Before(msg.Until) {
			m.copyTo(r, w, &msg)
		}
	}
}

// delete removes all that is kept of a run.
func (m *model) delete(id string) {
	of := func(r bide.FeedRecord) bool { return r.RunID == id }
	m.feed, m.unread = slices.DeleteFunc(m.feed, of), slices.DeleteFunc(m.unread, of)
	m.mail = slices.DeleteFunc(m.mail, func(msg bide.Message) bool { return msg.To == id })
	for box := range m.known {
		if strings.HasSuffix(box, " "+id) {
			delete(m.known, box)
		}
	}
	m.runs[id] = newModelRun(id)
}

func newModelRun(id string) *modelRun {
	return &modelRun{chain: NewChain(id), waits: map[string]bide.Wait{}}
}

// mailOf lists the ids of the mail that a run can take.
func (m *model) mailOf(r *modelRun) (ids []string) {
	for i := range m.mail {
		if m.isFor(r, &m.mail[i]) && m.matches(r, m.mail[i].Key) {
			ids = append(ids, m.mail[i].ID)
		}
	}
	return ids
}

// claimable lists the runs that an owner can have at a time.
func (m *model) claimable(q *bide.ClaimQuery) (ids []string) {
	for id, r := range m.runs {
		i := &r.chain.Info
		due := !i.WakeAt.IsZero() && !i.WakeAt.After(q.Now)
		can := i.Status == bide.StatusRunning || i.Status == bide.StatusWaiting && (due || r.told)
		free := !r.driven || r.owner != q.Owner && (q.Sole || !m.alive[r.owner].After(q.Now))
		if i.Seq > 0 && can && free && !r.aside {
			ids = append(ids, id)
		}
	}
	return ids
}

// program is a random sequence of calls on a store and the model.
type program struct {
	*testing.T
	*rand.Rand
	s     Store
	m     *model
	tail  tail
	now   time.Time
	trace []string
	n     int
}

func randomProgram(t *testing.T, s Store) {
	before := &tail{FeedQuery: bide.FeedQuery{After: bide.FeedEnd}}
	for seed := range uint64(3) {
		before.mustRead(t, s)
		p := &program{T: t, Rand: rand.New(rand.NewPCG(seed, 7)), s: s, now: today,
			m: &model{runs: map[string]*modelRun{}, known: map[string]bool{}, alive: map[string]time.Time{}}}
		for i := range 4 {
			id := fmt.Sprintf("%d-run-%d", seed, i)
			p.m.runs[id] = newModelRun(id)
		}
		p.tail.After = before.After
		for range 150 {
			if p.act(seed); t.Failed() {
				t.Fatalf("the program was:\n%s", strings.Join(p.trace, "\n"))
			}
		}
		p.feed()
		wantFeed(t, "the feed from the beginning of the program", before.mustRead(t, s), p.m.feed)
	}
}

func (p *program) log(format string, args ...any) {
	p.trace = append(p.trace, fmt.Sprintf(format, args...))
}

// pick chooses a run.
func (p *program) pick() (string, *modelRun) {
	ids := make([]string, 0, len(p.m.runs))
	for id := range p.m.runs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	id := ids[p.IntN(len(ids))]
	return id, p.m.runs[id]
}

func (p *program) act(seed uint64) {
	p.n++
	owner := fmt.Sprintf("%d-owner-%d", seed, p.IntN(3))
	key := fmt.Sprintf("evt:%d:%d:%c", seed, p.IntN(2), 'a'+rune(p.IntN(2)))
	id, r := p.pick()
	switch p.IntN(11) {
	case 10:
		if p.IntN(3) == 0 {
			p.delete(id, r)
		} else {
			p.feed()
		}
	case 0, 1, 2, 3:
		p.commit(id, owner, r)
	case 4, 5:
		msg := bide.Message{ID: fmt.Sprintf("m%d", p.IntN(40)), Key: key, At: p.now, Copies: p.IntN(3) == 0}
		switch {
		case msg.Copies && p.IntN(2) == 0: // its id is new: what is known of it ends at some time
			msg.ID, msg.Until = fmt.Sprintf("b%d", p.n), p.now.Add(time.Duration(1+p.IntN(60))*time.Minute)
		case !msg.Copies && p.IntN(2) == 0:
			msg.To = id
		}
		p.log("send %+v", msg)
		p.check(p.s.Commit(p.Context(), &bide.Commit{Send: []bide.Message{msg}}))
		p.m.send(msg)
	case 6, 7:
		p.claim(bide.ClaimQuery{Owner: owner, Now: p.now, Limit: 1 + p.IntN(3), Sole: p.IntN(5) == 0,
			Workflows: []bide.WorkflowVersion{{ID: fmt.Sprint("wf", seed), Version: "1"}}})
	case 8:
		quiet := p.IntN(2) == 0
		p.log("release %s %s quiet %v", owner, id, quiet)
		p.check(p.s.Release(p.Context(), owner, []string{id}, quiet))
		if r.driven && r.owner == owner {
			r.driven = false
			if quiet {
				r.told = r.told && r.toldInClaim
			}
		}
	default:
		p.now = p.now.Add(time.Duration(p.IntN(20)) * time.Minute)
		until := p.now.Add(time.Duration(p.IntN(40)) * time.Minute)
		p.log("it is %v, %s lives until %v", p.now, owner, until)
		p.check(p.s.Heartbeat(p.Context(), owner, until))
		p.m.alive[owner] = until
		if p.IntN(4) == 0 && r.chain.Info.Seq > 0 {
			r.aside = !r.aside
			p.log("%s is set aside: %v", id, r.aside)
			p.check(p.s.SetAside(p.Context(), id, map[bool]string{true: "so"}[r.aside]))
		}
	}
	p.compare()
}

// commit makes the next commit of a run; now and then under a claim or making one, taking mail.
func (p *program) commit(id, owner string, r *modelRun) {
	was := r.chain.Info
	next := *r.chain
	next.Info.Workflow = "wf" + strings.SplitN(id, "-", 2)[0]
	next.Info.Status = []bide.Status{bide.StatusRunning, bide.StatusWaiting, bide.StatusWaiting, bide.StatusPaused}[p.IntN(4)]
	next.Info.WakeAt = []time.Time{{}, p.now.Add(time.Duration(p.IntN(60)-20) * time.Minute)}[p.IntN(2)]
	c := next.Next(1 + p.IntN(2))
	next.Info.UpdatedAt = p.now
	c.Info = next.Info
	want := map[string]bide.Wait{}
	for id, w := range r.waits {
		if p.IntN(2) == 0 {
			c.Closed = append(c.Closed, id)
		} else {
			want[id] = w
		}
	}
	if p.IntN(2) == 0 {
		w := bide.Wait{ID: fmt.Sprintf("%s.%d", id, p.n), Kind: bide.WaitForEvent, CreatedAt: start}
		w.Key = fmt.Sprintf("evt:%s:%d:%s", strings.SplitN(id, "-", 2)[0], p.IntN(2), []string{"a", "b", "*"}[p.IntN(3)])
		if p.IntN(2) == 0 {
			w.Since = p.now.Add(-time.Duration(p.IntN(60)) * time.Minute)
		}
		c.Opened, want[w.ID] = []bide.Wait{w}, w
	}
	switch n := p.IntN(6); {
	case n == 0:
		c.Owner, c.Claimed = owner, r.fence+1-int64(p.IntN(4)/3)
	case n > 2 && was.Seq > 0:
		c.Fence = r.fence - int64(p.IntN(4)/3)
	}
	claims := c.Owner != "" && c.Info.Status == bide.StatusRunning
	loaded := p.IntN(2) == 0
	if loaded && was.Seq > 0 {
		stored := load(p.T, p.s, id)
		c.MailSeen = stored.MailSeq
		for _, msg := range stored.Mail[:min(len(stored.Mail), p.IntN(3))] {
			if !slices.Contains(c.Took, msg.ID) {
				c.Took = append(c.Took, msg.ID)
			}
		}
	}
	took := c.Took
	sentBefore := false
	if msg := toRun(fmt.Sprintf("m%d", p.IntN(40)), id, "k"); p.IntN(3) == 0 && !slices.Contains(took, msg.ID) {
		c.Send, c.Took = []bide.Message{msg}, append(slices.Clone(took), msg.ID)
		sentBefore = p.m.known[msg.ID+" "+id]
	}
	p.log("commit %+v", *c)
	err := p.s.Commit(p.Context(), c)
	switch {
	case c.Fence != 0 && c.Fence != r.fence:
		if !sentBefore || !errors.Is(err, bide.ErrConflict) {
			wantError(p.T, "Commit under a former claim", err, bide.ErrFenced)
		}
		return
	case claims && c.Claimed != r.fence+1:
		wantError(p.T, "Commit with a claim that does not follow", err, bide.ErrConflict)
		return
	case sentBefore:
		wantError(p.T, "Commit that takes what was sent before", err, bide.ErrConflict)
		return
	}
	p.check(err)
	for _, msg := range c.Send {
		p.m.known[msg.ID+" "+id] = true
	}
	p.m.feed, p.m.unread = append(p.m.feed, feedOf(c)...), append(p.m.unread, feedOf(c)...)
	for _, took := range took {
		i := slices.IndexFunc(p.m.mail, func(m bide.Message) bool { return m.ID == took && p.m.isFor(r, &m) })
		p.m.mail = slices.Delete(p.m.mail, i, i+1)
	}
	running := c.Info.Status == bide.StatusRunning
	switch {
	case claims:
		r.owner, r.driven, r.fence = c.Owner, true, c.Claimed
	case c.Fence != 0:
		r.driven = running
	case running && was.Status != bide.StatusRunning:
		r.driven = false
	}
	if c.MailSeen > 0 {
		r.told = false
	}
	*r.chain, r.waits = next, want
	for _, w := range c.Opened {
		p.m.opened(r, w)
	}
	if claims {
		r.toldInClaim = r.told // its owner has seen no more than the commit says
	}
}

// delete ends a run and deletes it, after which it can begin again.
func (p *program) delete(id string, r *modelRun) {
	if r.chain.Info.Seq == 0 {
		return
	}
	end := step(r.chain, bide.StatusFailed, 0)
	for w := range r.waits {
		end.Closed = append(end.Closed, w)
	}
	p.log("end and delete %s", id)
	p.check(p.s.Commit(p.Context(), end))
	p.check(p.s.Commit(p.Context(), &bide.Commit{RunID: id, Expect: r.chain.Info.Position(), Delete: true}))
	p.m.delete(id)
}

// feed reads what is new in the feed.
func (p *program) feed() {
	p.log("read the feed after %d", p.tail.After)
	fresh, err := p.tail.read(p.Context(), p.s)
	p.check(err)
	wantFeed(p.T, "what is new in the feed", fresh, p.m.unread)
	p.m.unread = nil
}

func (p *program) claim(q bide.ClaimQuery) {
	p.log("claim %+v", q)
	can := p.m.claimable(&q)
	got, err := p.s.Claim(p.Context(), q)
	p.check(err)
	if len(got) != min(len(can), q.Limit) {
		p.Errorf("Claim(%+v) = %v, want %d of %v", q, got, q.Limit, can)
	}
	for _, c := range got {
		r := p.m.runs[c.RunID]
		if r == nil || !slices.Contains(can, c.RunID) || c.Fence <= r.fence {
			p.Errorf("Claim(%+v) = %v, want some of %v with greater fences", q, got, can)
			return
		}
		r.owner, r.driven, r.fence, r.toldInClaim = q.Owner, true, c.Fence, false
	}
}

func (p *program) check(err error) {
	p.Helper()
	if err != nil {
		p.Errorf("a call failed: %v", err)
	}
}

// compare looks for a difference between the store and the model.
func (p *program) compare() {
	p.Helper()
	id, r := p.pick()
	if r.chain.Info.Seq == 0 {
		return
	}
	got := load(p.T, p.s, id)
	var mail []string
	for _, m := range got.Mail {
		mail = append(mail, m.ID)
	}
	want := p.m.mailOf(r)
	slices.Sort(mail) // copies have no order among themselves
	slices.Sort(want)
	same(p.T, "the mail of "+id, mail, want)
	if got.Fence != r.fence {
		p.Errorf("run %s has fence %d, want %d", id, got.Fence, r.fence)
	}
}
