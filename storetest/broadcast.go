package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/bide-dev/bide"
)

// deployed is the key of the broadcasts of these tests.
const deployed = "evt:global::deployed"

// kept is a broadcast sent at a moment and kept until another.
func kept(id, key string, sent, until int) bide.Message {
	return bide.Message{ID: id, Key: key, Payload: bide.JSON(`"` + id + `"`), At: at(sent), Until: at(until), Copies: true}
}

// waitingSince commits at a moment that a new run waits for a key, and takes what was sent since another.
func waitingSince(t *testing.T, s bide.Store, id, key string, now int, since time.Time) *Chain {
	t.Helper()
	c := NewChain(id)
	must(t, s, c.Next(1))
	openSince(t, s, c, id+".1", key, now, since)
	return c
}

func openSince(t *testing.T, s bide.Store, c *Chain, wait, key string, now int, since time.Time) {
	t.Helper()
	c.Info.Status = bide.StatusWaiting
	commit := c.Next(1)
	commit.Info.UpdatedAt = at(now)
	commit.Opened = []bide.Wait{{ID: wait, Kind: bide.WaitForEvent, Key: key, CreatedAt: at(now), Since: since}}
	must(t, s, commit)
}

func broadcastsKept(t *testing.T, s Store) {
	waitingSince(t, s, "early", deployed, 0, time.Time{})
	m := kept("m", deployed, 10, 100)
	send(t, s, m)
	wantMail(t, s, "early", "m/early.1")
	sent := map[string]bide.Message{"m": m}
	for _, m := range []bide.Message{kept("later", deployed, 20, 100), kept("before", deployed, 5, 100), kept("short", deployed, 21, 30), kept("other", "evt:global::x", 22, 100)} {
		send(t, s, m)
		sent[m.ID] = m
	}
	unkept := kept("unkept", deployed, 20, 0)
	unkept.Until = time.Time{}
	send(t, s, unkept, m) // the last one was sent before

	for i, test := range []struct {
		key        string
		now, since int
		want       []string
	}{
		{deployed, 29, 10, []string{"m", "later", "short"}},
		{deployed, 30, 10, []string{"m", "later"}},
		{deployed, 99, 11, []string{"later"}},
		{deployed, 99, 20, []string{"later"}},
		{deployed, 99, 22, nil},
		{deployed, 99, 1, []string{"before", "m", "later"}},
		{deployed, 100, 1, nil},
		{"evt:global::*", 50, 10, []string{"m", "later", "other"}},
		{"evt:global::x", 50, 10, []string{"other"}},
		{"evt:global::y", 50, 10, nil},
		{"evt:workflow:wf:*", 50, 10, nil},
	} {
		id := fmt.Sprint("late-", i)
		waitingSince(t, s, id, test.key, test.now, at(test.since))
		var want []bide.Message
		for _, name := range test.want {
			m := sent[name]
			want = append(want, bide.Message{ID: name + "/" + id + ".1", To: id, Key: m.Key, Payload: m.Payload, At: m.At})
		}
		stored := load(t, s, id)
		same(t, fmt.Sprintf("what a wait of %d for %s since %d got", test.now, test.key, test.since), stored.Mail, want)
		if told := stored.MailSeq > 0; told != (len(want) > 0) {
			t.Errorf("%s was told of mail: %v, want %v", id, told, !told)
		}
	}
	waitingSince(t, s, "not asking", deployed, 50, time.Time{})
	wantMail(t, s, "not asking")
	wantMail(t, s, "early", "m/early.1", "later/early.1", "before/early.1", "short/early.1", "unkept/early.1")
}

func broadcastsOnce(t *testing.T, s Store) {
	send(t, s, kept("m", deployed, 10, 100))
	c := waitingSince(t, s, "run", deployed, 20, at(1))
	wantMail(t, s, "run", "m/run.1")
	send(t, s, kept("m", deployed, 10, 100))
	wantMail(t, s, "run", "m/run.1")
	take := c.Next(1)
	take.Took = []string{"m/run.1"}
	must(t, s, take)
	send(t, s, kept("m", deployed, 10, 100))
	wantMail(t, s, "run")
	openSince(t, s, c, "run.2", deployed, 30, at(1))
	wantMail(t, s, "run", "m/run.2") // each wait gets its own
	must(t, s, &bide.Commit{Send: []bide.Message{kept("n", deployed, 40, 100)}})
	wantMail(t, s, "run", "m/run.2", "n/run.1", "n/run.2")

	// A commit opens waits before it sends: its own broadcast reaches them, once.
	self := NewChain("self")
	self.Info.Status = bide.StatusWaiting
	commit := self.Next(1)
	commit.Info.UpdatedAt = at(50)
	commit.Opened = []bide.Wait{{ID: "self.1", Kind: bide.WaitForEvent, Key: "evt:global::own", CreatedAt: at(50), Since: at(1)}}
	commit.Send = []bide.Message{kept("o", "evt:global::own", 50, 100)}
	must(t, s, commit)
	wantMail(t, s, "self", "o/self.1")

	parent, child := NewChain("parent").Next(1), NewChain("child")
	child.Info.Status = bide.StatusWaiting
	first := child.Next(1)
	first.Info.UpdatedAt = at(60)
	first.Opened = []bide.Wait{{ID: "child.1", Kind: bide.WaitForEvent, Key: "evt:global::own", CreatedAt: at(60), Since: at(50)}}
	parent.Starts = []*bide.Commit{first}
	must(t, s, parent, parent)
	wantMail(t, s, "child", "o/child.1")
	wantClaims(t, s, query("w", 9), "parent", "run", "self", "child")
}

// tookWhatItSends is how a commit takes a message that it sends.
func tookWhatItSends(t *testing.T, s Store) {
	c := NewChain("run")
	waiting(t, s, c, "k")
	waiting(t, s, NewChain("other"), "k")
	send(t, s, toRun("old", "run", "k"))
	told := load(t, s, "run").MailSeq
	commit := c.Next(1)
	commit.Send = []bide.Message{toRun("new", "run", "k"), toRun("new", "other", "k"), toRun("more", "run", "k")}
	commit.Took, commit.MailSeen = []string{"new", "old"}, told
	must(t, s, commit)
	must(t, s, commit) // sent again
	wantMail(t, s, "run", "more")
	wantMail(t, s, "other", "new")
	before := contents(t, s)
	send(t, s, toRun("new", "run", "k")) // its id is known
	same(t, "the store after a message was sent that was taken at once", contents(t, s), before)

	for what, id := range map[string]string{"taken at once": "new", "taken": "old", "kept": "more"} {
		copied := *c
		again := copied.Next(1)
		again.Send = []bide.Message{toRun("fresh", "run", "k"), toRun(id, "run", "k")}
		again.Took = []string{id}
		again.Starts = []*bide.Commit{NewChain("child").Next(1)}
		wantError(t, "taking what is sent with the id of a message that was "+what, s.Commit(t.Context(), again), bide.ErrConflict)
		same(t, "the store after a commit was refused", contents(t, s), before)
	}

	take := c.Next(1)
	take.Took = []string{"more"}
	take.MailSeen = load(t, s, "run").MailSeq
	must(t, s, take)
	own := c.Next(1)
	own.Send, own.Took = []bide.Message{toRun("last", "run", "k")}, []string{"last"}
	must(t, s, own)
	wantMail(t, s, "run")
	wantClaims(t, s, query("w", 9), "other") // there is nothing for the other one to do

	begin := NewChain("fresh")
	first := begin.Next(1)
	first.Send, first.Took = []bide.Message{toRun("m", "fresh", "k")}, []string{"m"}
	must(t, s, first)
	waiting(t, s, begin, "k")
	wantMail(t, s, "fresh")

	key := NewChain("key")
	waiting(t, s, key, paid)
	pay := key.Next(1)
	pay.Send, pay.Took = []bide.Message{toKey("p", paid)}, []string{"p"}
	must(t, s, pay)
	wantMail(t, s, "key")
	send(t, s, toKey("p", paid), toKey("q", paid))
	wantMail(t, s, "key", "q")
}
