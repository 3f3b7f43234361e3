//go:build !unix

package app

import "os"

// lockFolder keeps the file open; the database's own lock holds a second host off.
func lockFolder(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, folderError(name, err)
	}
	return f, nil
}
