package file

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/storetest"
)

const (
	runDir      = "/data/store/runs/run/"
	firstGroups = "/data/store/journal/0000000000000001.jsonl"
)

// unclosed is a disk with a store of some commits to one run, as a killed
// process leaves it. Records are filed, and a checkpoint is made, after so many commits.
func unclosed(t *testing.T, filed, checkpointed int) (*memDisk, []*bide.Commit, *storetest.Chain) {
	t.Helper()
	d := newMemDisk()
	s := mustOpenOn(t, d, nil)
	c := storetest.NewChain("run")
	var all []*bide.Commit
	for n := range 4 {
		if n == checkpointed {
			if err := s.checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, c.Next(2))
		must(t, s, all[n])
		if n < filed {
			if err := s.fileLedgers(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return d.killed(nil), all, c
}

// edit changes the text of a file, on the disk as well.
func (d *memDisk) edit(t testing.TB, path string, change func(text []byte) []byte) {
	t.Helper()
	f := d.now[path]
	if f == nil {
		t.Fatalf("there is no %s", path)
	}
	f.now = change(slices.Clone(f.now))
	f.safe = slices.Clone(f.now)
}

// openAndGoOn opens a store whose run must be at a commit, and adds another one.
func openAndGoOn(t *testing.T, d *memDisk, at *bide.Commit, what string) *notes {
	t.Helper()
	log := &notes{}
	s := mustOpenOn(t, d, &Options{Logger: log.logger()})
	chain := storetest.NewChain("run")
	if at != nil {
		chain.Info = at.Info
	}
	wantAt(t, s, "run", chain.Info.Position())
	if t.Failed() {
		t.Fatal(what)
	}
	next := chain.Next(1)
	must(t, s, next)
	wantAt(t, s, "run", next.Info.Position())
	s = mustOpenOn(t, d.killed(nil), nil)
	wantAt(t, s, "run", next.Info.Position())
	if err := s.Close(); err != nil {
		t.Errorf("%s: Close = %v", what, err)
	}
	again := &notes{}
	wantAt(t, mustOpenOn(t, s.disk, &Options{Logger: again.logger()}), "run", next.Info.Position())
	if again.Len() > 0 {
		t.Errorf("%s: the store is not as it should be after closing:\n%s", what, again)
	}
	return log
}

func TestATornJournalIsCutAtTheLastWholeGroup(t *testing.T) {
	for _, filed := range []int{0, 4} {
		d, all, _ := unclosed(t, filed, -1)
		journal := d.now[firstGroups].now
		frames, _, end := parseFrames(journal)
		if len(frames) != 4 {
			t.Fatalf("the journal has %d groups, want 4", len(frames))
		}
		last := bytes.LastIndex(journal, []byte("\n"+frameStart)) + 1
		for cut := last; cut < end-1; cut++ { // with the line end alone missing, filling would mend it
			for name, change := range map[string]func([]byte) []byte{
				"cut":     func(b []byte) []byte { return b[:cut] },
				"filled":  func(b []byte) []byte { return append(b[:cut], bytes.Repeat([]byte("\n"), 4096)...) },
				"garbled": func(b []byte) []byte { return append(b[:cut], bytes.Repeat([]byte{0xa5}, end-cut)...) },
			} {
				if name != "cut" && cut%16 > 0 {
					continue
				}
				left := d.killed(nil)
				left.edit(t, firstGroups, change)
				what := fmt.Sprintf("journal %s at byte %d, %d commits filed", name, cut, filed)
				log := openAndGoOn(t, left, all[2], what)
				if name == "garbled" || cut > last {
					log.wantLine(t, "torn", firstGroups, fmt.Sprintf("offset=%d", last), "bytes=")
				}
			}
		}
	}
}

func TestATornLedgerIsWrittenAgainFromTheJournal(t *testing.T) {
	for _, checkpointed := range []int{-1, 2} {
		d, all, _ := unclosed(t, 4, checkpointed)
		path := runDir + ledgerName
		ledger := d.now[path].now
		from := bytes.LastIndexByte(ledger[:len(ledger)-1], '\n') + 1 // of the last record
		for cut := from; cut < len(ledger); cut++ {
			left := d.killed(nil)
			left.edit(t, path, func(b []byte) []byte { return b[:cut] })
			log := openAndGoOn(t, left, all[3], fmt.Sprintf("ledger cut at byte %d", cut))
			if cut > from && ledger[cut-1] != '\n' {
				log.wantLine(t, "torn", "run=run", path, "offset=", "bytes=")
			}
		}
	}
}

func TestWhatALedgerHasTooMuchIsCutOff(t *testing.T) {
	d, all, _ := unclosed(t, 4, 4)
	for _, extra := range []string{"x", `{"seq":9,`, "{\"seq\":9}\n", strings.Repeat("\x00", 5000)} {
		left := d.killed(nil)
		left.edit(t, runDir+ledgerName, func(b []byte) []byte { return append(b, extra...) })
		log := openAndGoOn(t, left, all[3], "ledger with more")
		log.wantLine(t, "torn", "run=run", ledgerName, fmt.Sprintf("bytes=%d", len(extra)))
	}
}

func TestADamagedLedgerConcernsItsRunOnly(t *testing.T) {
	d, all, _ := unclosed(t, 4, 4)
	s := mustOpenOn(t, d, nil)
	other := storetest.NewChain("other")
	must(t, s, other.Next(2))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := runDir + ledgerName
	lines := bytes.SplitAfter(d.now[path].now, []byte("\n"))
	lines = lines[:len(lines)-1]
	for name, change := range map[string]func([]byte) []byte{
		"changed": func(line []byte) []byte { return bytes.Replace(line, []byte("run.paused"), []byte("run.PAUSED"), 1) },
		"garbled": func(line []byte) []byte { return append(bytes.Repeat([]byte{0}, len(line)-1), '\n') },
		"unlinked": func(line []byte) []byte {
			return bytes.Replace(line, []byte(`"prev":"`), []byte(`"prev":"f`), 1)[:len(line)]
		},
		"missing":  func([]byte) []byte { return nil },
		"doubled":  func(line []byte) []byte { return append(slices.Clone(line), line...) },
		"one line": func(line []byte) []byte { return append(line[:len(line)-1:len(line)-1], ' ') },
	} {
		for n := range lines {
			t.Run(fmt.Sprintf("line %d %s", n+1, name), func(t *testing.T) {
				left := d.killed(nil)
				left.edit(t, path, func([]byte) []byte {
					changed := slices.Clone(lines)
					changed[n] = change(slices.Clone(lines[n]))
					return bytes.Join(changed, nil)
				})
				s := mustOpenOn(t, left, nil)
				_, err := s.Records(t.Context(), "run", 1, 100)
				if n == len(lines)-1 && name == "doubled" { // what is too much is cut off
					wantAt(t, s, "run", all[3].Info.Position())
				} else {
					wantDamage(t, "Records", err, path, "line")
					_, err = s.Load(t.Context(), "run", bide.Position{})
					wantDamage(t, "Load", err, path, "line")
				}
				wantAt(t, s, "other", other.Info.Position())
				must(t, s, storetest.NewChain("new").Next(1))
				if err := s.Close(); err != nil {
					t.Errorf("Close = %v", err)
				}
			})
		}
	}
}

func TestALedgerThatWasCutIsDamaged(t *testing.T) {
	d, _, _ := unclosed(t, 4, 4)
	s := mustOpenOn(t, d, nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := runDir + ledgerName
	whole := d.now[path].now
	for cut := range len(whole) {
		left := d.killed(nil)
		left.edit(t, path, func(b []byte) []byte { return b[:cut] })
		log := &notes{}
		s := mustOpenOn(t, left, &Options{Logger: log.logger()})
		line := fmt.Sprintf("line %d:", bytes.Count(whole[:cut], []byte("\n"))+1)
		_, err := s.Load(t.Context(), "run", bide.Position{})
		wantDamage(t, "Load", err, path, line)
		log.wantLine(t, "damaged", "run=run", line)
		if page, err := s.Runs(t.Context(), bide.RunQuery{}); err != nil || len(page.Runs) != 1 {
			t.Errorf("Runs = %v, %v, want the damaged run to be listed", page, err)
		}
	}
}

func TestADamagedRowConcernsItsRunOnly(t *testing.T) {
	d, _, _ := unclosed(t, 4, 4)
	s := mustOpenOn(t, d, nil)
	other := storetest.NewChain("other")
	must(t, s, other.Next(2))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := runDir + rowName
	for _, text := range []string{"", "{", `{"run":{"run_id":"other"}}`, "\x00\x00\x00"} {
		left := d.killed(nil)
		left.edit(t, path, func([]byte) []byte { return []byte(text) })
		s := mustOpenOn(t, left, nil)
		_, err := s.Load(t.Context(), "run", bide.Position{})
		wantDamage(t, "Load", err, path)
		wantDamage(t, "Commit", s.Commit(t.Context(), storetest.NewChain("run").Next(1)), path)
		wantDamage(t, "SetAside", s.SetAside(t.Context(), "run", "x"), path)
		wantAt(t, s, "other", other.Info.Position())
		more := *other
		must(t, s, more.Next(1))
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		if got := left.now[path].now; string(got) != text {
			t.Errorf("the damaged row was changed from %q to %q", text, got)
		}
	}
}

func TestDamageInTheJournalConcernsRunsThatLostCommits(t *testing.T) {
	d := newMemDisk()
	s := mustOpenOn(t, d, nil)
	a, b := storetest.NewChain("a"), storetest.NewChain("b")
	must(t, s, a.Next(1), b.Next(1))
	lost := a.Next(1)
	must(t, s, lost, b.Next(1), a.Next(1), b.Next(1))
	d.edit(t, firstGroups, func(text []byte) []byte {
		return bytes.Replace(text, lost.Records[0].Raw, bytes.Repeat([]byte("x"), len(lost.Records[0].Raw)), 1)
	})
	log := &notes{}
	s = mustOpenOn(t, d.killed(nil), &Options{Logger: log.logger()})
	_, err := s.Load(t.Context(), "a", bide.Position{})
	wantDamage(t, "Load", err, "journal", "after record 2", "at 1")
	wantAt(t, s, "b", b.Info.Position())
	log.wantLine(t, "journal is damaged", firstGroups, "offset=")
}

func TestADamagedSnapshotIsDoneWithout(t *testing.T) {
	d := newMemDisk()
	s := mustOpenOn(t, d, nil)
	c := storetest.NewChain("run")
	first, second := c.Next(3), c.Next(2)
	first.Snapshot = []byte(`{"at":3}`)
	must(t, s, first, second)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := runDir + snapshotName
	whole := d.now[path].now
	for i := range whole {
		left := d.killed(nil)
		left.edit(t, path, func(b []byte) []byte { b[i] ^= 1; return b })
		wantAt(t, mustOpenOn(t, left, nil), "run", second.Info.Position())
	}
}

func rawsOf(commits []*bide.Commit) (out [][]byte) {
	for _, c := range commits {
		for _, r := range c.Records {
			out = append(out, r.Raw)
		}
	}
	return out
}
