package vault

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"opsconductor.dev/host/automation"
)

const (
	keyBytes = 32
	// maxKeyFile bounds what is read of a key file: base64 of 32 bytes and a line end.
	maxKeyFile = 256
)

// Key is the key of a vault. It prints as redacted. The zero value is no key.
type Key struct {
	secret automation.Secret
	id     string
}

// ID returns the key's name: the first 8 bytes of its SHA-256, hexadecimal. It
// says nothing of the key's bytes, and is stored beside what the key sealed.
func (k Key) ID() string { return k.id }

// Format writes "vault key ID" for every verb. (fmt does not ask a Secret in an
// unexported field how to print itself.)
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "vault key "+k.id) }

// NewKey returns the key with the given 32 bytes, which it owns from then on.
func NewKey(b []byte) (Key, error) {
	if len(b) != keyBytes {
		return Key{}, &automation.Error{
			Code: automation.CodeInvalid, Message: fmt.Sprintf("a vault key has %d bytes, this one has %d", keyBytes, len(b)),
			Suggestion: "make one with: head -c 32 /dev/urandom | base64",
		}
	}
	allZero := byte(0)
	for _, c := range b {
		allZero |= c
	}
	if allZero == 0 {
		return Key{}, &automation.Error{
			Code: automation.CodeInvalid, Message: "the vault key is all zeros: that is no secret",
			Suggestion: "make one with: head -c 32 /dev/urandom | base64",
		}
	}
	sum := sha256.Sum256(b)
	return Key{secret: automation.NewSecret(b), id: hex.EncodeToString(sum[:8])}, nil
}

// CreateKey makes a random key and writes it to a new file at path, base64 with
// a line end, readable by its owner alone. A file that is there already is never
// touched: that is an error for which errors.Is(err, fs.ErrExist) holds. The file
// and its name are on the disk when CreateKey returns.
func CreateKey(path string) (Key, error) {
	b := make([]byte, keyBytes)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return Key{}, &automation.Error{
			Code: automation.CodeConflict, Message: fmt.Sprintf("the key file %s is there already", path), Err: err,
			Suggestion: "use it as it is; a new key could not open what the old one sealed",
		}
	}
	if err != nil {
		return Key{}, fileError("create", path, err)
	}
	text := append([]byte(base64.StdEncoding.EncodeToString(b)), '\n')
	defer clear(text)
	if err := writeSynced(f, text); err != nil {
		_ = os.Remove(path) // a half-written key must not be taken for one
		return Key{}, fileError("write", path, err)
	}
	return NewKey(b)
}

func writeSynced(f *os.File, text []byte) error {
	_, err := f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// LoadKey reads the key in the file at path. It refuses a file that the group or
// others may read or write, one that is not a regular file, and anything but the
// base64 of 32 bytes; the errors never show what the file holds.
func LoadKey(path string) (Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return Key{}, fileError("open", path, err)
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return Key{}, fileError("look at", path, err)
	}
	if !info.Mode().IsRegular() {
		return Key{}, keyError(path, "is not a regular file", "name the file that holds the key")
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return Key{}, keyError(path, fmt.Sprintf("may be used by others than its owner (mode %04o)", mode), "run: chmod 600 "+path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return Key{}, fileError("read", path, err)
	}
	defer clear(text)
	return parseKey(path, text)
}

func parseKey(path string, text []byte) (Key, error) {
	const restore = "restore the key from your backup; for a new deployment, make one with: head -c 32 /dev/urandom | base64"
	line := trimSpace(text)
	switch {
	case len(line) == 0:
		return Key{}, keyError(path, "is empty", restore)
	case len(text) > maxKeyFile:
		return Key{}, keyError(path, "is too long for a key: base64 of 32 bytes has 44 characters", restore)
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Strict().Decode(b, line)
	if err != nil {
		clear(b)
		return Key{}, keyError(path, "holds something else than base64 text", restore)
	}
	if n != keyBytes {
		clear(b)
		return Key{}, keyError(path, fmt.Sprintf("holds %d bytes in base64, a key has %d", n, keyBytes), restore)
	}
	k, err := NewKey(b[:n])
	if err != nil {
		return Key{}, keyError(path, "holds a key that is all zeros: that is no secret", restore)
	}
	return k, nil
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func keyError(path, what, suggestion string) error {
	return &automation.Error{Code: automation.CodeInvalid, Message: fmt.Sprintf("the key file %s %s", path, what), Suggestion: suggestion}
}

func fileError(doing, path string, err error) error {
	suggestion := "check the path and its permissions"
	if errors.Is(err, fs.ErrNotExist) {
		suggestion = "name the key file of this deployment; the host does not start without it"
	}
	return &automation.Error{
		Code: automation.CodeInvalid, Message: fmt.Sprintf("%s the key file %s: %v", doing, path, cause(err)), Err: err, Suggestion: suggestion,
	}
}

// cause is the system's own words, without the path that the message has already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
