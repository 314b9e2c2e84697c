// Package bundle puts flow documents and what belongs to them into one file: a tar archive whose first entry
// is a manifest with the digest of every other. The same content gives the same bytes. A bundle may be signed
// with Ed25519. The package must not know a store or a server.
package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bide-dev/bide/flow"
)

// Bounds of a bundle.
const (
	MaxFiles     = 10_000
	MaxFileBytes = 64 << 20
	MaxBytes     = 512 << 20
)

// ManifestName and SignatureName are the entries that speak of the others.
const (
	ManifestName  = "manifest.json"
	SignatureName = "manifest.sig"
)

// Manifest says what a bundle holds.
type Manifest struct {
	Bide    int    `json:"bide"` // version of the format: 1
	Name    string `json:"name"`
	Version string `json:"version"`
	// Entries are the names of the flows to start with.
	Entries []string `json:"entries"`
	// Flows are all the flows, in order of their names.
	Flows []Flow `json:"flows"`
	// Tools, Models and Effects are what the flows need of others; Calls are flows that they start and that are not in the bundle.
	Tools   []string `json:"tools,omitempty"`
	Models  []string `json:"models,omitempty"`
	Effects []string `json:"effects,omitempty"`
	Calls   []string `json:"calls,omitempty"`
	Secrets []string `json:"secrets,omitempty"`
	// Files are all files, in order of their paths.
	Files []File `json:"files"`
}

// Flow is a document in a bundle.
type Flow struct {
	Name    string `json:"name"`
	Version string `json:"version"` // the content hash
	Path    string `json:"path"`
}

// File is one entry of the archive.
type File struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // in hex
}

// Bundle is one that was made or opened.
type Bundle struct {
	Manifest Manifest
	files    map[string][]byte
	manifest []byte // as it is in the archive
	sig      []byte
}

// Options refines Build.
type Options struct {
	Name    string // letters, digits and ._-
	Version string // as Name
	// Entries are the flows to start with. Defaults to all.
	Entries []string
	// Key signs the manifest. Defaults to none.
	Key ed25519.PrivateKey
}

var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// Build makes a bundle of files, by path with / between names. Those that end in .yaml, .yml or .json under flows/ or at the top are
// flow documents, except *.test.yaml; others are assets. It fails when a document has faults (with a *flow.Error), an entry is
// no flow, or a path, a size or a name cannot be used.
func Build(files map[string][]byte, opts Options) (*Bundle, error) {
	if !name.MatchString(opts.Name) || !name.MatchString(opts.Version) {
		return nil, fmt.Errorf("the name %q or version %q of the bundle cannot be used: letters, digits and . _ - are allowed", opts.Name, opts.Version)
	}
	b := &Bundle{Manifest: Manifest{Bide: 1, Name: opts.Name, Version: opts.Version, Files: []File{}, Flows: []Flow{}}, files: map[string][]byte{}}
	m := &b.Manifest
	total := 0
	for _, p := range slices.Sorted(maps.Keys(files)) {
		if err := checkPath(p); err != nil {
			return nil, err
		}
		total += len(files[p])
		if len(files[p]) > MaxFileBytes || total > MaxBytes || len(m.Files) == MaxFiles {
			return nil, fmt.Errorf("%s: a bundle holds %d files of %d bytes each and %d in all, at most", p, MaxFiles, MaxFileBytes, MaxBytes)
		}
		b.files[p] = files[p]
		m.Files = append(m.Files, File{Path: p, Size: int64(len(files[p])), SHA256: digest(files[p])})
	}
	if err := b.describe(); err != nil {
		return nil, err
	}
	if err := b.enter(opts.Entries); err != nil {
		return nil, err
	}
	var err error
	if b.manifest, err = json.MarshalIndent(m, "", "  "); err != nil {
		return nil, err
	}
	if opts.Key != nil {
		b.sig = ed25519.Sign(opts.Key, b.manifest)
	}
	return b, nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// isFlow says whether a path is that of a flow document.
func isFlow(p string) bool {
	dir := path.Dir(p)
	ext := path.Ext(p)
	return (dir == "." || dir == "flows" || strings.HasPrefix(dir, "flows/")) && (ext == ".yaml" || ext == ".yml" || ext == ".json") && !strings.HasSuffix(strings.TrimSuffix(p, ext), ".test")
}

// describe reads the documents and notes what they need.
func (b *Bundle) describe() error {
	m := &b.Manifest
	for _, f := range m.Files {
		if !isFlow(f.Path) {
			continue
		}
		d, err := flow.Parse(f.Path, b.files[f.Path])
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(m.Flows, func(have Flow) bool { return have.Name == d.ID() }); i >= 0 {
			return fmt.Errorf("flow %q is there twice: %s and %s", d.ID(), m.Flows[i].Path, f.Path)
		}
		m.Flows = append(m.Flows, Flow{Name: d.ID(), Version: d.Version(), Path: f.Path})
		m.Tools, m.Models, m.Effects = append(m.Tools, d.Tools()...), append(m.Models, d.Models()...), append(m.Effects, d.Effects()...)
		m.Calls, m.Secrets = append(m.Calls, d.Flows()...), append(m.Secrets, d.Secrets()...)
	}
	if len(m.Flows) == 0 {
		return errors.New("a bundle needs a flow document, at the top or under flows/")
	}
	slices.SortFunc(m.Flows, func(a, b Flow) int { return strings.Compare(a.Name, b.Name) })
	for _, list := range []*[]string{&m.Tools, &m.Models, &m.Effects, &m.Calls, &m.Secrets} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	m.Calls = slices.DeleteFunc(m.Calls, func(id string) bool { return b.Manifest.flow(id) != nil })
	return nil
}

func (m *Manifest) flow(id string) *Flow {
	for i := range m.Flows {
		if m.Flows[i].Name == id {
			return &m.Flows[i]
		}
	}
	return nil
}

// enter sets the flows to start with.
func (b *Bundle) enter(entries []string) error {
	m := &b.Manifest
	m.Entries = slices.Clone(entries)
	if len(entries) == 0 {
		for _, f := range m.Flows {
			m.Entries = append(m.Entries, f.Name)
		}
	}
	slices.Sort(m.Entries)
	m.Entries = slices.Compact(m.Entries)
	for _, id := range m.Entries {
		if m.flow(id) == nil {
			return fmt.Errorf("the entry %q is not a flow of the bundle", id)
		}
	}
	return nil
}

// checkPath refuses paths that could lead elsewhere, or that not every system can hold.
func checkPath(p string) error {
	switch {
	case !fs.ValidPath(p) || p == ".", strings.ContainsAny(p, "\\:*?\"<>|\x00"), p != path.Clean(p), len(p) > 200:
		return fmt.Errorf("the path %q cannot be in a bundle: relative paths with / between plain names are allowed", p)
	case p == ManifestName || p == SignatureName:
		return fmt.Errorf("the path %q is the bundle's own", p)
	}
	return nil
}

// Write writes the archive. The same bundle gives the same bytes.
func (b *Bundle) Write(w io.Writer) error {
	tw := tar.NewWriter(w)
	put := func(p string, data []byte) error {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: p, Size: int64(len(data)), Mode: 0o644, ModTime: time.Unix(0, 0).UTC(), Format: tar.FormatUSTAR}
		if len(p) > 100 {
			h.Format = tar.FormatPAX
		}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		_, err := tw.Write(data)
		return err
	}
	if err := put(ManifestName, b.manifest); err != nil {
		return err
	}
	if b.sig != nil {
		if err := put(SignatureName, []byte(hex.EncodeToString(b.sig)+"\n")); err != nil {
			return err
		}
	}
	for _, f := range b.Manifest.Files {
		if err := put(f.Path, b.files[f.Path]); err != nil {
			return err
		}
	}
	return tw.Close()
}

// Open reads an archive and checks it: every path, size and digest, that the documents are what the manifest says, and that nothing
// is there that the manifest does not name. It does not check the signature; see Verify.
func Open(r io.Reader) (*Bundle, error) {
	b := &Bundle{files: map[string][]byte{}}
	tr := tar.NewReader(io.LimitReader(r, MaxBytes+MaxFiles*2048))
	left := int64(MaxBytes)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the bundle cannot be read: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			return nil, fmt.Errorf("the bundle holds %q, which is not a plain file", h.Name)
		}
		if n > MaxFiles+2 || h.Size > MaxFileBytes || h.Size > left || h.Size < 0 {
			return nil, fmt.Errorf("%s: a bundle holds %d files of %d bytes each and %d in all, at most", h.Name, MaxFiles, MaxFileBytes, MaxBytes)
		}
		left -= h.Size
		data, err := io.ReadAll(tr)
		if err != nil {
			return nil, fmt.Errorf("the bundle is cut off in %s: %w", h.Name, err)
		}
		if err := b.take(n, h.Name, data); err != nil {
			return nil, err
		}
	}
	if b.manifest == nil {
		return nil, errors.New("this is not a bundle: it is empty")
	}
	return b, b.check()
}

// take adds entry number n of an archive.
func (b *Bundle) take(n int, p string, data []byte) (err error) {
	switch {
	case n == 0 && p != ManifestName:
		return fmt.Errorf("this is not a bundle: it begins with %q, not with %s", p, ManifestName)
	case n == 0:
		b.manifest = data
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&b.Manifest); err != nil {
			return fmt.Errorf("%s: %w", ManifestName, err)
		}
		if b.Manifest.Bide != 1 {
			return fmt.Errorf("the bundle has format %d; this program reads format 1", b.Manifest.Bide)
		}
		return nil
	case n == 1 && p == SignatureName:
		if b.sig, err = hex.DecodeString(strings.TrimSpace(string(data))); err != nil || len(b.sig) != ed25519.SignatureSize {
			return fmt.Errorf("%s is not a signature", SignatureName)
		}
		return nil
	}
	if err := checkPath(p); err != nil {
		return err
	}
	if _, has := b.files[p]; has {
		return fmt.Errorf("the bundle holds %s twice", p)
	}
	b.files[p] = data
	return nil
}

// check holds the files to the manifest, and the manifest to what Build would have written.
func (b *Bundle) check() error {
	m := b.Manifest
	if len(m.Files) != len(b.files) {
		return fmt.Errorf("the manifest names %d files, the bundle holds %d", len(m.Files), len(b.files))
	}
	for _, f := range m.Files {
		data, has := b.files[f.Path]
		switch {
		case !has:
			return fmt.Errorf("%s is missing from the bundle", f.Path)
		case int64(len(data)) != f.Size || digest(data) != f.SHA256:
			return fmt.Errorf("%s is not what the manifest says: it was changed", f.Path)
		}
	}
	again, err := Build(b.files, Options{Name: m.Name, Version: m.Version, Entries: m.Entries})
	if err != nil {
		return err
	}
	if !bytes.Equal(again.manifest, b.manifest) {
		return errors.New("the manifest does not say what the bundle holds: it was not made by this program, or changed")
	}
	return nil
}

// ErrNotSigned is returned by Verify for a bundle without a signature.
var ErrNotSigned = errors.New("the bundle is not signed")

// ErrWrongSignature is returned by Verify when the signature is not that of the key.
var ErrWrongSignature = errors.New("the bundle was not signed with this key, or was changed")

// Verify checks the signature. It fails with ErrNotSigned or ErrWrongSignature.
func (b *Bundle) Verify(key ed25519.PublicKey) error {
	switch {
	case b.sig == nil:
		return ErrNotSigned
	case len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, b.manifest, b.sig):
		return ErrWrongSignature
	}
	return nil
}

// Signed says whether there is a signature, right or wrong.
func (b *Bundle) Signed() bool { return b.sig != nil }

// File returns the content of a file, which must not be changed, or nil.
func (b *Bundle) File(p string) []byte { return b.files[p] }

// Flow returns a document by the name of its flow. It fails when there is none.
func (b *Bundle) Flow(id string) (*flow.Doc, error) {
	f := b.Manifest.flow(id)
	if f == nil {
		return nil, fmt.Errorf("the bundle %s has no flow %q", b.Manifest.Name, id)
	}
	return flow.Parse(f.Path, b.files[f.Path])
}

// Install writes the files into dir/name/version, all or nothing, and returns that folder. A folder that is there already is left
// as it is when it was made of the same bundle, and is an error otherwise.
func (b *Bundle) Install(dir string) (folder string, err error) {
	folder = filepath.Join(dir, b.Manifest.Name, b.Manifest.Version)
	if have, err := os.ReadFile(filepath.Join(folder, ManifestName)); err == nil {
		if bytes.Equal(have, b.manifest) {
			return folder, nil
		}
		return "", fmt.Errorf("%s holds another bundle of the same name and version; remove it first", folder)
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(filepath.Dir(folder), ".installing-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	for _, p := range append(slices.Sorted(maps.Keys(b.files)), ManifestName) {
		data := b.files[p]
		if p == ManifestName {
			data = b.manifest
		}
		file := filepath.Join(temp, filepath.FromSlash(p))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return "", err
		}
	}
	if err := os.Rename(temp, folder); err != nil {
		return "", fmt.Errorf("install %s: %w", b.Manifest.Name, err)
	}
	return folder, nil
}
