package tool

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Workspace is a directory that tools work in. Nothing outside it can be
// reached by a path or a symbolic link.
type Workspace struct{ root *os.Root }

// OpenWorkspace opens a directory as a workspace. Close it after use.
func OpenWorkspace(dir string) (*Workspace, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open workspace: %w", err)
	}
	return &Workspace{root}, nil
}

// Close ends the use of the directory.
func (w *Workspace) Close() error { return w.root.Close() }

// Bounds of what the tools of a workspace return.
const (
	maxEntries = 1000
	maxMatches = 200
	maxFile    = 8 << 20
	maxLine    = 1 << 20
)

// Files are the tools list_files, read_file, search_files, write_file and edit_file.
func (w *Workspace) Files() []Tool {
	tools := []Tool{
		Func("list_files", "Lists the files and directories below a directory of the workspace.", ReadOnly, w.list),
		Func("read_file", "Reads a text file of the workspace, or some of its lines.", ReadOnly, w.read),
		Func("search_files", "Finds the lines of text files of the workspace that match a regular expression (RE2).", ReadOnly, w.search),
		Func("write_file", "Writes a text file of the workspace; what was there is replaced.", Idempotent, w.write),
		Func("edit_file", "Replaces a piece of text that occurs exactly once in a file of the workspace.", Once, w.edit),
	}
	for i := range tools {
		tools[i].Source.Kind = "builtin"
	}
	return tools
}

type listArgs struct {
	Path string `json:"path,omitempty" jsonschema:"the directory; defaults to the workspace itself"`
}

type entry struct {
	Path  string `json:"path"`
	Dir   bool   `json:"dir,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
}

type listing struct {
	Entries []entry `json:"entries"`
	More    bool    `json:"more,omitempty"` // there are more than are listed
}

func (w *Workspace) list(ctx context.Context, in listArgs) (out listing, err error) {
	out.Entries = []entry{}
	start := clean(in.Path)
	err = fs.WalkDir(w.root.FS(), start, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case name == start && e.IsDir():
			return nil
		case len(out.Entries) == maxEntries:
			out.More = true
			return fs.SkipAll
		}
		item := entry{Path: name, Dir: e.IsDir()}
		if info, err := e.Info(); err == nil && !e.IsDir() {
			item.Bytes = info.Size()
		}
		out.Entries = append(out.Entries, item)
		return nil
	})
	return out, err
}

type readArgs struct {
	Path  string `json:"path"`
	First int    `json:"first_line,omitempty" jsonschema:"from 1; defaults to the first"`
	Lines int    `json:"lines,omitempty" jsonschema:"how many; defaults to all"`
}

func (w *Workspace) read(_ context.Context, in readArgs) (string, error) {
	body, err := w.load(in.Path)
	if err != nil || in.First <= 1 && in.Lines <= 0 {
		return string(body), err
	}
	lines := strings.SplitAfter(string(body), "\n")
	first := min(max(in.First, 1)-1, len(lines))
	end := len(lines)
	if in.Lines > 0 {
		end = min(first+in.Lines, end)
	}
	return strings.Join(lines[first:end], ""), nil
}

// load reads a text file.
func (w *Workspace) load(name string) ([]byte, error) {
	info, err := w.root.Stat(clean(name))
	if err == nil && !info.Mode().IsRegular() { // a pipe would not end
		err = fmt.Errorf("%s is not a file", name)
	}
	if err != nil {
		return nil, err
	}
	f, err := w.root.Open(clean(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxFile:
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxFile)
	case !utf8.Valid(body):
		return nil, fmt.Errorf("%s is not a text file in UTF-8", name)
	}
	return body, nil
}

type searchArgs struct {
	Pattern string `json:"pattern" jsonschema:"a regular expression in the syntax of RE2"`
	Path    string `json:"path,omitempty" jsonschema:"the directory; defaults to the workspace itself"`
	Files   string `json:"files,omitempty" jsonschema:"a pattern for the names of files, such as *.go"`
}

type match struct {
	Path string `json:"path"`
	Line int    `json:"line"`
	Text string `json:"text"`
}

type matchList struct {
	Matches []match `json:"matches"`
	More    bool    `json:"more,omitempty"`
}

func (w *Workspace) search(ctx context.Context, in searchArgs) (out matchList, err error) {
	out.Matches = []match{}
	re, err := regexp.Compile(in.Pattern)
	if err != nil {
		return out, err
	}
	if _, err := path.Match(in.Files, ""); err != nil {
		return out, fmt.Errorf("files: %w", err)
	}
	err = fs.WalkDir(w.root.FS(), clean(in.Path), func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !e.Type().IsRegular() || !matches(in.Files, e.Name()):
			return nil
		}
		out.More, err = w.grep(name, re, &out)
		if out.More {
			return fs.SkipAll
		}
		return err
	})
	return out, err
}

// grep adds the lines of a file that match, and reports whether there are too many.
func (w *Workspace) grep(name string, re *regexp.Regexp, out *matchList) (more bool, err error) {
	f, err := w.root.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		if bytes.IndexByte(lines.Bytes(), 0) >= 0 {
			return false, nil // not a text
		}
		if !re.Match(lines.Bytes()) {
			continue
		}
		if len(out.Matches) == maxMatches {
			return true, nil
		}
		text := strings.ToValidUTF8(string(lines.Bytes()[:min(len(lines.Bytes()), 500)]), "\uFFFD")
		out.Matches = append(out.Matches, match{name, n, text})
	}
	if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return false, err
	}
	return false, nil
}

type writeArgs struct {
	Path    string `json:"path"`
	Content string `json:"content"`
}

type written struct {
	Path  string `json:"path"`
	Bytes int    `json:"bytes"`
}

func (w *Workspace) write(_ context.Context, in writeArgs) (written, error) {
	return written{clean(in.Path), len(in.Content)}, w.store(in.Path, []byte(in.Content))
}

// store replaces a file at once: whoever reads it sees the old or the new one.
func (w *Workspace) store(name string, body []byte) error {
	name = clean(name)
	mode := fs.FileMode(0o644)
	switch info, err := w.root.Stat(name); {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", name)
	case err == nil:
		mode = info.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := w.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	temp := path.Join(path.Dir(name), ".bide-"+uuid.NewString())
	f, err := w.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = w.root.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, w.root.Remove(temp))
	}
	return nil
}

type editArgs struct {
	Path string `json:"path"`
	Old  string `json:"old" jsonschema:"the text to replace; it must occur exactly once"`
	New  string `json:"new"`
}

func (w *Workspace) edit(_ context.Context, in editArgs) (written, error) {
	body, err := w.load(in.Path)
	if err != nil {
		return written{}, err
	}
	if n := strings.Count(string(body), in.Old); in.Old == "" || n != 1 {
		return written{}, fmt.Errorf("the text to replace occurs %d times in %s, not once", n, in.Path)
	}
	body = []byte(strings.Replace(string(body), in.Old, in.New, 1))
	return written{clean(in.Path), len(body)}, w.store(in.Path, body)
}

// clean is a path as os.Root takes it; one that leads out is refused there.
func clean(name string) string {
	if name == "" {
		return "."
	}
	return path.Clean(name)
}
