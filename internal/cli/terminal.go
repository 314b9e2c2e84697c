package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
)

// terminal shows lines as they come and asks a person, one question at a time,
// at the same time. It leaves the terminal in its usual mode: nothing has to be put
// right after a kill, and Ctrl-C is a signal.
type terminal struct {
	styled bool

	mu     sync.Mutex
	w      io.Writer
	prompt string // what stands in the last line, waiting for an answer

	in    io.Reader
	once  sync.Once
	lines chan string // closed at the end of input
}

func newTerminal(in io.Reader, w io.Writer, styled bool) *terminal {
	return &terminal{in: in, w: w, styled: styled, lines: make(chan string)}
}

// say writes a line above the open question.
func (t *terminal) say(line string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.prompt != "" {
		line = "\r\x1b[K" + line
	}
	_, err := io.WriteString(t.w, line+"\n"+t.prompt)
	return err
}

// Write says what it is given, a line or more with their ends: for loggers.
func (t *terminal) Write(b []byte) (int, error) {
	return len(b), t.say(strings.TrimSuffix(string(b), "\n"))
}

// ask shows a prompt and returns the next line without its end. It fails with io.EOF at the
// end of input (Ctrl-D), and with the cause of ctx's end when that comes first.
func (t *terminal) ask(ctx context.Context, prompt string) (string, error) {
	t.once.Do(func() { go t.read() })
	if err := t.show(prompt); err != nil {
		return "", err
	}
	select {
	case line, ok := <-t.lines:
		t.mu.Lock()
		t.prompt = ""
		t.mu.Unlock()
		if !ok {
			return "", errors.Join(io.EOF, t.say(""))
		}
		return line, nil
	case <-ctx.Done():
		t.mu.Lock()
		t.prompt = ""
		_, err := io.WriteString(t.w, "\n")
		t.mu.Unlock()
		return "", errors.Join(context.Cause(ctx), err)
	}
}

func (t *terminal) show(prompt string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.prompt = prompt
	_, err := io.WriteString(t.w, prompt)
	return err
}

// read hands on the lines that are typed. A read of a terminal cannot be
// broken off: it ends with the input or the process.
func (t *terminal) read() {
	defer close(t.lines)
	in := bufio.NewScanner(t.in)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		t.lines <- in.Text()
	}
}
