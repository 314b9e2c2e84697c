package bundle_test

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bide-dev/bide/flow/bundle"
)

func key(b byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, 32)) }

func files() map[string][]byte {
	return map[string][]byte{
		"flows/refund.yaml":      []byte("bide: 1\nflow: refund\nsteps: [{flow: {name: pay}}, {flow: {name: other}}, {tool: {name: mail}}, {llm: {model: m, prompt: x}}]"),
		"pay.yaml":               []byte("bide: 1\nflow: pay\nsteps: [{http: {url: 'https://a.b/{{ secret(\"k\") }}'}}]"),
		"flows/refund.test.yaml": []byte("not a flow"),
		"assets/logo.txt":        []byte("logo"),
	}
}

func build(t testing.TB, key ed25519.PrivateKey) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Build(files(), bundle.Options{Name: "shop", Version: "1.0", Entries: []string{"refund"}, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func bytesOf(t testing.TB, b *bundle.Bundle) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := b.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestABundleIsTheSameBytesAndComesBackAsItWas(t *testing.T) {
	one, two := bytesOf(t, build(t, key(1))), bytesOf(t, build(t, key(1)))
	if !bytes.Equal(one, two) {
		t.Error("the same content gives other bytes")
	}
	b, err := bundle.Open(bytes.NewReader(one))
	if err != nil {
		t.Fatal(err)
	}
	m := b.Manifest
	if got := fmt.Sprint(m.Name, m.Version, m.Entries, m.Tools, m.Models, m.Effects, m.Calls, m.Secrets, len(m.Files)); got != "shop1.0[refund] [mail] [m] [LLM_CALL http tool_call] [other] [k] 4" {
		t.Errorf("manifest = %s", got)
	}
	if d, err := b.Flow("pay"); err != nil || d.ID() != "pay" {
		t.Errorf("Flow = %v, %v", d, err)
	}
	if _, err := b.Flow("nope"); err == nil {
		t.Error("Flow finds what is not there")
	}
	if string(b.File("assets/logo.txt")) != "logo" {
		t.Error("the asset is lost")
	}
}

func TestSignatures(t *testing.T) {
	signed, err := bundle.Open(bytes.NewReader(bytesOf(t, build(t, key(1)))))
	if err != nil {
		t.Fatal(err)
	}
	if err := signed.Verify(key(1).Public().(ed25519.PublicKey)); err != nil {
		t.Errorf("Verify = %v", err)
	}
	if err := signed.Verify(key(2).Public().(ed25519.PublicKey)); !errors.Is(err, bundle.ErrWrongSignature) {
		t.Errorf("Verify with another key = %v, want ErrWrongSignature", err)
	}
	if err := build(t, nil).Verify(key(1).Public().(ed25519.PublicKey)); !errors.Is(err, bundle.ErrNotSigned) {
		t.Errorf("Verify = %v, want ErrNotSigned", err)
	}
}

func TestWhatCannotBeBundled(t *testing.T) {
	for name, c := range map[string]struct {
		path, content, entry, want string
	}{
		"a path upwards":      {"../x", "", "", "cannot be in a bundle"},
		"an absolute path":    {"/etc/passwd", "", "", "cannot be in a bundle"},
		"a backslash":         {`a\b`, "", "", "cannot be in a bundle"},
		"the bundle's own":    {"manifest.json", "{}", "", "is the bundle's own"},
		"a flow with faults":  {"flows/bad.yaml", "bide: 1\nflow: bad", "", `flows/bad.yaml:1:1: a flow needs the member "steps"`},
		"a flow twice":        {"flows/again.yaml", "bide: 1\nflow: pay\nsteps: [{say: hi}]", "", `flow "pay" is there twice`},
		"an entry of no flow": {"a.txt", "", "nope", `the entry "nope" is not a flow`},
	} {
		t.Run(name, func(t *testing.T) {
			all := files()
			all[c.path] = []byte(c.content)
			opts := bundle.Options{Name: "shop", Version: "1"}
			if c.entry != "" {
				opts.Entries = []string{c.entry}
			}
			if _, err := bundle.Build(all, opts); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Build = %v, want …%s…", err, c.want)
			}
		})
	}
	if _, err := bundle.Build(files(), bundle.Options{Name: "../x", Version: "1"}); err == nil {
		t.Error("Build takes a name that is a path")
	}
	if _, err := bundle.Build(map[string][]byte{"a.txt": nil}, bundle.Options{Name: "x", Version: "1"}); err == nil {
		t.Error("Build takes a bundle without a flow")
	}
}

// entry is one of an archive made by hand.
type entry struct {
	tar.Header
	data string
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		e.Size = int64(len(e.data))
		if e.Typeflag == 0 {
			e.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestWhatWasChangedIsRefused(t *testing.T) {
	good := bytesOf(t, build(t, nil))
	manifest := entry{tar.Header{Name: "manifest.json"}, `{"bide":1,"name":"x","version":"1","entries":[],"flows":[],"files":[]}`}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":               {nil, "it is empty"},
		"no archive":            {[]byte(strings.Repeat("x", 2000)), "cannot be read"},
		"cut off":               {good[:len(good)-2500], "cut off"},
		"an asset":              {bytes.Replace(good, []byte("logo\x00"), []byte("LOGO\x00"), 1), "was changed"},
		"a digest":              {bytes.Replace(good, []byte(`"name": "shop"`), []byte(`"name": "SHOP"`), 1), ""},
		"a need":                {bytes.Replace(good, []byte(`"mail"`), []byte(`"fail"`), 1), "does not say what the bundle holds"},
		"no manifest first":     {archive(t, entry{tar.Header{Name: "a"}, "x"}), "begins with"},
		"another format":        {archive(t, entry{tar.Header{Name: "manifest.json"}, `{"bide":9}`}), "format 9"},
		"unknown members":       {archive(t, entry{tar.Header{Name: "manifest.json"}, `{"bide":1,"x":1}`}), "unknown field"},
		"a file that is extra":  {archive(t, manifest, entry{tar.Header{Name: "a"}, "x"}), "names 0 files, the bundle holds 1"},
		"a path upwards":        {archive(t, manifest, entry{tar.Header{Name: "../a"}, "x"}), "cannot be in a bundle"},
		"a link":                {archive(t, manifest, entry{tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, ""}), "not a plain file"},
		"twice the same":        {archive(t, manifest, entry{tar.Header{Name: "a"}, "x"}, entry{tar.Header{Name: "a"}, "y"}), "holds a twice"},
		"a broken signature":    {archive(t, manifest, entry{tar.Header{Name: "manifest.sig"}, "zz"}), "not a signature"},
		"nothing in a manifest": {archive(t, manifest), "needs a flow document"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := bundle.Open(bytes.NewReader(c.data))
			if c.want == "" { // it is another bundle, but one that holds together
				if err != nil || b.Manifest.Name != "SHOP" {
					t.Errorf("Open = %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open = %v, want …%s…", err, c.want)
			}
		})
	}
}

func TestInstalling(t *testing.T) {
	dir := t.TempDir()
	b := build(t, key(1))
	folder, err := b.Install(dir)
	if err != nil {
		t.Fatal(err)
	}
	if folder != filepath.Join(dir, "shop", "1.0") {
		t.Errorf("folder = %s", folder)
	}
	for p, want := range files() {
		got, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(p)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s = %q, %v", p, got, err)
		}
	}
	if _, err := b.Install(dir); err != nil {
		t.Errorf("installed again = %v", err)
	}
	all := files()
	all["assets/logo.txt"] = []byte("another")
	other, err := bundle.Build(all, bundle.Options{Name: "shop", Version: "1.0"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Install(dir); err == nil || !strings.Contains(err.Error(), "holds another bundle") {
		t.Errorf("another bundle of the same name = %v", err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "shop"))
	if err != nil || len(left) != 1 {
		t.Errorf("%d entries are left, want 1 (%v)", len(left), err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(bytesOf(f, build(f, nil)))
	f.Add(bytesOf(f, build(f, key(1))))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := bundle.Open(bytes.NewReader(data))
		if err != nil {
			return
		}
		// What can be opened can be written, opened again, and installed inside its folder.
		again, err := bundle.Open(bytes.NewReader(bytesOf(t, b)))
		if err != nil || len(again.Manifest.Files) != len(b.Manifest.Files) {
			t.Errorf("Open of what Write wrote = %v", err)
		}
	})
}
