package file

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/bide-dev/bide"
)

// explain turns an error of the file system into one that says what happened to
// which file and what to do. An I/O error stays an ordinary error: it may pass,
// and the runtime sends the commit again.
func explain(doing, path string, err error) error {
	var known *bide.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &bide.Error{Code: bide.CodeStoreFull, Err: err,
			Message: fmt.Sprintf("%s: the disk under %s is full; nothing that was acknowledged is lost; free some space and try again", doing, path)}
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return &bide.Error{Code: bide.CodeStoreReadOnly, Err: err,
			Message: fmt.Sprintf("%s: %s cannot be written; give this process write access to the directory and all that is in it", doing, path)}
	}
	return fmt.Errorf("%s: reading or writing %s failed; check the disk: %w", doing, path, err)
}

func errClosed(dir string) error {
	return bide.Errorf(bide.CodeStoreClosed, "the store %s is closed", dir)
}

func errNoRun(id string) error {
	return &bide.Error{Code: bide.CodeNotFound, Message: "there is no run " + id, Run: id}
}

func errDamaged(id, format string, args ...any) error {
	return &bide.Error{Code: bide.CodeCorrupt, Run: id,
		Message: fmt.Sprintf(format, args...) + "; other runs are not concerned; restore the run's folder from a backup"}
}
