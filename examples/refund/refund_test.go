package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The process is killed around every commit there is, started again, and must
// end as the undisturbed one: paid once, one mail, chain verified.
func TestKilledAtAnyCommitItPaysOnceAndMailsOnce(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "refund")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, flag := range []string{"--crash-at", "--crash-before"} {
		kills := 0
		for n := 1; ; n++ {
			p := &person{t: t, binary: binary, dir: t.TempDir()}
			if !p.start("approve\n", flag, strconv.Itoa(n)) {
				break // it came to its end before the n-th commit
			}
			kills++
			p.untilDone()
			p.check(flag + " " + strconv.Itoa(n))
		}
		if kills < 4 {
			t.Errorf("%s: the process was killed %d times; there are more commits than that", flag, kills)
		}
	}
}

// person starts the program, answers it and looks at what it did.
type person struct {
	t           *testing.T
	binary, dir string
	out         bytes.Buffer
	code        int
}

// start runs the program once and reports whether it was killed.
func (p *person) start(input string, args ...string) (killed bool) {
	p.t.Helper()
	cmd := exec.Command(p.binary, append(args, "--dir", p.dir)...)
	p.out.Reset()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &p.out, &p.out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	p.code = cmd.ProcessState.ExitCode()
	return p.code < 0
}

// untilDone starts the program again until it ends; asked whether the mail was sent, the person looks.
func (p *person) untilDone() {
	p.t.Helper()
	input := "approve\n"
	for range 3 {
		p.start(input)
		if p.code == 0 {
			return
		}
		if strings.Contains(p.out.String(), `whether "mail" happened`) {
			input = "again\n"
			if len(p.lines("mails.txt")) > 0 {
				input = "done\n"
			}
		}
	}
	p.t.Fatalf("it does not end; exit code %d:\n%s", p.code, p.out.String())
}

func (p *person) check(when string) {
	p.t.Helper()
	if got := p.lines("payments.txt"); len(got) != 1 {
		p.t.Errorf("%s: payments %q, want one", when, got)
	}
	if got := p.lines("mails.txt"); len(got) != 1 {
		p.t.Errorf("%s: mails %q, want one", when, got)
	}
	for _, want := range []string{"completed", "Chain verified", "run.completed"} {
		if !strings.Contains(p.out.String(), want) {
			p.t.Errorf("%s: %q is not in the output:\n%s", when, want, p.out.String())
		}
	}
}

func (p *person) lines(file string) []string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, file))
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
}

func TestTheQuestionStaysOpenWithoutAnAnswerAndRefusesAWrongOne(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	o := options{dir: dir, order: "o", amount: 120}
	if err := run(t.Context(), o, strings.NewReader("maybe\n"), &out); !errors.Is(err, errWaiting) {
		t.Errorf("run = %v, want errWaiting", err)
	}
	if !strings.Contains(out.String(), `"maybe" is not a choice`) {
		t.Errorf("the wrong answer was not refused:\n%s", out.String())
	}
	out.Reset()
	if err := run(t.Context(), o, strings.NewReader("reject\n"), &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "rejected by") || len((&person{t: t, dir: dir}).lines("payments.txt")) != 0 {
		t.Errorf("after reject:\n%s", out.String())
	}
}

func TestASmallRefundAsksNobody(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), options{dir: t.TempDir(), order: "o", amount: 80}, strings.NewReader(""), &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
}
