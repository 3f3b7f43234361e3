//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"opsconductor.dev/host/automation"
)

// lockFile takes the lock of the database, which lasts as long as the returned
// file is open. The file holds the number of the process, for the next one's error.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil { //nolint:gosec // a descriptor fits an int
		holder, _ := io.ReadAll(io.LimitReader(f, 32))
		_ = f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, &automation.Error{
			Code:       automation.CodeUnavailable,
			Message:    fmt.Sprintf("another opsconductor (process %s) has this database open", strings.TrimSpace(string(holder))),
			Suggestion: "stop it, or give this one a folder of its own; several hosts share a PostgreSQL database instead",
			Err:        err,
		}
	}
	if err := f.Truncate(0); err != nil {
		_ = f.Close()
		return nil, err
	}
	if _, err := fmt.Fprintln(f, os.Getpid()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
