package ssh

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/pkg/sftp"

	"opsconductor.dev/hostfuncs"
)

// Put is a file to write.
type Put struct {
	Path    string
	Content []byte
	// Mode are the permission bits, up to 07777; nil: those of the file that is
	// there, else 0644.
	Mode *uint32
	// UID and GID are the owner; nil: that of the file that is there, else whom the
	// server makes it.
	UID, GID *uint32
	Begin    Begin // with the Hash
}

// Written is a file that has been put.
type Written struct {
	Size   int64
	SHA256 string // of the content, hexadecimal
	Mode   uint32
	// UID and GID are the owner; nil: not known, as over scp.
	UID, GID *uint32
	Changed  bool // false: all was so already, and nothing was sent
	Atomic   bool // false: for a moment there was no file at the path
}

// belong notes whose the file is.
func (w *Written) belong(uid, gid int) {
	user, group := uint32(uid), uint32(gid) //nolint:gosec // they came from 32 bits
	w.UID, w.GID = &user, &group
}

// Hash returns the SHA-256, in hexadecimal, of what is to be written and where.
func (w Put) Hash() string {
	sum := sha256.Sum256(w.Content)
	return w.hash(hex.EncodeToString(sum[:]))
}

// hash is Hash where that of the content is known.
func (w Put) hash(content string) string {
	h := sha256.New()
	fmt.Fprintf(h, "put,%d:%s,%d:%s", len(w.Path), w.Path, len(w.Content), content)
	for _, n := range []*uint32{w.Mode, w.UID, w.GID} {
		if n == nil {
			h.Write([]byte(",-"))
			continue
		}
		fmt.Fprintf(h, ",%d", *n)
	}
	return hexSum(h)
}

func (w Put) validate(e Endpoint) error {
	if err := e.badPath("write a file", w.Path); err != nil {
		return err
	}
	base := path.Base(w.Path)
	switch {
	case w.Path[len(w.Path)-1] == '/' || base == "." || base == "..":
		return hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "write a file on %s: the path names a folder, not a file", e.place())
	case w.Mode != nil && *w.Mode > 0o7777:
		return hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "write a file on %s: the mode has more than permission bits", e.place())
	}
	return nil
}

// Put writes a file so that at its path there is the old file or the whole new
// one, with its mode and owner, and never a part: to a new file of mode 0600 with
// an unguessable name in the same folder, which is read back and compared by
// SHA-256, given owner and mode, and renamed. A link at the path is replaced, not
// followed. What is there already is not sent again. When it fails before the
// rename the new file is removed, and the error says that nothing was changed
// (Stopped). To a server without SFTP it goes by scp: in the same way where a shell
// can rename it; else, on an appliance, straight to its path, so that Atomic is
// false and a failure may leave a part. Errors are *hostfuncs.Error.
func (p *Pool) Put(ctx context.Context, e Endpoint, w Put) (Written, error) {
	if err := w.validate(e); err != nil {
		return Written{}, err
	}
	var out Written
	err := p.withFiles(ctx, e, func(ctx context.Context, f *files) error {
		var err error
		out, err = f.put(ctx, w)
		return err
	})
	if e.actor == nil && errors.Is(err, errNoSFTP) {
		out, err = p.putSCP(ctx, e, w)
	}
	if err != nil {
		return Written{}, err
	}
	return out, nil
}

func (f *files) put(ctx context.Context, w Put) (Written, error) {
	doing := fmt.Sprintf("write %.300q", w.Path)
	sum := sha256.Sum256(w.Content)
	out := Written{Size: int64(len(w.Content)), SHA256: hex.EncodeToString(sum[:]), Atomic: true}
	there, err := f.occupant(ctx, doing, w.Path)
	if err != nil {
		return out, err
	}
	w.inherit(there)
	out.Mode = *w.Mode
	same, err := f.same(ctx, there, w.Path, out)
	if err != nil {
		return out, f.fail(ctx, doing, err)
	}
	if same {
		out.belong(w.owner(*there))
	}
	if same && w.fits(*there) {
		return out, nil
	}
	if err := f.act(ctx, w.Begin, w.hash(out.SHA256)); err != nil {
		return out, err
	}
	out.Changed = true
	if same {
		return out, f.adjust(ctx, doing, w, *there)
	}
	return f.replace(ctx, doing, w, there, out)
}

// occupant returns what is at a path to which a file is to go; nil: nothing.
func (f *files) occupant(ctx context.Context, doing, name string) (*FileInfo, error) {
	there, err := f.stat(ctx, name, false)
	if err != nil {
		return nil, err
	}
	if there == nil {
		folder, err := f.stat(ctx, path.Dir(name), true)
		if err == nil && folder == nil {
			err = hostfuncs.Errorf(hostfuncs.BadRequest, f.phase(), "%s on %s: its folder does not exist", doing, f.endpoint.place())
		}
		return nil, err
	}
	if there.Type == FileFolder || there.Type == FileOther {
		return nil, hostfuncs.Errorf(hostfuncs.BadRequest, f.phase(), "%s on %s: at that path is something that is no file (a folder, device, socket or pipe)", doing, f.endpoint.place())
	}
	return there, nil
}

// inherit sets what was left open from the file that is there.
func (w *Put) inherit(there *FileInfo) {
	mode := uint32(0o644)
	if there != nil && (there.Type == FileRegular || there.Type == FileUnknown && there.Mode != 0) {
		mode = there.Mode
		if w.UID == nil {
			w.UID = &there.UID
		}
		if w.GID == nil {
			w.GID = &there.GID
		}
	}
	if w.Mode == nil {
		w.Mode = &mode
	}
}

// fits reports whether a file has the mode and the owner that are wanted.
func (w *Put) fits(info FileInfo) bool { return info.Mode == *w.Mode && !w.gives(info) }

// gives reports whether a file is to have another owner.
func (w *Put) gives(info FileInfo) bool {
	return w.UID != nil && *w.UID != info.UID || w.GID != nil && *w.GID != info.GID
}

// owner returns whom a file is to belong to.
func (w *Put) owner(info FileInfo) (uid, gid int) {
	if w.UID != nil {
		info.UID = *w.UID
	}
	if w.GID != nil {
		info.GID = *w.GID
	}
	return int(info.UID), int(info.GID)
}

// same reports whether the file that is there has the content already. One that
// may not be read is another.
func (f *files) same(ctx context.Context, there *FileInfo, name string, want Written) (bool, error) {
	if there == nil || there.Type != FileRegular || there.Size != want.Size {
		return false, nil
	}
	if want.Size >= remoteSumFrom {
		// Only a difference is taken from the server's word: a shell may see another file by that name.
		if sum := f.remoteSum(ctx, name); sum != "" && sum != want.SHA256 {
			return false, nil
		}
	}
	file, err := f.client.Open(name)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err //nolint:wrapcheck // the caller says what was tried
	}
	defer func() { _ = file.Close() }()
	sum, err := f.hashOf(ctx, file, want.Size)
	return sum == want.SHA256, err
}

// adjust gives a file with the right content its owner and mode.
func (f *files) adjust(ctx context.Context, doing string, w Put, there FileInfo) error {
	file, err := f.client.Open(w.Path) // by handle: the path may come to name another file
	if err != nil {
		return f.fail(ctx, doing, err)
	}
	defer func() { _ = file.Close() }()
	if err := setAttributes(file, w, there); err != nil {
		return f.fail(ctx, doing+" (owner and mode)", err)
	}
	return nil
}

// setAttributes sets owner, then mode, which a new owner may take bits from.
func setAttributes(file *sftp.File, w Put, info FileInfo) error {
	if w.gives(info) {
		uid, gid := w.owner(info)
		if err := file.Chown(uid, gid); err != nil {
			return err //nolint:wrapcheck // the caller says what was tried
		}
	}
	return file.Chmod(fileMode(*w.Mode)) //nolint:wrapcheck // the caller says what was tried
}

// fileMode turns permission bits of POSIX into Go's.
func fileMode(bits uint32) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	for bit, flag := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if bits&bit != 0 {
			mode |= flag
		}
	}
	return mode
}

// replace writes the content to a new file and puts that in its place.
func (f *files) replace(ctx context.Context, doing string, w Put, there *FileInfo, out Written) (Written, error) {
	temp := path.Join(path.Dir(w.Path), "."+newNonce())
	err := f.write(ctx, temp, w, &out)
	if err == nil {
		out.Atomic, err = f.rename(ctx, temp, w.Path, there != nil)
	}
	if err == nil {
		return out, nil
	}
	failed := f.fail(ctx, doing, err)
	var moved *movedError
	if errors.As(err, &moved) {
		return out, failed // whether it is there, or where the parts are, is in the message
	}
	if err := f.client.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		failed.Message += fmt.Sprintf(". The file at the path was not touched; the temporary file %s beside it may still be there", path.Base(temp))
		return out, failed
	}
	failed.Message += ". Nothing was changed: the temporary file is removed"
	failed.Stopped = true
	return out, failed
}

// write makes a new file, whole and checked, with its owner and mode.
func (f *files) write(ctx context.Context, temp string, w Put, want *Written) error {
	file, err := f.client.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err //nolint:wrapcheck // the caller says what was tried
	}
	defer func() { _ = file.Close() }()
	f.lift(int64(len(w.Content)/answersPart), func() { f.cut(errFlood) })
	if _, err := file.ReadFrom(&source{Reader: *bytes.NewReader(w.Content), ctx: ctx}); err != nil {
		return err //nolint:wrapcheck // the caller says what was tried
	}
	if _, ok := f.client.HasExtension("fsync@openssh.com"); ok {
		if err := file.Sync(); err != nil {
			return fmt.Errorf("flush it to disk: %w", err)
		}
	}
	info, err := file.Stat()
	if err != nil {
		return err //nolint:wrapcheck // the caller says what was tried
	}
	if err := f.verify(ctx, file, written{temp, info.Size(), w, *want}); err != nil {
		return err
	}
	if err := setAttributes(file, w, newFileInfo(info)); err != nil {
		return fmt.Errorf("set owner and mode: %w", err)
	}
	want.belong(w.owner(newFileInfo(info)))
	if err := ctx.Err(); err != nil {
		return err //nolint:wrapcheck // the caller says what was tried
	}
	return file.Close() //nolint:wrapcheck // the caller says what was tried
}

// movedError is a rename that failed so that the temporary file must stay.
type movedError struct{ err *hostfuncs.Error }

// Error returns the message for the caller.
func (e *movedError) Error() string { return e.err.Message }

// Unwrap returns the error for the caller.
func (e *movedError) Unwrap() error { return e.err }

// rename puts the temporary file in its place. A server that cannot rename over a
// file has the old one moved aside first, and back when that was in vain.
func (f *files) rename(ctx context.Context, temp, name string, occupied bool) (atomic bool, err error) {
	if _, ok := f.client.HasExtension("posix-rename@openssh.com"); ok {
		return true, f.moved(ctx, name, f.client.PosixRename(temp, name))
	}
	if !occupied {
		return true, f.moved(ctx, name, f.client.Rename(temp, name))
	}
	aside := path.Join(path.Dir(name), "."+newNonce())
	if err := f.moved(ctx, name, f.client.Rename(name, aside)); err != nil {
		return false, err
	}
	if err := f.client.Rename(temp, name); err != nil {
		if back := f.client.Rename(aside, name); back == nil {
			return false, err //nolint:wrapcheck // all is as it was
		}
		e := hostfuncs.Errorf(hostfuncs.Protocol, f.phase(), "write %.300q on %s: the new file could not take its place: the old one is %s beside it, the new one %s: %w",
			name, f.endpoint.place(), path.Base(aside), path.Base(temp), err)
		return false, &movedError{e}
	}
	if err := f.client.Remove(aside); err != nil {
		e := f.fail(ctx, fmt.Sprintf("remove the old file of %.300q", name), err)
		e.Message += fmt.Sprintf(". The new file is in its place; the old one is %s beside it", path.Base(aside))
		return false, &movedError{e}
	}
	return false, nil
}

// moved tells a rename that the server refused from one without an answer, after
// which nobody knows.
func (f *files) moved(ctx context.Context, name string, err error) error {
	var status *sftp.StatusError
	if err == nil || errors.As(err, &status) || errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
		return err
	}
	e := f.fail(ctx, fmt.Sprintf("write %.300q", name), err)
	e.Message += ". Whether the new file took its place is not known"
	return &movedError{e}
}
