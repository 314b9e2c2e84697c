package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/internal/search"
)

// library finds flows: by file, and by name in the folders of the project.
type library struct{ cfg *config }

func newLibrary(cfg *config) *library { return &library{cfg} }

// extensions are those of the files of flows. Cases have another ending before theirs.
var extensions = []string{".yaml", ".yml", ".json"}

const casesMark = ".test"

// names lists the flows of the project.
func (l *library) names() (names []string) {
	for _, folder := range l.cfg.list("flows") {
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue // a folder that is not there has no flows
		}
		for _, e := range entries {
			name, ok := flowName(e.Name())
			if ok && !e.IsDir() && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func flowName(file string) (name string, ok bool) {
	ext := filepath.Ext(file)
	name = strings.TrimSuffix(filepath.Base(file), ext)
	return name, slices.Contains(extensions, ext) && !strings.HasSuffix(name, casesMark)
}

// path is the file of a flow: what is named, when it is a file, or the one in the project's folders. It is empty when there is none.
func (l *library) path(name string) string {
	if info, err := os.Stat(name); err == nil && !info.IsDir() {
		return name
	}
	if strings.ContainsRune(name, filepath.Separator) {
		return ""
	}
	for _, folder := range l.cfg.list("flows") {
		for _, ext := range extensions {
			path := filepath.Join(folder, name+ext)
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				return path
			}
		}
	}
	return ""
}

// read parses the document of a flow.
func (l *library) read(name string) (*flow.Doc, error) {
	path := l.path(name)
	if path == "" {
		return nil, l.missing(name)
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d, err := flow.Parse(path, src)
	return d, faulty(path, err)
}

// faulty explains the faults of a document.
func faulty(path string, err error) error {
	var faults *flow.Error
	if !errors.As(err, &faults) {
		return err
	}
	return &problem{code: exitError, what: fmt.Sprintf("the flow %s has %s", path, plural(len(faults.Faults), "fault")), why: faults.Error(), err: err}
}

// plural is a number of things: 1 run, 2 runs.
func plural[N int | int64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func (l *library) missing(name string) error {
	p := &problem{code: exitNotFound, what: fmt.Sprintf("there is no flow %q", name), err: fs.ErrNotExist,
		why: fmt.Sprintf("it is not a file, and not in %s", strings.Join(l.cfg.list("flows"), ", "))}
	names := l.names()
	if near := search.Nearest(name, names); near != "" {
		p.next = "bide run " + near
	} else if len(names) > 0 {
		p.why += "\nthere are " + strings.Join(names, ", ")
	} else {
		p.next = "bide init"
	}
	return p
}

// check says what is wrong with a flow.
func (l *library) check(name string) error {
	_, err := l.read(name)
	return err
}

// maxCalled bounds how many flows a flow may call, directly and through others.
const maxCalled = 1000

// withCalled reads a flow and those of the project that it calls, the called ones first. A called flow that is
// not in the project may be in the store.
func (l *library) withCalled(name string) ([]*flow.Doc, error) {
	root, err := l.read(name)
	if err != nil {
		return nil, err
	}
	docs := []*flow.Doc{root}
	for i := 0; i < len(docs) && len(docs) < maxCalled; i++ {
		for _, called := range docs[i].Flows() {
			if l.path(called) == "" || slices.ContainsFunc(docs, func(d *flow.Doc) bool { return d.ID() == called }) {
				continue
			}
			d, err := l.read(called)
			if err != nil {
				return nil, err
			}
			docs = append(docs, d)
		}
	}
	slices.Reverse(docs)
	return docs, nil
}
