package storetest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bide-dev/bide"
)

// paid is the key of the events that these tests send to a session.
const paid = "evt:session:s:paid"

// send sends messages in one commit without a run.
func send(t *testing.T, s bide.Store, messages ...bide.Message) {
	t.Helper()
	must(t, s, &bide.Commit{Send: messages})
}

// toKey and toRun are messages with a payload that names them.
func toKey(id, key string) bide.Message {
	return bide.Message{ID: id, Key: key, Payload: bide.JSON(`"` + id + `"`), At: start}
}

func toRun(id, run, key string) bide.Message {
	m := toKey(id, key)
	m.To = run
	return m
}

// waiting commits to a chain that its run waits, on a wait for every key.
func waiting(t *testing.T, s bide.Store, c *Chain, keys ...string) *bide.Commit {
	t.Helper()
	c.Info.Status = bide.StatusWaiting
	commit := c.Next(1)
	for i, key := range keys {
		id := fmt.Sprintf("%s.%d", c.Info.ID, int(commit.Info.Seq)*100+i)
		commit.Opened = append(commit.Opened, bide.Wait{ID: id, Kind: bide.WaitForEvent, Key: key, CreatedAt: start})
	}
	must(t, s, commit)
	return commit
}

// load loads a run.
func load(t *testing.T, s bide.Store, id string) *bide.Stored {
	t.Helper()
	stored, err := s.Load(t.Context(), id, bide.Position{})
	if err != nil {
		t.Fatalf("Load(%s) = %v", id, err)
	}
	return stored
}

// wantMail checks which messages a run can take now, in order.
func wantMail(t *testing.T, s bide.Store, id string, want ...string) {
	t.Helper()
	var got []string
	for _, m := range load(t, s, id).Mail {
		got = append(got, m.ID)
	}
	same(t, "the mail of "+id, got, want)
}

func mailMatches(t *testing.T, s Store) {
	for i, test := range []struct {
		wait, key string
		want      bool
	}{
		{paid, paid, true},
		{"evt:session:s:*", paid, true},
		{"evt:session:*", paid, true},
		{"evt:*", paid, true},
		{"evt:session:s:*", "evt:session:s:", true},
		{"evt:session:s:*", "evt:session:s:a:b", true},
		{"evt:session:s:*", "evt:session:s:*", true},
		{"evt:session:s:*", "evt:session:s:\U0010fffd", true},
		{"evt:session:s:*", "evt:session:s", false},
		{"evt:session:s:*", "evt:session:s;", false},
		{"evt:session:s:*", "evt:session:t:paid", false},
		{"evt:session:s:p*", paid, false},
		{"evt:session:_:*", paid, false},
		{"evt:session:%:paid", paid, false},
		{"evt:session:?:*", paid, false},
		{"*", paid, false},
		{":*", paid, false},
		{":*", ":x", true},
		{"evt:session:s:PAID", paid, false},
		{"evt:session:s:pai", paid, false},
		{"evt:session:s:paid:*", paid, false},
		{"", paid, false},
		{"é:*", "é:ü", true},
	} {
		id, pair := fmt.Sprint("m", i), fmt.Sprintf("%q and %q", test.wait, test.key)
		before, after := NewChain(fmt.Sprint("before-", i)), NewChain(fmt.Sprint("after-", i))
		waiting(t, s, before, test.wait)
		send(t, s, toKey(id, test.key))
		waiting(t, s, after, test.wait)
		has := func(c *Chain) (bool, int64) {
			stored := load(t, s, c.Info.ID)
			return slices.ContainsFunc(stored.Mail, func(m bide.Message) bool { return m.ID == id }), stored.MailSeq
		}
		for _, c := range []*Chain{before, after} {
			if got, told := has(c); got != test.want || test.want && told == 0 {
				t.Errorf("%s: the message is mail of %s: %v (told %d times), want %v", pair, c.Info.ID, got, told, test.want)
			}
		}
		taker := before.Next(1)
		taker.Took = []string{id}
		if !test.want {
			wantError(t, "taking a message of another mailbox, "+pair, s.Commit(t.Context(), taker), bide.ErrConflict)
			continue
		}
		must(t, s, taker)
		if got, _ := has(after); got {
			t.Errorf("%s: the message is there after it was taken", pair)
		}
	}
}

func mailEveryField(t *testing.T, s Store) {
	waiting(t, s, NewChain("run"), paid, "evt:session:s:*", "evt:run:run:*")
	byMailbox := func(got []bide.Message) (sorted []bide.Message) {
		sorted = slices.Clone(got)
		slices.SortStableFunc(sorted, func(a, b bide.Message) int { return strings.Compare(cmp.Or(a.To, a.Key), cmp.Or(b.To, b.Key)) })
		return sorted
	}
	sent := []bide.Message{
		{ID: "b", Key: paid, Payload: bide.JSON(`{"z":1.0,"a":"<\u2028>", "n":9007199254740993}`), At: start.Add(time.Hour)},
		{ID: "a", To: "run", Key: "evt:run:run:x", Payload: bide.JSON("null"), At: start},
		{ID: "é/ü", Key: "evt:session:s:other", At: start.Add(time.Microsecond)},
		{ID: "0", To: "run", Key: "cancel:run", At: start.Add(-time.Hour)},
		{ID: "c", Key: paid, Payload: bide.JSON(`""`), At: start},
	}
	send(t, s, sent[0], sent[1])
	for _, m := range sent[2:] {
		send(t, s, m)
	}
	got := load(t, s, "run").Mail
	same(t, "the mail, in the order of sending to each mailbox", byMailbox(got), byMailbox(sent))
	for _, m := range got {
		if m.At.Location() != time.UTC {
			t.Errorf("%v is not in UTC", m.At)
		}
	}
	have, err := s.Load(t.Context(), "run", load(t, s, "run").Position)
	if err != nil {
		t.Fatalf("Load = %v", err)
	}
	same(t, "the mail for a caller that has the state", have.Mail, got)
}

func mailIDs(t *testing.T, s Store) {
	c := NewChain("run")
	waiting(t, s, c, paid)
	waiting(t, s, NewChain("other"), paid+":*")
	send(t, s, toKey("m", paid), toRun("m", "run", paid), toRun("m", "other", paid+":x"), toKey("m", "evt:session:t:paid"))
	before := contents(t, s)
	again := func(when string) {
		t.Helper()
		for _, m := range []bide.Message{toKey("m", paid), toRun("m", "run", "evt:run:run:y")} {
			m.Payload = bide.JSON(`"again"`)
			send(t, s, m)
			send(t, s, m, m)
		}
		same(t, "the store after messages were sent again "+when, contents(t, s), before)
	}
	wantMail(t, s, "run", "m", "m")
	wantMail(t, s, "other", "m")
	again("before they were taken")
	for _, left := range [][]string{{"m"}, {}} {
		take := c.Next(1)
		take.Took = []string{"m"}
		must(t, s, take)
		wantMail(t, s, "run", left...)
		wantMail(t, s, "other", "m")
	}
	before = contents(t, s)
	again("after they were taken")
	take := c.Next(1)
	take.Took = []string{"m"}
	wantError(t, "taking a message a second time", s.Commit(t.Context(), take), bide.ErrConflict)
	same(t, "the store", contents(t, s), before)
}

func mailHundreds(t *testing.T, s Store) {
	c := NewChain("run")
	waiting(t, s, c, paid, "evt:session:s:*", "k")
	ids := map[string][]string{}
	all := &bide.Commit{}
	for i := range 150 { // what nobody can take now does not stand in the way
		all.Send = append(all.Send, toRun(fmt.Sprint("else-", i), "run", "else"))
	}
	for i := range 130 {
		for _, m := range []bide.Message{
			toKey(fmt.Sprint("paid-", i), paid), toKey(fmt.Sprint("other-", i), "evt:session:s:other"), toRun(fmt.Sprint("run-", i), "run", "k"),
		} {
			all.Send = append(all.Send, m)
			ids[m.Key] = append(ids[m.Key], m.ID)
		}
	}
	must(t, s, all)
	left := 390
	for left > 0 {
		stored := load(t, s, "run")
		if n := len(stored.Mail); n > left || n < min(left, 100) || stored.MailMore != (n < left) {
			t.Fatalf("Load gives %d of %d messages (more: %v), want all of them or at least 100", n, left, stored.MailMore)
		}
		got := map[string][]string{}
		take := c.Next(1)
		for _, m := range stored.Mail {
			got[m.Key] = append(got[m.Key], m.ID)
		}
		for key, found := range got {
			same(t, "the mail to "+key, found, ids[key][:min(len(found), len(ids[key]))])
		}
		for _, m := range stored.Mail[:min(len(stored.Mail), 65)] {
			take.Took = append(take.Took, m.ID)
			ids[m.Key] = ids[m.Key][1:]
		}
		must(t, s, take)
		left -= len(take.Took)
	}
	wantMail(t, s, "run")
	waiting(t, s, c, "else")
	stored := load(t, s, "run")
	if n := len(stored.Mail); n < 100 || stored.MailMore != (n < 150) || stored.Mail[0].ID != "else-0" {
		t.Errorf("Load gives %d messages (more: %v), want the first 100 of 150 at least", n, stored.MailMore)
	}
}

func mailOneTaker(t *testing.T, s Store) {
	const takers = 4
	for round := range 10 {
		key, id := fmt.Sprintf("evt:session:%d:paid", round), fmt.Sprintf("m-%d", round)
		var chains []*Chain
		for i := range takers {
			c := NewChain(fmt.Sprintf("run-%d-%d", round, i))
			waiting(t, s, c, key)
			chains = append(chains, c)
		}
		send(t, s, toKey(id, key))
		before := make([]*bide.Stored, takers)
		errs := make([]error, takers)
		var all sync.WaitGroup
		for i, c := range chains {
			before[i] = load(t, s, c.Info.ID)
			take := c.Next(1)
			take.Took = []string{id}
			take.Starts = []*bide.Commit{NewChain("child of " + c.Info.ID).Next(1)}
			take.Send = []bide.Message{toRun("note of "+c.Info.ID, c.Info.ID, key)}
			all.Go(func() { errs[i] = s.Commit(t.Context(), take) })
		}
		all.Wait()
		winners := 0
		for i, c := range chains {
			_, err := s.Load(t.Context(), "child of "+c.Info.ID, bide.Position{})
			if errs[i] == nil {
				winners++
				wantMail(t, s, c.Info.ID, "note of "+c.Info.ID)
				continue
			}
			wantError(t, "Commit of a taker that was late", errs[i], bide.ErrConflict)
			wantError(t, "Load of the child of a taker that was late", err, bide.ErrNotFound)
			after := load(t, s, c.Info.ID)
			before[i].Mail = nil // it was taken
			same(t, "a run whose commit was refused", after, before[i])
		}
		if winners != 1 {
			t.Errorf("%d runs took one message, want 1", winners)
		}
	}
}

func mailRefused(t *testing.T, s Store) {
	c, other := NewChain("run"), NewChain("other")
	waiting(t, s, c, paid)
	waiting(t, s, other, "evt:session:t:paid")
	send(t, s, toRun("hers", "other", "k"), toKey("theirs", "evt:session:t:paid"), toKey("mine", paid), toRun("direct", "run", "k"))
	before := contents(t, s)
	for _, took := range [][]string{{"none"}, {"hers"}, {"theirs"}, {"mine", "hers"}} {
		copied := *c
		bad := copied.Next(1)
		bad.Took = took
		bad.Closed = []string{before.Waits[0].ID}
		bad.Starts = []*bide.Commit{NewChain("child").Next(1)}
		bad.Send = []bide.Message{toRun("new", "run", "k")}
		wantError(t, fmt.Sprintf("taking %q", took), s.Commit(t.Context(), bad), bide.ErrConflict)
		same(t, "the store after a commit was refused", contents(t, s), before)
	}
	take := c.Next(1)
	take.Took = []string{"direct", "mine"}
	must(t, s, take)
	must(t, s, take) // sent again
	wantMail(t, s, "run")
	wantMail(t, s, "other", "theirs")
	take = other.Next(1)
	take.Took = []string{"hers"} // no wait is on its key, but it is the run's own
	must(t, s, take)
}

func mailCopies(t *testing.T, s Store) {
	twice, once := NewChain("twice"), NewChain("once")
	a := waiting(t, s, twice, paid, "evt:session:s:*").Opened
	b := waiting(t, s, once, paid).Opened
	waiting(t, s, NewChain("none"), "evt:session:t:*")
	m := toKey("m", paid)
	m.Copies = true
	send(t, s, m)
	copyFor := func(run string, w bide.Wait) bide.Message {
		return bide.Message{ID: "m/" + w.ID, To: run, Key: paid, Payload: m.Payload, At: m.At}
	}
	same(t, "the mail of a run with one wait", load(t, s, "once").Mail, []bide.Message{copyFor("once", b[0])})
	got := load(t, s, "twice").Mail
	slices.SortFunc(got, func(a, b bide.Message) int { return strings.Compare(a.ID, b.ID) })
	same(t, "the mail of a run with two waits", got, []bide.Message{copyFor("twice", a[0]), copyFor("twice", a[1])})
	wantMail(t, s, "none")
	take := once.Next(1)
	take.Took = []string{"m/" + b[0].ID}
	must(t, s, take)
	waiting(t, s, NewChain("late"), paid)
	wantMail(t, s, "late") // it was not there when the message was sent
	send(t, s, m)
	wantMail(t, s, "once")
	if n := len(load(t, s, "twice").Mail); n != 2 {
		t.Errorf("a broadcast sent again leaves %d messages, want 2", n)
	}
}

func mailTells(t *testing.T, s Store) {
	told := func(id string, want int64) {
		t.Helper()
		if got := load(t, s, id).MailSeq; got != want {
			t.Errorf("run %s was told of mail %d times, want %d", id, got, want)
		}
	}
	c := NewChain("run")
	opened := waiting(t, s, c, paid, "evt:session:s:*").Opened
	told("run", 0)
	send(t, s, toRun("a", "run", "k"))
	told("run", 1)
	send(t, s, toKey("b", paid))
	told("run", 2)
	send(t, s, toRun("a", "run", "k"), toKey("b", paid)) // again
	send(t, s, toRun("a", "another", "k"), toKey("c", "evt:session:t:paid"))
	told("run", 2)
	closing := c.Next(1)
	closing.Closed = []string{opened[0].ID, opened[1].ID}
	closing.MailSeen = 2
	must(t, s, closing)
	send(t, s, toKey("d", paid)) // nobody waits
	told("run", 2)
	waiting(t, s, c, paid) // mail was kept for it
	if got := load(t, s, "run").MailSeq; got <= 2 {
		t.Errorf("a run that opens a wait over mail that was kept was told %d times, want more than before", got)
	}
	wantMail(t, s, "run", "b", "d")
	before := load(t, s, "run").MailSeq
	waiting(t, s, c, "j")
	told("run", before)
	waiting(t, s, c, "k") // mail was sent to it before
	if got := load(t, s, "run").MailSeq; got <= before {
		t.Errorf("a run that opens a wait over mail that it has was told %d times, want more than %d", got, before)
	}
	wantMail(t, s, "run", "a", "b", "d")

	send(t, s, toRun("early", "unborn", "k"))
	waiting(t, s, NewChain("unborn"), "k")
	wantMail(t, s, "unborn", "early")
	if load(t, s, "unborn").MailSeq == 0 {
		t.Error("a run that begins with a wait over mail was not told of it")
	}
	send(t, s, toRun("early", "child", "k"), toKey("early", "evt:session:child:x"))
	parent := NewChain("parent").Next(1)
	for id, key := range map[string]string{"child": "k", "another child": "evt:session:child:*"} {
		child := NewChain(id)
		child.Info.Status = bide.StatusWaiting
		first := child.Next(1)
		first.Opened = []bide.Wait{{ID: id + ".1", Kind: bide.WaitForEvent, Key: key, CreatedAt: start}}
		parent.Starts = append(parent.Starts, first)
	}
	must(t, s, parent)
	for _, id := range []string{"child", "another child"} {
		wantMail(t, s, id, "early")
		if load(t, s, id).MailSeq == 0 {
			t.Errorf("%s, which begins with a wait over mail, was not told of it", id)
		}
	}

	self := NewChain("self")
	note := self.Next(1)
	note.Opened = []bide.Wait{{ID: "self.1", Kind: bide.WaitForEvent, Key: "k", CreatedAt: start}}
	note.Send = []bide.Message{toRun("note", "self", "k"), toRun("note", "run", "k")}
	must(t, s, note, note)
	wantMail(t, s, "self", "note")
	wantMail(t, s, "run", "a", "b", "d", "note")
}

// mailListed is for stores that list mail.
func mailListed(t *testing.T, s Store) {
	m, ok := any(s).(bide.Mailer)
	if !ok {
		return
	}
	if _, err := m.Mail(t.Context(), "r"); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("Mail of a run that is not there = %v, want ErrNotFound", err)
	}
	r, other := NewChain("r"), NewChain("other")
	waiting(t, s, r, "evt:run:r:wanted")
	waiting(t, s, other)
	var sent []bide.Message
	for i := range 120 {
		sent = append(sent, toRun(fmt.Sprintf("m%d", i), "r", "evt:run:r:unwanted"))
	}
	sent = append(sent, toRun("w", "r", "evt:run:r:wanted"))
	send(t, s, sent...)
	send(t, s, toKey("k", "evt:run:r:wanted"), toRun("o", "other", "evt:run:r:wanted"))
	got, err := m.Mail(t.Context(), "r")
	if err != nil || !slices.EqualFunc(got, sent, sameMessage) {
		t.Errorf("Mail = %d messages, %v; want all %d to the run, in order", len(got), err, len(sent))
	}
	c := r.Next(1)
	c.Took = []string{"w"}
	must(t, s, c)
	if got, err = m.Mail(t.Context(), "r"); err != nil || !slices.EqualFunc(got, sent[:120], sameMessage) {
		t.Errorf("Mail after one was taken = %d messages, %v; want the others", len(got), err)
	}
}

func sameMessage(a, b bide.Message) bool {
	return a.ID == b.ID && a.To == b.To && a.Key == b.Key && bytes.Equal(a.Payload, b.Payload) && a.At.Equal(b.At)
}
