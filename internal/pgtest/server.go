package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a PostgreSQL server that listens on a socket in its own directory.
// Its methods are for one goroutine.
type Server struct {
	bin, dir string
	proc     *process // nil while it is stopped
}

// NewServer starts a server that only this test uses, and removes it when the test ends.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s, err := Launch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// URL names the server's database.
func (s *Server) URL() string { return s.url("postgres") }

// Socket is the path of the Unix socket on which the server listens.
func (s *Server) Socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

// Start starts the server again after Stop or Kill.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the server in order; it breaks every connection.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.stop(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

// Kill ends the server at once, as a crash does: its next start recovers what was committed.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.stop(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) url(database string) string {
	q := url.Values{"host": {s.dir}, "port": {"5432"}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + database, RawQuery: q.Encode()}).String()
}

// Launch makes a server in a temporary folder and starts it, for programs that
// are not tests. Remove it at the end; when this process is killed, the server ends, and the folder stays.
func Launch() (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bide-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir}
	if err := s.init(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

// binaries finds the directory of the newest installed server.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if path, err := exec.LookPath("postgres"); err == nil && len(found) == 0 {
		found = append(found, path)
	}
	if len(found) == 0 {
		return "", fmt.Errorf("PostgreSQL is not installed: run scripts/postgres or apt-get install postgresql, or set %s to the URL of a server", env)
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 when it is elsewhere
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(found[len(found)-1]), nil
}

// Version tells the version of the server that is installed.
func Version() (string, error) {
	bin, err := binaries()
	if err != nil {
		return "", err
	}
	text, err := exec.Command(filepath.Join(bin, "postgres"), "--version").Output()
	return strings.TrimSpace(strings.TrimPrefix(string(text), "postgres (PostgreSQL)")), err
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// init makes the cluster. Its collation orders text as people do, not by bytes,
// so that a statement that relies on the latter without saying so is found out.
func (s *Server) init() error {
	if err := give(s.dir); err != nil {
		return err
	}
	args := []string{"-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions"}
	icu := append(slices.Clone(args), "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")
	if _, err := s.run("initdb", icu...); err == nil {
		return nil
	}
	if err := os.RemoveAll(s.data()); err != nil {
		return err
	}
	_, err := s.run("initdb", args...)
	return err
}

// run runs a program of the server's to its end.
func (s *Server) run(name string, args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	if err := own(cmd, s.dir); err != nil {
		return "", err
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

func (s *Server) start() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", s.dir, "-c", "listen_addresses=",
		"-c", "max_connections=200", "-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB")
	cmd.Stdout, cmd.Stderr = log, log
	if err := own(cmd, s.dir); err != nil {
		return err
	}
	if s.proc, err = startProcess(cmd); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	return s.ready()
}

// ready waits until the server answers.
func (s *Server) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.URL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-s.proc.ended:
			return fmt.Errorf("PostgreSQL ended at once: %s", s.log())
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL does not answer: %w: %s", err, s.log())
		}
	}
}

func (s *Server) log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text[max(0, len(text)-4096):]))
}

// stop ends the server by its process id and waits for it.
func (s *Server) stop(how syscall.Signal) error {
	if s.proc == nil {
		return nil
	}
	if err := s.proc.cmd.Process.Signal(how); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	<-s.proc.ended
	s.proc = nil
	return nil
}

// Remove ends the server and removes all that it kept.
func (s *Server) Remove() error {
	return errors.Join(s.stop(syscall.SIGQUIT), os.RemoveAll(s.dir))
}
