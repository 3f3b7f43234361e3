package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"opsconductor.dev/host/automation"
)

// folder is a host's own folder: its lock, its identity and what `dev` keeps.
type folder struct {
	path string
	lock *os.File
}

// openFolder makes the folder if it is not there, readable by its owner alone,
// and takes its lock: two hosts in one folder would take each other's identity.
func openFolder(path string) (*folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, folderError(path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, folderError(path, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, &automation.Error{
			Code: automation.CodeInvalid, Message: fmt.Sprintf("the folder %s may be used by others than its owner (mode %04o)", path, mode),
			Suggestion: "run: chmod 700 " + path,
		}
	}
	lock, err := lockFolder(filepath.Join(path, "host.lock"))
	if err != nil {
		return nil, err
	}
	return &folder{path: path, lock: lock}, nil
}

func folderError(path string, err error) error {
	var p *fs.PathError
	cause := err
	if errors.As(err, &p) {
		cause = p.Err
	}
	return &automation.Error{
		Code: automation.CodeInvalid, Message: fmt.Sprintf("open the folder %s: %v", path, cause), Err: err,
		Suggestion: "name a folder of your own with --dir",
	}
}

func (f *folder) file(name string) string { return filepath.Join(f.path, name) }

// urlFile is the file in the host's folder that says where its API is.
const urlFile = "url"

func (f *folder) remove(name string) error {
	if err := os.Remove(f.file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

func (f *folder) close() error { return f.lock.Close() }

// hostID returns the host's identifier, the same at every start: that is how the
// next start knows that what the last one ran is lost.
func (f *folder) hostID() (automation.HostID, error) {
	name := f.file("host.id")
	text, err := readSmall(name)
	if errors.Is(err, fs.ErrNotExist) {
		id := automation.NewID[automation.HostID]()
		return id, writeNew(name, string(id)+"\n")
	}
	if err != nil {
		return "", fmt.Errorf("read the host's identity: %w", err)
	}
	id, err := automation.ParseID[automation.HostID](strings.TrimSpace(text))
	if err != nil {
		return "", &automation.Error{
			Code: automation.CodeInvalid, Message: name + " does not hold an identifier", Err: err,
			Suggestion: "remove the file; the host makes itself a new identity",
		}
	}
	return id, nil
}

func readSmall(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	return string(b), err
}

// writeNew writes a file that its owner alone can read, whole or not at all, and
// on the disk when it returns. What was there is replaced.
func writeNew(name, text string) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
