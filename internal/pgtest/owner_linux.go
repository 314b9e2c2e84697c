package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// credential is the user as whom the server runs: PostgreSQL refuses root. It
// is nil when this process is not root.
func credential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user for it: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// give makes a directory the server's.
func give(dir string) error {
	c, err := credential()
	if c == nil || err != nil {
		return err
	}
	return os.Chown(dir, int(c.Uid), int(c.Gid))
}

// own lets a program run as the server's user, in a directory that it may read,
// and end with the thread that started it.
func own(cmd *exec.Cmd, dir string) error {
	c, err := credential()
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c, Pdeathsig: syscall.SIGQUIT}
	return err
}
