//go:build unix

package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"opsconductor.dev/host/automation"
)

// lockFolder takes a lock that lasts as long as the file is open, also when the
// process is killed. The file holds the process's number for the next one's error.
func lockFolder(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, folderError(name, err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder, _ := io.ReadAll(io.LimitReader(f, 32))
		_ = f.Close()
		return nil, &automation.Error{
			Code:       automation.CodeConflict,
			Message:    fmt.Sprintf("another opsconductor (process %s) runs in this folder", strings.TrimSpace(string(holder))),
			Suggestion: "stop it, or name another folder with --dir",
		}
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		_ = f.Close()
		return nil, folderError(name, err)
	}
	return f, nil
}
