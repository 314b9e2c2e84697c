package seal_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/artifact"
	"github.com/bide-dev/bide/artifact/artifacttest"
	"github.com/bide-dev/bide/seal"
	"github.com/bide-dev/bide/store/mem"
)

// folder is a place for blobs whose files can be looked at and made old.
type folder struct {
	*artifact.Dir
	path string
}

func newFolder(t testing.TB) *folder {
	t.Helper()
	path := t.TempDir()
	d, err := artifact.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return &folder{d, path}
}

// files lists what is kept, by name.
func (f *folder) files(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(filepath.Join(f.path, "blobs"), func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && e.IsDir() {
			return nil
		}
		if err == nil {
			out[e.Name()], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// age makes all files two days old.
func (f *folder) age(t testing.TB) {
	t.Helper()
	old := time.Now().Add(-48 * time.Hour)
	for name := range f.files(t) {
		if err := os.Chtimes(filepath.Join(f.path, "blobs", name[:2], name), old, old); err != nil {
			t.Fatal(err)
		}
	}
}

// ageDocuments makes what a store says of its blobs two days old.
func ageDocuments(t testing.TB, s bide.Documents) {
	t.Helper()
	page, err := s.Documents(ctx, bide.DocumentQuery{Kind: seal.ArtifactKind, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range page.Documents {
		d.UpdatedAt = time.Now().Add(-48 * time.Hour).UTC().Truncate(time.Microsecond)
		if _, err := s.PutDocument(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
}

func putBlob(t testing.TB, s artifact.Store, text string) string {
	t.Helper()
	sum, size, err := s.Put(ctx, strings.NewReader(text))
	want := sha256.Sum256([]byte(text))
	if err != nil || sum != hex.EncodeToString(want[:]) || size != int64(len(text)) {
		t.Fatalf("Put(%.20q) = %s, %d, %v", text, sum, size, err)
	}
	return sum
}

func readBlob(s artifact.Store, sum string) (string, error) {
	r, err := s.Open(ctx, sum)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), errors.Join(err, r.Close())
}

func wantBlob(t testing.TB, s artifact.Store, sum, want string) {
	t.Helper()
	if got, err := readBlob(s, sum); got != want || err != nil {
		t.Errorf("the blob is %.20q, %v; want %.20q", got, err, want)
	}
}

func TestEncryptedArtifactsDoWhatArtifactsDo(t *testing.T) {
	artifacttest.Run(t, func(t *testing.T) artifacttest.Subject {
		in := newFolder(t)
		s := sealed(t, mem.New(), line(t, "k"))
		return artifacttest.Subject{Store: s.Artifacts(in), Age: func() { in.age(t); ageDocuments(t, s) }}
	})
}

// Neither the content of a blob nor its hash is to be seen where it is kept, nor in the store beside.
func TestArtifactsAreEncrypted(t *testing.T) {
	in, inner := newFolder(t), mem.New()
	keys := line(t, "k")
	blobs := sealed(t, inner, keys).Artifacts(in)
	secret := strings.Repeat("the recipe ", 50_000)
	sum := putBlob(t, blobs, secret)
	for name, content := range in.files(t) {
		if name == sum || bytes.Contains(content, []byte("recipe")) {
			t.Errorf("%s shows what it is", name)
		}
	}
	for _, kind := range []string{seal.ArtifactKind, seal.KeyKind} {
		page, err := inner.Documents(ctx, bide.DocumentQuery{Kind: kind})
		if err != nil || len(page.Documents) == 0 {
			t.Fatalf("documents of kind %s = %v, %v", kind, page, err)
		}
		for _, d := range page.Documents {
			if strings.Contains(d.ID+string(d.Body), sum) {
				t.Errorf("document %s of kind %s names the blob", d.ID, d.Kind)
			}
		}
	}
	wantBlob(t, sealed(t, inner, keys).Artifacts(in), sum, secret) // in another process

	if _, err := readBlob(sealed(t, inner, line(t, "other")).Artifacts(in), sum); !errors.Is(err, bide.ErrSealed) || !strings.Contains(err.Error(), `"k"`) {
		t.Errorf("without the key: %v; want ErrSealed that names it", err)
	}
	if _, err := readBlob(in, sum); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("in the folder itself: %v; want ErrNotFound", err)
	}
}

func TestEqualContentsAreOneEncryptedBlob(t *testing.T) {
	in := newFolder(t)
	blobs := sealed(t, mem.New(), line(t, "k")).Artifacts(in)
	for range 3 {
		putBlob(t, blobs, "again")
	}
	if n := len(in.files(t)); n != 1 {
		t.Errorf("%d files are kept, want 1", n)
	}
}

// Every byte of a file counts: its head, each chunk, their order and its end.
func TestAnEncryptedBlobThatWasChangedIsNotRead(t *testing.T) {
	in, s := newFolder(t), sealed(t, mem.New(), line(t, "k"))
	content := make([]byte, 200<<10)
	rand.Read(content)
	blobs := s.Artifacts(in)
	sum, _, err := blobs.Put(ctx, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	other := putBlob(t, blobs, "another")
	var name, otherName string
	var whole []byte
	files := in.files(t)
	for n, text := range files {
		if len(text) > 100<<10 {
			name, whole = n, text
		} else {
			otherName = n
		}
	}
	chunk := 64<<10 + 16
	swapped := bytes.Clone(whole)
	head := len(whole) - len(content) - 4*16
	copy(swapped[head:], whole[head+chunk:head+2*chunk])
	copy(swapped[head+chunk:], whole[head:head+chunk])
	for what, text := range map[string][]byte{
		"flipped in the head":    flipAt(whole, 60),
		"flipped in a chunk":     flipAt(whole, len(whole)/2),
		"flipped at the end":     flipAt(whole, len(whole)-1),
		"cut":                    whole[:len(whole)-1],
		"cut at a chunk":         whole[:head+2*chunk],
		"with chunks swapped":    swapped,
		"with more at its end":   append(bytes.Clone(whole), 0),
		"empty":                  nil,
		"another one of its own": files[otherName],
	} {
		if err := os.WriteFile(filepath.Join(in.path, "blobs", name[:2], name), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readBlob(blobs, sum); !errors.Is(err, bide.ErrCorrupt) {
			t.Errorf("%s: %d bytes, %v; want ErrCorrupt", what, len(got), err)
		}
	}
	wantBlob(t, blobs, other, "another")
}

func flipAt(b []byte, i int) []byte {
	out := bytes.Clone(b)
	out[i] ^= 1
	return out
}

func TestArtifactsFromBeforeThereWasEncryptionAreReadAndEncryptedOnDemand(t *testing.T) {
	in, s := newFolder(t), sealed(t, mem.New(), line(t, "k"))
	sum := putBlob(t, in, "old and plain")
	blobs := s.Artifacts(in)
	wantBlob(t, blobs, sum, "old and plain")
	if n, err := blobs.Encrypt(ctx); n != 0 || err != nil {
		t.Errorf("Encrypt = %d, %v; want what is young left", n, err)
	}
	in.age(t)
	if n, err := blobs.Encrypt(ctx); n != 1 || err != nil {
		t.Errorf("Encrypt = %d, %v; want 1", n, err)
	}
	wantBlob(t, blobs, sum, "old and plain")
	if files := in.files(t); len(files) != 1 || files[sum] != nil {
		t.Errorf("%d files are kept, the plain one among them: %v; want the encrypted one alone", len(files), files[sum] != nil)
	}
	in.age(t)
	if n, err := blobs.Encrypt(ctx); n != 0 || err != nil {
		t.Errorf("Encrypt again = %d, %v; want nothing to do", n, err)
	}
	wantBlob(t, blobs, sum, "old and plain")
}

// What was destroyed cannot be read from a copy of the folder with a copy of the store of before either, once the
// wrapping key was replaced and the old one destroyed.
func TestADestroyedArtifactIsGoneFromOldCopiesToo(t *testing.T) {
	in, inner := newFolder(t), mem.New()
	old, fresh := line(t, "old"), line(t, "new")
	s := sealed(t, inner, old)
	blobs := s.Artifacts(in)
	sum := putBlob(t, blobs, "the recipe")
	if gone, err := blobs.Destroy(ctx, sum, time.Now().Add(-2*time.Hour)); gone || err != nil {
		t.Errorf("Destroy of what was put just now = %v, %v; want it left", gone, err)
	}
	ageDocuments(t, s)
	before := map[string]bide.Document{} // a backup
	for _, kind := range []string{seal.ArtifactKind, seal.KeyKind} {
		page, err := inner.Documents(ctx, bide.DocumentQuery{Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Documents {
			before[d.Kind+"/"+d.ID] = d
		}
	}
	if gone, err := blobs.Destroy(ctx, sum, time.Now().Add(-2*time.Hour)); !gone || err != nil {
		t.Fatalf("Destroy = %v, %v", gone, err)
	}
	if _, err := readBlob(blobs, sum); !errors.Is(err, bide.ErrNotFound) {
		t.Errorf("the blob = %v, want ErrNotFound", err)
	}
	if _, err := sealed(t, inner, fresh+old).Rewrap(ctx, nil); err != nil {
		t.Fatal(err)
	}
	// Whoever has the backup and what is there now, but not the old wrapping key, puts them together.
	mixed := mem.New()
	for _, d := range before {
		now, err := inner.Document(ctx, d.Kind, d.ID)
		if d.Kind == seal.KeyKind && err == nil && bytes.Contains(d.Body, []byte("wrapped")) {
			d.Body = graft(t, d.Body, now.Body)
		}
		d.Rev = 0
		if _, err := mixed.PutDocument(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := readBlob(sealed(t, mixed, fresh).Artifacts(in), sum); err == nil {
		t.Errorf("the destroyed blob is %q", text)
	}
	wantBlob(t, blobs, putBlob(t, blobs, "the recipe"), "the recipe") // put anew, under another key
}

// A blob is put, put again, destroyed and swept; the process dies at every write in turn, and another one does it again: what was
// acknowledged is there, and what was destroyed is not.
func TestArtifactsAreWholeWhateverWriteIsTheLast(t *testing.T) {
	keys := line(t, "k")
	for _, after := range []bool{false, true} {
		for n, done := 1, false; !done; n++ {
			if n > 100 {
				t.Fatal("it does not end")
			}
			in, inner := newFolder(t), mem.New()
			m := &mortal{inner, n, after}
			acknowledged := map[string]string{}
			destroying := ""
			err := func() error {
				s, err := seal.New(ctx, m, ring(t, keys), nil)
				if err != nil {
					return err
				}
				blobs := s.Artifacts(in)
				for _, text := range []string{"a", "b", "a"} {
					sum, _, err := blobs.Put(ctx, strings.NewReader(text))
					if err != nil {
						return err
					}
					acknowledged[sum] = text
				}
				in.age(t)
				ageDocuments(t, sealed(t, inner, keys))
				destroying = hexSum("b")
				delete(acknowledged, destroying)
				_, err = blobs.Sweep(ctx, time.Now().Add(-time.Hour), func(_ context.Context, sum string) (bool, error) { return sum != destroying, nil })
				return err
			}()
			done = err == nil
			if !done && !errors.Is(err, errDead) {
				t.Fatal(err)
			}
			s := sealed(t, inner, keys)
			blobs := s.Artifacts(in)
			for sum, text := range acknowledged {
				wantBlob(t, blobs, sum, text)
			}
			in.age(t)
			ageDocuments(t, s)
			if _, err := blobs.Sweep(ctx, time.Now().Add(-time.Hour), func(_ context.Context, sum string) (bool, error) { return acknowledged[sum] != "", nil }); err != nil {
				t.Fatalf("the sweep after write %d: %v", n, err)
			}
			for sum, text := range acknowledged {
				wantBlob(t, blobs, sum, text)
			}
			if got := len(in.files(t)); got != len(acknowledged) {
				t.Errorf("cut off at write %d: %d files are left, want %d", n, got, len(acknowledged))
			}
			if destroying != "" {
				if _, err := readBlob(blobs, destroying); !errors.Is(err, bide.ErrNotFound) {
					t.Errorf("cut off at write %d: what was destroyed = %v, want ErrNotFound", n, err)
				}
			}
		}
	}
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
