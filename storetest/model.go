package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
)

// model is what a store does with mail and claims, in the shortest form.
type model struct {
	runs  map[string]*modelRun
	mail  []bide.Message
	known map[string]bool
	alive map[string]time.Time
}

type modelRun struct {
	chain               *Chain
	waits               map[string]string // key by id
	fence               int64
	owner               string
	driven, aside, told bool
	toldInClaim         bool // told of mail after the last claim
}

func (m *model) matches(r *modelRun, key string) bool {
	for _, k := range r.waits {
		prefix, star := strings.CutSuffix(k, "*")
		if k == key || star && strings.HasPrefix(key, prefix) {
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
		for id, r := range m.runs {
			for w, key := range r.waits {
				if (&model{}).matches(&modelRun{waits: map[string]string{"": key}}, msg.Key) {
					m.send(bide.Message{ID: msg.ID + "/" + w, To: id, Key: msg.Key})
				}
			}
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
	now   time.Time
	trace []string
	n     int
}

func randomProgram(t *testing.T, s Store) {
	for seed := range uint64(3) {
		p := &program{T: t, Rand: rand.New(rand.NewPCG(seed, 7)), s: s, now: today,
			m: &model{runs: map[string]*modelRun{}, known: map[string]bool{}, alive: map[string]time.Time{}}}
		for i := range 4 {
			id := fmt.Sprintf("%d-run-%d", seed, i)
			p.m.runs[id] = &modelRun{chain: NewChain(id), waits: map[string]string{}}
		}
		for range 150 {
			if p.act(seed); t.Failed() {
				t.Fatalf("the program was:\n%s", strings.Join(p.trace, "\n"))
			}
		}
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
	switch p.IntN(10) {
	case 0, 1, 2, 3:
		p.commit(id, r)
	case 4, 5:
		msg := bide.Message{ID: fmt.Sprintf("m%d", p.IntN(40)), Key: key, At: start, Copies: p.IntN(4) == 0}
		if !msg.Copies && p.IntN(2) == 0 {
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

// commit makes the next commit of a run; now and then under a claim, taking mail.
func (p *program) commit(id string, r *modelRun) {
	was := r.chain.Info
	next := *r.chain
	next.Info.Workflow = "wf" + strings.SplitN(id, "-", 2)[0]
	next.Info.Status = []bide.Status{bide.StatusRunning, bide.StatusWaiting, bide.StatusWaiting, bide.StatusPaused}[p.IntN(4)]
	next.Info.WakeAt = []time.Time{{}, p.now.Add(time.Duration(p.IntN(60)-20) * time.Minute)}[p.IntN(2)]
	c := next.Next(1 + p.IntN(2))
	want := map[string]string{}
	for w, key := range r.waits {
		if p.IntN(2) == 0 {
			c.Closed = append(c.Closed, w)
		} else {
			want[w] = key
		}
	}
	if p.IntN(2) == 0 {
		w := bide.Wait{ID: fmt.Sprintf("%s.%d", id, p.n), Kind: bide.WaitForEvent, CreatedAt: start}
		w.Key = fmt.Sprintf("evt:%s:%d:%s", strings.SplitN(id, "-", 2)[0], p.IntN(2), []string{"a", "b", "*"}[p.IntN(3)])
		c.Opened, want[w.ID] = []bide.Wait{w}, w.Key
	}
	if was.Seq > 0 && p.IntN(3) > 0 {
		c.Fence = r.fence - int64(p.IntN(4)/3)
	}
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
	p.log("commit %+v", *c)
	err := p.s.Commit(p.Context(), c)
	if c.Fence != 0 && c.Fence != r.fence {
		wantError(p.T, "Commit", err, bide.ErrFenced)
		return
	}
	p.check(err)
	for _, took := range c.Took {
		i := slices.IndexFunc(p.m.mail, func(m bide.Message) bool { return m.ID == took && p.m.isFor(r, &m) })
		p.m.mail = slices.Delete(p.m.mail, i, i+1)
	}
	running := c.Info.Status == bide.StatusRunning
	switch {
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
		opened := &modelRun{chain: NewChain(id), waits: map[string]string{"": w.Key}}
		if len(p.m.mailOf(opened)) > 0 {
			r.told, r.toldInClaim = true, true
		}
	}
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
