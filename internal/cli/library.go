package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bide-dev/bide"
	"github.com/bide-dev/bide/flow"
	"github.com/bide-dev/bide/internal/search"
	"github.com/bide-dev/bide/schedule"
)

// library finds flows: by file, by name in the folders of the project, and by run in a store.
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

func plural(n int, thing string) string {
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

// input is the JSON Schema of a flow's input; nil when it has none.
func (l *library) input(name string) (bide.JSON, error) {
	d, err := l.read(name)
	if err != nil {
		return nil, err
	}
	return d.InputSchema(), nil
}

// handle registers what flows are carried out with.
func (l *library) handle(rt *bide.Runtime) error {
	h := &flow.Handlers{Env: l.cfg.env, Secrets: secrets(l.cfg.secrets), AllowExec: l.cfg.list("allow.exec")}
	for _, text := range l.cfg.list("allow.addresses") {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return err
		}
		h.AllowAddresses = append(h.AllowAddresses, prefix)
	}
	flow.Handle(rt, h)
	return nil
}

// secrets are the secrets of flows, by their names in capitals.
type secrets map[string]string

// Secret returns a secret, or fails when there is none of the name.
func (s secrets) Secret(_ context.Context, name string) (string, error) {
	value, ok := s[strings.ToUpper(name)]
	if !ok {
		return "", bide.Permanent(fmt.Errorf("it is not known here; set %s%s in the environment", secretPrefix, strings.ToUpper(name)))
	}
	return value, nil
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

// publish keeps a flow, and those that it calls, in the store.
func (l *library) publish(ctx context.Context, rt *bide.Runtime, name string) (*flow.Doc, error) {
	docs, err := l.withCalled(name)
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		if err := flow.Publish(ctx, rt, d); err != nil {
			return nil, err
		}
	}
	return docs[len(docs)-1], nil
}

// start starts a run of a flow.
func (l *library) start(ctx context.Context, rt *bide.Runtime, req *startRequest) (*bide.Run, error) {
	d, err := l.publish(ctx, rt, req.Flow)
	if err != nil {
		return nil, err
	}
	input := req.Input
	if input == nil {
		input = bide.JSON("{}")
	}
	return flow.Start(ctx, rt, d, input, &bide.StartOptions{Command: req.Command, RunID: req.RunID, Key: req.Key,
		Session: req.Session, Labels: req.Labels, Timeout: req.Timeout, MaxSteps: req.MaxSteps})
}

// load registers the flow of a run, and every published version of those that it calls.
func (l *library) load(ctx context.Context, rt *bide.Runtime, run *bide.RunInfo) error {
	if run.Workflow == schedule.Workflow {
		return nil
	}
	d, err := flow.ForRun(ctx, rt, run)
	if errors.Is(err, bide.ErrNotFound) {
		return &problem{code: exitNotFound, what: fmt.Sprintf("the flow %s version %.12s of run %s is not in the store", run.Workflow, run.Version, run.ID),
			why: "it was started by a program; that program goes on with it", err: err}
	}
	if err != nil || len(d.Flows()) == 0 {
		return err
	}
	_, err = flow.NewLibrary(rt, nil).Sync(ctx)
	return err
}
