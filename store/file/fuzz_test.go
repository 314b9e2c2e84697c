package file

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/storetest"
)

// FuzzJournal opens a store whose journal and ledger begin with anything: the
// run that is there must be whole, and the store must go on.
func FuzzJournal(f *testing.F) {
	d := newMemDisk()
	s := mustOpenOn(f, d, nil)
	c := storetest.NewChain("run")
	first, second := c.Next(2), c.Next(1)
	second.Send = []bide.Message{{ID: "m", To: "run", Key: "k"}}
	must(f, s, first, second)
	journal := bytes.TrimRight(d.now[firstGroups].now, "\n")
	f.Add(append(journal, '\n'), joinLines(rawsOf([]*bide.Commit{first, second})))
	f.Add(journal, joinLines(rawsOf([]*bide.Commit{first})))
	f.Add(journal[:len(journal)/2], []byte("{\"seq\":1,\"prev\":\"\n\n"))
	f.Add([]byte("{\"group\":1,\"synced\":0,\"bytes\":0,\"sum\":\"00000000\"}\n"), []byte(nil))
	frame, _ := buildFrame(nil, 3, 2, []byte("{\"commit\":{\"run\":{\"run_id\":\"x\"},\"record_bytes\":[-1]}}\n"))
	f.Add(frame, []byte("x"))
	f.Fuzz(func(t *testing.T, journal, ledger []byte) {
		d := newMemDisk()
		if err := mustOpenOn(t, d, nil).Close(); err != nil {
			t.Fatal(err)
		}
		d.now[firstGroups] = &memFile{now: journal}
		if err := d.MakeDir("/data/store/runs/run"); err != nil {
			t.Fatal(err)
		}
		d.now[runDir+ledgerName] = &memFile{now: ledger}
		s := mustOpenOn(t, d, nil)
		page, err := s.Runs(t.Context(), bide.RunQuery{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Runs {
			whole, err := s.Load(t.Context(), r.ID, bide.Position{})
			if err == nil && whole.Position != r.Position() {
				t.Errorf("run %q is at record %d, its row says %d", r.ID, whole.Seq, r.Seq)
			}
		}
		next := storetest.NewChain("next").Next(1)
		if _, err := s.Load(t.Context(), "next", bide.Position{}); err == nil {
			return // the journal has that run
		}
		must(t, s, next)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantAt(t, mustOpenOn(t, d.powerless(nil), nil), "next", next.Info.Position())
	})
}

// FuzzFrames reads anything as a journal: what is read is what is there.
func FuzzFrames(f *testing.F) {
	one, _ := buildFrame(nil, 1, 0, []byte("{}\n"))
	two, _ := buildFrame(nil, 2, 1, []byte("{}\n\n"))
	f.Add(append(append(bytes.Clone(one), two...), "\n\n\n"...))
	f.Add(append(append(bytes.Clone(one), "garbage\n"...), two...))
	f.Fuzz(func(t *testing.T, text []byte) {
		frames, gaps, end := parseFrames(text)
		var again []byte
		for i := 0; i <= len(frames); i++ {
			for _, g := range gaps {
				if g.frames == i {
					again = append(again, text[g.from:g.to]...)
				}
			}
			if i < len(frames) {
				frame, _ := buildFrame(nil, frames[i].group, frames[i].synced, frames[i].body)
				again = append(again, frame...)
			}
		}
		if !bytes.HasPrefix(text, again) || len(bytes.Trim(text[len(again):], "\n")) > 0 || end > len(text) {
			t.Errorf("the journal %q was read as %q", text, again)
		}
	})
}

func FuzzFolder(f *testing.F) {
	for _, id := range []string{"run", "Run", "con", "a.b", "ü", "%41", "!a", ""} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		name, err := folder(id)
		if err != nil {
			return
		}
		if again, ok := runOf(name); !ok || again != id {
			t.Errorf("the folder of run %q is %q, which is that of run %q", id, name, again)
		}
	})
}

// TestACommitIsWrittenAsItsTypesSay holds what is written by hand to the types that it is read with.
func TestACommitIsWrittenAsItsTypesSay(t *testing.T) {
	var info bide.RunInfo
	v := reflect.ValueOf(&info).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case string, bide.Status:
			f.SetString("a \"b\" <\u2028> ü " + v.Type().Field(i).Name)
		case int64:
			f.SetInt(int64(i + 1))
		case time.Time:
			f.Set(reflect.ValueOf(time.Date(2030, 1, 2, 3, 4, i, 678901000, time.UTC)))
		case map[string]string:
			f.Set(reflect.ValueOf(map[string]string{"a<": "b&"}))
		case bide.Hash:
			f.Set(reflect.ValueOf(bide.Hash{1, 2, 3}))
		default:
			t.Fatalf("bide.RunInfo has a new field %s; have appendInfo write it", v.Type().Field(i).Name)
		}
	}
	wait := bide.Wait{ID: "w", Kind: bide.WaitForm, Schema: bide.JSON(`{"b":1.0,"a":"<"}`), Default: bide.JSON(`null`), CreatedAt: epoch}
	for _, want := range []commitLine{
		{Run: info, Records: []int{1, 2}, Opened: []*bide.Wait{&wait}, Closed: []string{"x"}, Command: &commandLine{"c", bide.Hash{9}, 4}, MailSeen: 7, Claimed: 3},
		{Run: bide.RunInfo{ID: "bare"}, Records: []int{0}},
	} {
		text, err := appendCommit(nil, &want)
		if err != nil {
			t.Fatal(err)
		}
		var got line
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Commit, &want) {
			t.Errorf("%s\nwas read as %+v, want %+v", text, got.Commit, want)
		}
	}
}
