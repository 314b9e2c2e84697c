//go:build !linux

package pgtest

import "os/exec"

func give(string) error { return nil }

func own(cmd *exec.Cmd, dir string) error {
	cmd.Dir = dir
	return nil
}
