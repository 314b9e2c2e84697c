package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// Child is another process of the same program, which says things line by line.
type Child struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

// StartChild starts this program with other arguments.
func StartChild(args ...string) (*Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &Child{cmd: exec.Command(self, args...)}
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.lines = bufio.NewScanner(out)
	return c, c.cmd.Start()
}

// Tell sends the child a line.
func (c *Child) Tell(line string) error {
	_, err := fmt.Fprintln(c.in, line)
	return err
}

// Hear returns the next line that the child says. It fails when it says no more.
func (c *Child) Hear() (string, error) {
	if !c.lines.Scan() {
		return "", errors.Join(errors.New("the other process has ended by itself"), c.lines.Err())
	}
	return c.lines.Text(), nil
}

// End tells the child that there is no more to come, and waits until it has ended.
func (c *Child) End() error { return errors.Join(c.in.Close(), c.cmd.Wait()) }

// Kill kills the child, as kill -9 does.
func (c *Child) Kill() error {
	if err := c.cmd.Process.Kill(); err != nil {
		return err
	}
	var killed *exec.ExitError
	if err := c.cmd.Wait(); !errors.As(err, &killed) {
		return fmt.Errorf("the other process ended by itself: %w", err)
	}
	return nil
}

// WaitForParent is for a child: it returns when the parent tells that there is no more to come.
func WaitForParent() error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}
