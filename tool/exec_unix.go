//go:build unix

package tool

import (
	"os/exec"
	"syscall"
)

// ownGroup puts a command into a group of processes that is killed as one, when its context ends and by end.
func ownGroup(cmd *exec.Cmd) (end func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return func() {
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // fails when nobody is left
		}
	}
}
