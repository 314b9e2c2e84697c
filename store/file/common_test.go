package file

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/storetest"
)

// commonBytes is the size of the common files of a base on a disk; there must be one at most.
func commonBytes(t *testing.T, d *memDisk, base string) int {
	t.Helper()
	size, files := 0, 0
	for path, f := range d.now {
		if name, ok := strings.CutPrefix(path, "/data/store/"); ok && numberOf(base, name) > 0 {
			size, files = size+len(f.now), files+1
		}
	}
	if files > 1 {
		t.Errorf("there are %d files of %s, want one", files, base)
	}
	return size
}

// note is a message to a run that waits for it.
func note(n int) bide.Message {
	return bide.Message{ID: fmt.Sprintf("m-%d", n), To: "run", Key: "k", At: epoch, Payload: bide.JSON(`"` + strings.Repeat("x", 500) + `"`)}
}

func TestTheFileOfMessagesDoesNotGrowForEver(t *testing.T) {
	d := newMemDisk()
	s := mustOpenOn(t, d, nil)
	s.shrinkFrom = shrinkFrom
	c := storetest.NewChain("run")
	first := c.Next(1)
	first.Opened = []bide.Wait{{ID: "run.1", Kind: bide.WaitForEvent, Key: "k", CreatedAt: epoch}}
	must(t, s, first)
	const messages = 1000
	for n := range messages {
		take := c.Next(1)
		take.Took = []string{note(n).ID}
		must(t, s, &bide.Commit{Send: []bide.Message{note(n)}}, take)
		if n%20 == 0 {
			if err := s.checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
	}
	must(t, s, &bide.Commit{Send: []bide.Message{note(messages)}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if size := commonBytes(t, d, "mail"); size > 2*shrinkFrom {
		t.Errorf("the file of %d messages that were taken has %d bytes", messages, size)
	}
	s = mustOpenOn(t, d, nil)
	for n := range messages + 1 {
		must(t, s, &bide.Commit{Send: []bide.Message{note(n)}}) // all were sent before
	}
	stored, err := s.Load(t.Context(), "run", bide.Position{})
	if err != nil || len(stored.Mail) != 1 || stored.Mail[0].ID != note(messages).ID {
		t.Errorf("Load = %v, %v, want the last message alone", stored, err)
	}
}

func TestTheFileOfTheFeedDoesNotGrowForEver(t *testing.T) {
	d := newMemDisk()
	s := mustOpenOn(t, d, nil)
	s.shrinkFrom = 1 << 10
	keep := storetest.NewChain("keep")
	must(t, s, keep.Next(1))
	for n := range 200 {
		c := storetest.NewChain(fmt.Sprint("run-", n))
		must(t, s, c.Next(1), c.Next(1))
		if err := s.checkpoint(); err != nil {
			t.Fatal(err)
		}
		must(t, s, &bide.Commit{RunID: c.Info.ID, Expect: c.Info.Position(), Delete: true})
	}
	must(t, s, keep.Next(1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if size := commonBytes(t, d, "feed"); size > 4<<10 {
		t.Errorf("the file of a feed of 2 records has %d bytes", size)
	}
	s = mustOpenOn(t, d, nil)
	page, err := s.Feed(t.Context(), bide.FeedQuery{})
	if err != nil || len(page.Records) != 2 || page.Records[1].Pos != 402 {
		t.Errorf("Feed = %+v, %v, want 2 records, the last at 402", page, err)
	}
	if n := len(s.index.feed.entries); n > 10 {
		t.Errorf("a feed of 2 records has %d entries in memory", n)
	}
}

// TestWritingAFileAnewMayStopAtEveryFileOperation lets the process stop while
// the file of messages is replaced by a smaller one.
func TestWritingAFileAnewMayStopAtEveryFileOperation(t *testing.T) {
	replaced := 0
	for k, reached := 1, true; reached; k++ {
		d := newMemDisk()
		s := mustOpenOn(t, d, nil)
		c := storetest.NewChain("run")
		first := c.Next(1)
		first.Opened = []bide.Wait{{ID: "run.1", Kind: bide.WaitForEvent, Key: "k", CreatedAt: epoch}}
		first.Send = []bide.Message{note(0)}
		must(t, s, first)
		if err := s.checkpoint(); err != nil {
			t.Fatal(err)
		}
		take := c.Next(1)
		take.Took = []string{"m-0", "m-2", "m-3"}
		must(t, s, &bide.Commit{Send: []bide.Message{note(1), note(2), note(3)}}, take)
		d.stopAt(d.ops + k)
		if err := s.checkpoint(); err == nil && s.index.mail.file == "mail-2.jsonl" {
			replaced++
		}
		reached = d.stopped
		for how, left := range map[string]*memDisk{"killed": d.killed(nil), "powerless": d.powerless(nil)} {
			s := mustOpenOn(t, left, nil)
			must(t, s, &bide.Commit{Send: []bide.Message{note(3), note(2), note(1), note(0)}})
			stored, err := s.Load(t.Context(), "run", bide.Position{})
			if err != nil || len(stored.Mail) != 1 || stored.Mail[0].ID != "m-1" {
				t.Errorf("stopped at operation %d, %s: Load = %+v, %v, want message m-1 alone", k, how, stored, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			commonBytes(t, left, "mail")
		}
	}
	if replaced == 0 {
		t.Error("the file was never written anew")
	}
}

func TestDamageInTheFeedConcernsItsRecordsOnly(t *testing.T) {
	d := newMemDisk()
	s := mustOpenOn(t, d, nil)
	a, b := storetest.NewChain("a"), storetest.NewChain("b")
	must(t, s, a.Next(1), b.Next(1), a.Next(1), b.Next(1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	d.edit(t, "/data/store/feed.jsonl", func(text []byte) []byte {
		lines := strings.SplitAfter(string(text), "\n")
		lines[1] = "garbage\n"
		return []byte(strings.Join(lines, ""))
	})
	log := &notes{}
	for _, disk := range []*memDisk{d.killed(nil), d.killed(nil)} {
		// The length that counts is another one now: what is missing is said, too.
		s = mustOpenOn(t, disk, &Options{Logger: log.logger()})
		log.wantLine(t, "feed", "line=2")
		must(t, s, storetest.NewChain("c").Next(1))
		page, err := s.Feed(t.Context(), bide.FeedQuery{})
		if err != nil || len(page.Records) < 3 || page.Records[0].RunID != "a" || page.Records[len(page.Records)-1].Pos != 5 {
			t.Errorf("Feed = %+v, %v, want what is not damaged, and the new record at 5", page, err)
		}
		wantAt(t, s, "b", b.Info.Position())
	}
}

func TestADamagedRunIsLeftOutOfTheFeed(t *testing.T) {
	d, _, _ := unclosed(t, 4, 4)
	s := mustOpenOn(t, d, nil)
	other := storetest.NewChain("other").Next(2)
	must(t, s, other)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"row": runDir + rowName, "ledger": runDir + ledgerName} {
		left := d.killed(nil)
		left.edit(t, path, func(text []byte) []byte { return text[:len(text)/2] })
		log := &notes{}
		s := mustOpenOn(t, left, &Options{Logger: log.logger()})
		page, err := s.Feed(t.Context(), bide.FeedQuery{})
		if err != nil || len(page.Records) != 2 || page.Records[0].RunID != "other" || page.More {
			t.Errorf("Feed over a run with a damaged %s = %+v, %v, want the other run's records", name, page, err)
		}
		log.wantLine(t, "damaged", "feed", "run=run")
	}
}

func TestADamagedDocumentConcernsItselfOnly(t *testing.T) {
	d := newMemDisk()
	s := mustOpenOn(t, d, nil)
	put := func(s *Store, id string) error {
		_, err := s.PutDocument(t.Context(), bide.Document{Kind: "flow", ID: id, Body: bide.JSON(`{"a":1}`), UpdatedAt: epoch})
		return err
	}
	for _, id := range []string{"a", "b"} {
		if err := put(s, id); err != nil {
			t.Fatal(err)
		}
	}
	path := "/data/store/documents/flow/a.json"
	for _, text := range []string{"", "{", `{"kind":"flow","id":"b","rev":1,"body":1}`, `{"kind":"flow","id":"a","rev":0,"body":1}`} {
		left := d.killed(nil)
		left.edit(t, path, func([]byte) []byte { return []byte(text) })
		log := &notes{}
		s := mustOpenOn(t, left, &Options{Logger: log.logger()})
		log.wantLine(t, "a document is damaged", path)
		_, err := s.Document(t.Context(), "flow", "a")
		wantDamage(t, "Document", err, path)
		wantDamage(t, "PutDocument", put(s, "a"), path)
		if page, err := s.Documents(t.Context(), bide.DocumentQuery{Kind: "flow"}); err != nil || len(page.Documents) != 1 || page.Documents[0].ID != "b" {
			t.Errorf("Documents = %v, %v, want the other one", page, err)
		}
		if got := left.now[path].now; string(got) != text {
			t.Errorf("the damaged document was changed from %q to %q", text, got)
		}
	}
}
