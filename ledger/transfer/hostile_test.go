package transfer_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/internal/ledgertest"
	"github.com/bide-dev/bide/ledger/transfer"
	"github.com/bide-dev/bide/store/mem"
)

// resealed gives a file a last line that fits, as somebody does who knows the format but has no key.
func resealed(lines [][]byte) []byte {
	h := sha256.New()
	for _, l := range lines[:len(lines)-1] {
		h.Write(l)
	}
	return append(bytes.Join(lines[:len(lines)-1], nil), fmt.Appendf(nil, `{"end":{"lines":%d,"sha256":"%x"}}`+"\n", len(lines)-1, h.Sum(nil))...)
}

// The matrix for files: every line flipped at many places, deleted, doubled, swapped, and the file cut anywhere, with the
// file's hash left as it is.
func TestEveryChangeToAFileIsFound(t *testing.T) {
	w, _, key := filled(t, "mem")
	file := export(t, w.Store, nil)
	opts := &transfer.ReadOptions{Keys: []note.Verifier{key}}
	if content, err := transfer.Inspect(bytes.NewReader(file), opts, nil); err != nil || !content.OK() || len(content.Unsigned) > 0 {
		t.Fatalf("the file as it is: %+v, %v", content, err)
	}
	found := func(name string, changed []byte) {
		t.Helper()
		content, err := transfer.Inspect(bytes.NewReader(changed), opts, nil)
		if err == nil && content.OK() {
			t.Errorf("%s was not found", name)
		}
	}
	for at := 0; at < len(file); at += 13 {
		changed := bytes.Clone(file)
		changed[at] ^= 4
		found(fmt.Sprintf("a change of byte %d", at), changed)
	}
	for at := 0; at < len(file); at += 101 {
		found(fmt.Sprintf("a cut at byte %d", at), file[:at])
	}
	lines := bytes.SplitAfter(file, []byte("\n"))
	lines = lines[:len(lines)-1]
	for i := range lines {
		without := append(bytes.Join(lines[:i], nil), bytes.Join(lines[i+1:], nil)...)
		found(fmt.Sprintf("line %d removed", i+1), without)
		found(fmt.Sprintf("line %d doubled", i+1), append(bytes.Join(lines[:i+1], nil), bytes.Join(lines[i:], nil)...))
	}
	found("something after the end", append(bytes.Clone(file), "{}\n"...))
}

// The matrix on an export: every change to every record of a run, the file's own hash made to fit, and as often the chain
// and the row as well, is found at its place, with nothing but the public key.
func TestEveryChangeToARecordOfAFileIsFoundAndPlaced(t *testing.T) {
	w, _, key := filled(t, "mem")
	opts := &transfer.ReadOptions{Keys: []note.Verifier{key}}
	for _, id := range []string{"done", "parent", "held"} {
		file := export(t, w.Store, &transfer.ExportOptions{Runs: []string{id}})
		lines := bytes.SplitAfter(file, []byte("\n"))
		lines = lines[:len(lines)-1]
		records, err := w.Store.Records(ctx, id, 1, 1000)
		if err != nil {
			t.Fatal(err)
		}
		run, err := w.RT.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range ledgertest.Attacks(records) {
			changed, first := withRecords(t, lines, run.RunInfo, &a)
			content, err := transfer.Inspect(bytes.NewReader(changed), opts, nil)
			if err != nil {
				t.Fatalf("%s, %s: %v", id, a.Name, err)
			}
			placed := content.Broken != nil && bytes.Contains([]byte(content.Broken.Error()), fmt.Appendf(nil, "line %d:", first+int(a.From)))
			for _, f := range content.Faults {
				placed = placed || f.RunID == id && f.From <= a.To && a.From <= f.To
			}
			for _, u := range content.Unsigned { // what was added at the end is said to be unsigned
				placed = placed || a.Rewrite && content.OK() && u.RunID == id && a.From <= u.From
			}
			if !placed {
				t.Errorf("%s, %s: found %v, %v and unsigned %v, want a fault in records %d to %d", id, a.Name, content.Faults, content.Broken, content.Unsigned, a.From, a.To)
			}
		}
	}
}

// withRecords is a file with other records in place of those of its first run, which stand alone there; first is the line before them.
func withRecords(t *testing.T, lines [][]byte, row bide.RunInfo, a *ledgertest.Attack) (file []byte, first int) {
	t.Helper()
	var out [][]byte
	seen := false // the first run
	for _, line := range lines {
		switch {
		case bytes.HasPrefix(line, []byte(`{"run":`)) && !seen:
			seen = true
			if a.Rewrite {
				line = withRow(t, line, ledgertest.RowOf(row, a.Records))
			}
			out = append(out, line)
			first = len(out)
			for _, raw := range a.Records {
				out = append(out, slices.Concat([]byte(`{"record":`), raw, []byte("}\n")))
			}
		case bytes.HasPrefix(line, []byte(`{"record":`)) && !slices.ContainsFunc(out[first:], isRunEnd),
			bytes.HasPrefix(line, []byte(`{"command":`)) && !slices.ContainsFunc(out[first:], isRunEnd):
		default:
			out = append(out, line)
		}
	}
	return resealed(out), first
}

func isRunEnd(line []byte) bool { return bytes.HasPrefix(line, []byte(`{"run_end":`)) }

// withRow puts another row into the line that begins a run; the proof stays.
func withRow(t *testing.T, line []byte, row *bide.RunInfo) []byte {
	t.Helper()
	var begin struct {
		Run transfer.RunEntry `json:"run"`
	}
	if err := json.Unmarshal(line, &begin); err != nil {
		t.Fatal(err)
	}
	id := begin.Run.ID
	begin.Run.RunInfo = *row
	begin.Run.ID = id
	text, err := json.Marshal(begin)
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// Whoever changes records, and everything else in the file to fit, is found by the proofs, and by the signature of the file.
func TestAFileMadeToFitIsFoundByItsSignatures(t *testing.T) {
	w, signer, key := filled(t, "mem")
	keys := &transfer.ReadOptions{Keys: []note.Verifier{key}}
	for _, signed := range []bool{false, true} {
		var o transfer.ExportOptions
		if signed {
			o.Signers = []note.Signer{signer}
		}
		file := export(t, w.Store, &o)
		lines := bytes.SplitAfter(file, []byte("\n"))
		lines = lines[:len(lines)-1]
		forgeries := 0
		for i := range lines {
			if !bytes.HasPrefix(lines[i], []byte(`{"record":`)) || !bytes.Contains(lines[i], []byte(`"answer":"yes"`)) {
				continue
			}
			forgeries++
			forged := forge(lines, i)
			content, err := transfer.Inspect(bytes.NewReader(forged), keys, nil)
			if err != nil || content.OK() {
				t.Errorf("line %d forged (file signed: %v): %+v, %v; want it found", i+1, signed, content, err)
			}
			content, err = transfer.Inspect(bytes.NewReader(forged), nil, nil)
			if err != nil || !content.OK() {
				t.Errorf("line %d was not forged well: %+v, %v", i+1, content, err)
			}
		}
		if forgeries != 3 {
			t.Errorf("%d answers were forged, want 3", forgeries)
		}
		// A run whose proof was taken away is not called signed.
		for i := range lines {
			lines[i] = regexp.MustCompile(`,"proof":\{[^}]*\}`).ReplaceAll(lines[i], nil)
		}
		content, err := transfer.Inspect(bytes.NewReader(resealed(lines)), keys, nil)
		if err != nil || content.SignedRuns != 0 || len(content.Unsigned) != 8 {
			t.Errorf("without proofs: %+v, %v; want all runs as unsigned", content, err)
		}
	}
}

// forge changes an answer in a record, and all hashes after it.
func forge(lines [][]byte, at int) []byte {
	out := append([][]byte(nil), lines...)
	prev := regexp.MustCompile(`"prev":"[0-9a-f]{64}"`)
	out[at] = bytes.Replace(out[at], []byte(`"answer":"yes"`), []byte(`"answer":"no"`), 1)
	head := func(line []byte) string {
		return fmt.Sprintf("%x", sha256.Sum256(bytes.TrimSuffix(bytes.TrimPrefix(line, []byte(`{"record":`)), []byte("}\n"))))
	}
	last := head(out[at])
	for i := at + 1; !bytes.HasPrefix(out[i], []byte(`{"run_end"`)); i++ {
		if bytes.HasPrefix(out[i], []byte(`{"record":`)) {
			out[i] = prev.ReplaceAll(out[i], []byte(`"prev":"`+last+`"`))
			last = head(out[i])
		}
	}
	for i := at; ; i-- {
		if bytes.HasPrefix(out[i], []byte(`{"run":`)) {
			out[i] = regexp.MustCompile(`"head":"[0-9a-f]{64}"`).ReplaceAll(out[i], []byte(`"head":"`+last+`"`))
			return resealed(out)
		}
	}
}

func TestHostileFilesAreRefused(t *testing.T) {
	header := `{"bide_export":1,"at":"2026-01-01T00:00:00Z"}` + "\n"
	build := func(lines ...string) []byte {
		all := [][]byte{[]byte(header)}
		for _, l := range lines {
			all = append(all, []byte(l+"\n"))
		}
		return resealed(append(all, nil))
	}
	run := func(id string) string {
		info, err := json.Marshal(transfer.RunEntry{RunInfo: bide.RunInfo{ID: id}})
		if err != nil {
			t.Fatal(err)
		}
		return `{"run":` + string(info) + `}`
	}
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"nothing":                  {nil, bide.ErrCorrupt},
		"a zip file":               {[]byte("PK\x03\x04 and so on\n"), bide.ErrCorrupt},
		"a bomb":                   {bomb(t), bide.ErrCorrupt}, // nothing is ever decompressed
		"another JSON":             {[]byte("{}\n"), bide.ErrInvalidInput},
		"a newer format":           {[]byte(`{"bide_export":2,"at":"2026-01-01T00:00:00Z"}` + "\n"), bide.ErrStoreTooNew},
		"no end":                   {[]byte(header), bide.ErrCorrupt},
		"an unknown line":          {build(`{"script":"rm -rf /"}`), bide.ErrCorrupt},
		"a name that goes up":      {build(run("../../etc/passwd"), `{"run_end":{}}`), bide.ErrCorrupt},
		"a name with a slash":      {build(run("a/b"), `{"run_end":{}}`), bide.ErrCorrupt},
		"a run without records":    {build(run("a"), `{"run_end":{}}`), bide.ErrCorrupt},
		"a run without end":        {build(run("a"), run("b")), bide.ErrCorrupt},
		"a record without a run":   {build(`{"record":{"seq":1}}`), bide.ErrCorrupt},
		"an artifact that lies":    {build(`{"blob":{"sha256":"../../x"}}`, `{"chunk":"aGVsbG8="}`), bide.ErrCorrupt},
		"a chunk without artifact": {build(`{"chunk":"aGVsbG8="}`), bide.ErrCorrupt},
		"nested without end":       {[]byte(header + `{"document":{"body":` + strings.Repeat("[", 100_000) + "\n"), bide.ErrCorrupt},
	} {
		s := mem.New()
		if _, err := transfer.Import(ctx, s, bytes.NewReader(c.file), nil); !errors.Is(err, c.want) {
			t.Errorf("%s: Import = %v, want %v", name, err, c.want)
		}
		if page, err := s.Runs(ctx, bide.RunQuery{}); err != nil || len(page.Runs) > 0 {
			t.Errorf("%s left runs: %v, %v", name, page, err)
		}
	}
}

// bomb is a small file that would be a large one, if anybody decompressed it.
func bomb(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.CopyN(w, &endless{}, 16<<20); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// endless is a line without end.
type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += int64(len(p))
	return len(p), nil
}

func TestALineWithoutEndIsRefusedAtTheLimit(t *testing.T) {
	e := &endless{}
	r := io.MultiReader(strings.NewReader(`{"bide_export":1,"at":"2026-01-01T00:00:00Z"}`+"\n"), e)
	content, err := transfer.Inspect(r, &transfer.ReadOptions{MaxLine: 1 << 20}, nil)
	if err != nil || !errors.Is(content.Broken, bide.ErrInvalidInput) {
		t.Errorf("Inspect = %+v, %v; want the line refused", content, err)
	}
	if e.read > 3<<20 {
		t.Errorf("%d bytes were read for a limit of 1 MiB", e.read)
	}
}

func FuzzInspect(f *testing.F) {
	f.Add([]byte(`{"bide_export":1,"at":"2026-01-01T00:00:00Z"}` + "\n" + `{"run":{"run_id":"a"}}` + "\n" + `{"record":{"seq":1}}` + "\n" + `{"run_end":{}}` + "\n"))
	w, _, _ := filled(f, "mem")
	f.Add(export(f, w.Store, nil))
	f.Fuzz(func(t *testing.T, file []byte) {
		s := mem.New()
		if _, err := transfer.Import(ctx, s, bytes.NewReader(file), nil); err == nil {
			verified(t, s)
		}
	})
}
