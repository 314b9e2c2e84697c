package cli_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// session is the program at a terminal, with somebody who reads and types.
type session struct {
	t    *testing.T
	cmd  *exec.Cmd
	tty  *os.File
	mu   sync.Mutex
	text bytes.Buffer  // all that was shown
	more chan struct{} // holds a token when something was shown
	read int           // how much of text was waited for
	done chan struct{} // closed when the terminal is
}

// patience bounds the wait for something to be shown; it is reached only when a test fails.
const patience = time.Minute

// atTerminal starts the program in a folder, at a terminal of its own.
func atTerminal(t *testing.T, dir string, args ...string) *session {
	t.Helper()
	flows, err := filepath.Abs("testdata/flows")
	if err != nil {
		t.Fatal(err)
	}
	return atTerminalWith(t, exec.Command("bide", args...), dir, "BIDE_ACTOR=ann", "BIDE_FLOWS="+flows, "NO_COLOR=1")
}

// atTerminalWith starts a program with more variables in its environment.
func atTerminalWith(t *testing.T, cmd *exec.Cmd, dir string, env ...string) *session {
	t.Helper()
	s := &session{t: t, cmd: cmd, more: make(chan struct{}, 1), done: make(chan struct{})}
	s.cmd.Dir = dir
	s.cmd.Env = append(append(os.Environ(), "TERM=xterm", "TZ=UTC"), env...)
	var err error
	if s.tty, err = pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 50, Cols: 200}); err != nil {
		t.Fatal(err)
	}
	go s.watch()
	t.Cleanup(func() {
		err := s.cmd.Process.Kill()
		if err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		s.end()
	})
	return s
}

// watch keeps what is shown, until the program has gone.
func (s *session) watch() {
	defer close(s.done)
	buf := make([]byte, 4096)
	for {
		n, err := s.tty.Read(buf)
		s.mu.Lock()
		s.text.Write(buf[:n])
		s.mu.Unlock()
		select {
		case s.more <- struct{}{}:
		default:
		}
		if err != nil { // on Linux EIO, when the program has gone
			return
		}
	}
}

func (s *session) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// sees waits until a text is shown that was not waited for before.
func (s *session) sees(want string) {
	s.t.Helper()
	late := time.After(patience)
	for {
		if i := strings.Index(s.shown()[s.read:], want); i >= 0 {
			s.read += i + len(want)
			return
		}
		select {
		case <-s.more:
		case <-s.done:
			if !strings.Contains(s.shown()[s.read:], want) {
				s.t.Fatalf("the program ended without showing %q:\n%s", want, s.shown())
			}
		case <-late:
			s.t.Fatalf("%q is not shown:\n%s", want, s.shown())
		}
	}
}

// types writes as a person would.
func (s *session) types(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.tty, text); err != nil {
		s.t.Fatal(err)
	}
}

// end waits until the program has gone, and returns its exit code: -1 when a signal ended it.
func (s *session) end() int {
	s.t.Helper()
	if s.cmd.ProcessState != nil {
		return s.cmd.ProcessState.ExitCode()
	}
	<-s.done
	var exit *exec.ExitError
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		s.t.Error(err)
	}
	return s.cmd.ProcessState.ExitCode()
}

// ends wants the program to end with a code.
func (s *session) ends(code int) {
	s.t.Helper()
	if got := s.end(); got != code {
		s.t.Errorf("the program ended with code %d, want %d:\n%s", got, code, s.shown())
	}
}

func TestARunAsksItsQuestionsAtTheTerminal(t *testing.T) {
	s := atTerminal(t, t.TempDir(), "run", "ask")
	s.sees("Go on? [approve/reject] ")
	s.types("perhaps\n")
	s.sees(`"perhaps" is not a choice`)
	s.sees("Go on? [approve/reject] ")
	s.types("A\n") // a choice can be shortened
	s.sees(`"approve" by ann`)
	s.sees("Ledger verified")
	s.sees(`"approve"`)
	s.ends(0)
}

func TestAFormIsAskedFieldByField(t *testing.T) {
	s := atTerminal(t, t.TempDir(), "run", "form")
	for _, turn := range [][2]string{
		{"street: ", "\n"}, {"street is needed", ""}, {"street: ", "Main Street 1\n"}, {"zip: ", "123\n"},
		{"express [y/n] (optional): ", "perhaps\n"}, {"neither yes nor no", ""}, {"express", "y\n"},
		{"size [small/large] (default small): ", "huge\n"}, {"not one of the choices", ""}, {"size", "\n"},
		{"/zip", ""}, // the kernel refuses it: once more
		{"street: ", "Main Street 1\n"}, {"zip: ", "01234\n"}, {"express", "\n"}, {"size", "large\n"},
		{"run.completed", ""},
	} {
		s.sees(turn[0])
		s.types(turn[1])
	}
	s.sees(`"zip": "01234"`)
	s.ends(0)
}

func TestTheInputThatAFlowNeedsIsAskedFor(t *testing.T) {
	s := atTerminal(t, t.TempDir(), "run", "hello", "--input", "times=3")
	s.sees("name: ")
	s.types("Bo\n")
	s.sees("says: Hello Bo.")
	s.sees(`"times": 3`)
	s.ends(0)
}

// The questions of children are asked too, and one that is answered elsewhere is taken back.
func TestAQuestionThatIsAnsweredElsewhereIsTakenBack(t *testing.T) {
	dir := t.TempDir()
	s := atTerminal(t, dir, "run", "parent", "--key", "p")
	s.sees("Go on? [approve/reject] ")
	if r := bide(t, dir, "reject", "@last"); r.code != 0 {
		t.Fatalf("bide reject @last = %d\n%s", r.code, r.stderr.String())
	}
	s.sees(`"reject" by ann`)
	s.sees("Ledger verified")
	s.ends(0)
}

func TestCtrlCSaysHowToGoOnAndTheRunDoes(t *testing.T) {
	dir := t.TempDir()
	s := atTerminal(t, dir, "run", "ask")
	s.sees("Go on? [approve/reject] ")
	s.types("\x03")
	s.sees("bide run --resume ")
	s.ends(130)

	s = atTerminal(t, dir, "run", "--resume")
	s.sees("Going on with run ")
	s.sees("Go on? [approve/reject] ")
	s.types("\x04") // the end of input: nobody answers any more
	s.sees("bide run --resume ")
	s.ends(6)

	s = atTerminal(t, dir, "run", "--resume", "@last")
	s.sees("Go on? ")
	s.types("reject\n")
	s.sees(`"reject"`)
	s.ends(0)
}

// A process that is killed in the middle of an effect that must not happen twice leaves a question behind.
func TestAKilledRunGoesOn(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("BIDE_ALLOW_EXEC", "sh")
	s := atTerminal(t, dir, "run", "once")
	s.sees("step.planned      exec")
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.ends(-1)
	why := bide(t, dir, "why", "@last")
	if why.code != 0 || !strings.Contains(why.stdout.String(), "is running") {
		t.Errorf("bide why after a kill = %d\n%s%s", why.code, why.stdout.String(), why.stderr.String())
	}

	s = atTerminal(t, dir, "run", "--resume")
	s.sees("[done/again/fail] ")
	s.types("done\n")
	s.sees("Its result")
	s.types(`{"exit_code": 0}` + "\n")
	s.sees("run.completed")
	s.sees("Ledger verified")
	s.ends(0)
	if verify := bide(t, dir, "verify", "--all"); verify.code != 0 {
		t.Errorf("bide verify --all = %d\n%s", verify.code, verify.stderr.String())
	}
}

func TestAKilledRunKeepsItsQuestion(t *testing.T) {
	dir := t.TempDir()
	s := atTerminal(t, dir, "run", "ask")
	s.sees("Go on? [approve/reject] ")
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.ends(-1)
	s = atTerminal(t, dir, "run", "--resume")
	s.sees("Go on? [approve/reject] ")
	s.types("approve\n")
	s.sees("Ledger verified")
	s.ends(0)
}

func TestWhatIsDoneToManyIsAskedFor(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		s := atTerminal(t, dir, "run", "ask")
		s.sees("Go on? ")
		s.types("\x04")
		s.ends(6)
	}
	s := atTerminal(t, dir, "cancel", "--where", "flow:ask")
	s.sees("Cancel 2 runs? [y/N] ")
	s.types("\n")
	s.sees("nobody said yes")
	s.ends(1)
	s = atTerminal(t, dir, "cancel", "--where", "flow:ask")
	s.sees("Cancel 2 runs? [y/N] ")
	s.types("y\n")
	s.sees("cancel 2 of 2 runs")
	s.ends(0)
}

func TestAnAnswerThatIsNotGivenIsAskedFor(t *testing.T) {
	dir := t.TempDir()
	s := atTerminal(t, dir, "run", "text")
	s.sees("What is the code? ")
	s.types("\x04")
	s.ends(6)
	s = atTerminal(t, dir, "answer", "@last")
	s.sees("What is the code? ")
	s.types("4711\n")
	s.sees(`Answered`)
	s.ends(0)
}

func TestColoursAreForTerminalsThatWantThem(t *testing.T) {
	dir := t.TempDir()
	plain := atTerminal(t, dir, "run", "hello", "--input", "name=Bo")
	plain.ends(0)
	if strings.Contains(plain.shown(), "\x1b[") {
		t.Errorf("there are colours in spite of NO_COLOR:\n%q", plain.shown())
	}
	t.Setenv("NO_COLOR", "")
	coloured := exec.Command("bide", "tail", "@last")
	coloured.Dir = dir
	tty, err := pty.Start(coloured)
	if err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	_, err = io.Copy(&shown, tty) // ends with EIO when the program has gone
	if werr := coloured.Wait(); werr != nil {
		t.Fatalf("bide tail at a terminal = %v (%v)", werr, err)
	}
	if !strings.Contains(shown.String(), "\x1b[") {
		t.Errorf("a terminal shows no colours:\n%q", shown.String())
	}
	if r := bide(t, dir, "tail", "@last"); strings.Contains(r.stdout.String(), "\x1b[") {
		t.Errorf("there are colours without a terminal:\n%q", r.stdout.String())
	}
}
