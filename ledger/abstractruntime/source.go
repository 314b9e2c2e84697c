package abstractruntime

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/bide-dev/bide"
)

// source is where runs are read from.
type source interface {
	// runs calls f with the text of every checkpoint.
	runs(f func(name string, text []byte) error) error
	// steps returns the text of a run's ledger: whole records, in order.
	steps(runID string) ([]byte, error)
	close() error
}

// open looks what a path is.
func open(path string) (source, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, bide.Errorf(bide.CodeNotFound, "there is nothing at %s", path)
	}
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		root, err := os.OpenRoot(path)
		if err != nil {
			return nil, err
		}
		return &directory{root}, nil
	}
	return openSQLite(path)
}

// directory is the flat directory of JSON files. Files outside of it are not read, whatever links say.
type directory struct{ root *os.Root }

func (d *directory) close() error { return d.root.Close() }

func (d *directory) runs(f func(string, []byte) error) error {
	names, err := fs.Glob(d.root.FS(), "run_*.json")
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := d.read(name)
		if err != nil {
			return err
		}
		if err := f(name, text); err != nil {
			return err
		}
	}
	return nil
}

// maxFile bounds one file that is read whole.
const maxFile = 1 << 30

func (d *directory) read(name string) ([]byte, error) {
	info, err := d.root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, bide.Errorf(bide.CodeInvalidInput, "%s is not a file of at most %d bytes", name, maxFile)
	}
	return d.root.ReadFile(name)
}

func (d *directory) steps(runID string) ([]byte, error) {
	text, err := d.read("ledger_" + runID + ".jsonl")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// database is the SQLite file.
type database struct{ conn *sqlite3.Conn }

func openSQLite(path string) (source, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	conn, err := sqlite3.OpenFlags("file:"+(&url.URL{Path: abs}).EscapedPath()+"?mode=ro", sqlite3.OPEN_READONLY|sqlite3.OPEN_URI)
	if err != nil {
		return nil, bide.Errorf(bide.CodeStoreForeign, "%s cannot be opened: %w", path, err)
	}
	d := &database{conn}
	for _, table := range []string{"SELECT run_id, run_json FROM runs LIMIT 1", "SELECT run_id, seq, record_json FROM ledger LIMIT 1"} {
		if err := d.query(table, "", func(*sqlite3.Stmt) error { return nil }); err != nil {
			return nil, errors.Join(bide.Errorf(bide.CodeStoreForeign, "%s is not a SQLite file of AbstractRuntime: %w", path, err), conn.Close())
		}
	}
	return d, nil
}

func (d *database) close() error { return d.conn.Close() }

// query calls f for each row; arg, when not empty, is the only parameter.
func (d *database) query(sql, arg string, f func(*sqlite3.Stmt) error) (err error) {
	stmt, _, err := d.conn.Prepare(sql)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	if arg != "" {
		if err := stmt.BindText(1, arg); err != nil {
			return err
		}
	}
	for stmt.Step() {
		if err := f(stmt); err != nil {
			return err
		}
	}
	return stmt.Err()
}

func (d *database) runs(f func(string, []byte) error) error {
	return d.query("SELECT run_id, run_json FROM runs ORDER BY created_at, run_id", "", func(s *sqlite3.Stmt) error {
		return f("run "+s.ColumnText(0), []byte(s.ColumnText(1)))
	})
}

func (d *database) steps(runID string) (out []byte, err error) {
	err = d.query("SELECT record_json FROM ledger WHERE run_id = ? ORDER BY seq", runID, func(s *sqlite3.Stmt) error {
		out = append(append(out, s.ColumnText(0)...), '\n')
		return nil
	})
	return out, err
}

// split takes a ledger's text apart. A line may hold several records, and a torn one may have swallowed those after
// it: what begins like a record is tried. lost is how many pieces could not be read.
func split(text []byte) (out []step, lost, nans int) {
	for line := range bytes.Lines(text) {
		line, n := plain(bytes.TrimSpace(line))
		nans += n
		for len(line) > 0 {
			raw, ok := first(line)
			if ok {
				var s step
				if err := json.Unmarshal(raw, &s); err == nil {
					s.raw = raw
					out = append(out, s)
					line = bytes.TrimSpace(line[len(raw):])
					continue
				}
			}
			lost++
			next := bytes.Index(line[1:], []byte(`{"run_id"`))
			if next < 0 {
				break
			}
			line = line[1+next:]
		}
	}
	return out, lost, nans
}

// first returns the first value of a text.
func first(text []byte) (json.RawMessage, bool) {
	var raw json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&raw); err != nil || raw[0] != '{' {
		return nil, false
	}
	return raw, true
}

// problem is what a file cannot be read for.
func problem(name string, err error) string {
	return fmt.Sprintf("%s: %s", strings.TrimSpace(name), err)
}
