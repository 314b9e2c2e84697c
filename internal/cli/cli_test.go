package cli_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bide-dev/bide/internal/cli"
)

// The test binary is also the program bide, for scripts and for tests that start it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"bide": func() {
		os.Exit(cli.Main(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
	}})
}

// Every script is one conversation with the program.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("BIDE_ACTOR", "ann")
			flows, err := filepath.Abs("testdata/flows")
			env.Setenv("FLOWS", flows)
			env.Setenv("ESC", "\x1b")
			env.Setenv("CSI", "\u009b")
			env.Setenv("SLY", `[\x1b\x{9b}\x{202e}\r]`)
			return errors.Join(err, writeKeys(env.WorkDir))
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"code": code, "keep": keep, "eventually": eventually},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// writeKeys puts two pairs of keys into a folder, as openssl would.
func writeKeys(dir string) error {
	for name, seed := range map[string]byte{"ours": 1, "theirs": 2} {
		key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		public, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			return err
		}
		err = errors.Join(
			os.WriteFile(filepath.Join(dir, name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
			os.WriteFile(filepath.Join(dir, name+".pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
		if err != nil {
			return err
		}
	}
	return nil
}

// code N PROGRAM ARG… runs a program and wants the exit code N.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N PROGRAM ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	default:
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%q ends with code %d, want %d", args[1:], got, want)
	}
}

// eventually PATTERN PROGRAM ARG… runs a program again and again until it succeeds and writes what the pattern matches.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually PATTERN PROGRAM ARG…")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for late := time.After(patience); ; {
		if err := ts.Exec(args[1], args[2:]...); err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		select {
		case <-again.C:
		case <-late:
			ts.Fatalf("%q never writes what %q matches", args[1:], args[0])
		}
	}
}

// keep NAME puts the standard output of the last program into a variable.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keep NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// result is what a program that was started outside of a script said.
type result struct {
	stdout, stderr bytes.Buffer
	code           int
}

// bide runs the program in a folder.
func bide(t *testing.T, dir string, args ...string) *result {
	t.Helper()
	r := &result{}
	cmd := exec.Command("bide", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &r.stdout, &r.stderr
	cmd.Env = append(os.Environ(), "BIDE_ACTOR=ann", "TZ=UTC")
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r.code = cmd.ProcessState.ExitCode()
	return r
}
