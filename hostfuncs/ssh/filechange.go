package ssh

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"opsconductor.dev/hostfuncs"
)

// Begin is called right before the first request that changes something leaves,
// with the SHA-256 of what is to be done; not when there is nothing to change. When
// it fails nothing is sent and its error is returned. nil: nothing is called.
type Begin func(ctx context.Context, hash string) error

// hashOfChange is what a Begin is called with.
func hashOfChange(what, name string, args ...any) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s,%d:%s,%v", what, len(name), name, args)
	return hexSum(h)
}

// number is -1 for what was left open.
func number(n *uint32) int64 {
	if n == nil {
		return -1
	}
	return int64(*n)
}

// Mkdir is a folder to make.
type Mkdir struct {
	Path    string
	Parents bool // make the folders above it too
	// Mode are the permission bits of the folder itself; nil: as the server makes it.
	// One that is there keeps its own.
	Mode  *uint32
	Begin Begin
}

// Mkdir makes a folder. One that is there already, or a link to one, is not
// changed: changed is false. Errors are *hostfuncs.Error.
func (p *Pool) Mkdir(ctx context.Context, e Endpoint, m Mkdir) (changed bool, err error) {
	if err := e.badPath("make a folder", m.Path); err != nil {
		return false, err
	}
	if m.Mode != nil && *m.Mode > 0o7777 {
		return false, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "make a folder on %s: the mode has more than permission bits", e.place())
	}
	made := 0
	err = p.withFiles(ctx, e, func(ctx context.Context, f *files) error {
		var err error
		made, err = f.mkdir(ctx, m)
		return err
	})
	if err != nil {
		return false, err
	}
	return made > 0, nil
}

// mkdir returns how many folders it made.
func (f *files) mkdir(ctx context.Context, m Mkdir) (int, error) {
	doing := fmt.Sprintf("make the folder %.300q", m.Path)
	missing, err := f.missing(ctx, doing, m)
	if err != nil || len(missing) == 0 {
		return 0, err
	}
	if err := f.act(ctx, m.Begin, hashOfChange("mkdir", m.Path, m.Parents, number(m.Mode))); err != nil {
		return 0, err
	}
	for _, folder := range slices.Backward(missing) {
		if err := ctx.Err(); err != nil {
			return 0, f.fail(ctx, doing, err)
		}
		if err := f.client.Mkdir(folder); err != nil {
			// Somebody else may have made it in the meantime.
			if there, _ := f.stat(ctx, folder, true); there == nil || there.Type != FileFolder {
				return 0, f.fail(ctx, doing, err)
			}
		}
	}
	if m.Mode != nil {
		if err := f.client.Chmod(missing[0], fileMode(*m.Mode)); err != nil {
			return 0, f.fail(ctx, doing+" (mode)", err)
		}
	}
	return len(missing), nil
}

// missing returns the folders to make, the deepest first.
func (f *files) missing(ctx context.Context, doing string, m Mkdir) ([]string, error) {
	var out []string
	for at := path.Clean(m.Path); ; at = path.Dir(at) {
		there, err := f.stat(ctx, at, true)
		switch {
		case err != nil:
			return nil, err
		case there != nil && there.Type != FileFolder && there.Type != FileUnknown:
			return nil, hostfuncs.Errorf(hostfuncs.BadRequest, f.phase(), "%s on %s: at %.300q is something that is no folder", doing, f.endpoint.place(), at)
		case there != nil && len(out) > 1 && !m.Parents:
			return nil, hostfuncs.Errorf(hostfuncs.BadRequest, f.phase(), "%s on %s: the folder above it does not exist; ask for parents to make it too", doing, f.endpoint.place())
		case there != nil || at == "/" || at == ".":
			return out, nil
		}
		out = append(out, at)
	}
}

// Remove is a file or a folder to take away.
type Remove struct {
	Path string
	// Recursive: a folder with all that is in it, if that is at most Most entries (1
	// to 10000; 0: 1000). Without it a folder must be empty.
	Recursive bool
	Most      int
	Begin     Begin
}

// maxDepth is how deep a folder may be that is removed with all that is in it.
const maxDepth = 64

// Remove takes a file, a link (not what it leads to) or a folder away and returns
// how many entries that were; 0: nothing was there. With Recursive all is counted
// before anything is removed, so one that is too big is left as it is. Links in a
// folder are removed, never followed; but SFTP names files by path, so somebody who
// may change the folder while it is removed can put a link in the place of a folder
// in it. Errors are *hostfuncs.Error.
func (p *Pool) Remove(ctx context.Context, e Endpoint, r Remove) (removed int, err error) {
	if err := e.badPath("remove", r.Path); err != nil {
		return 0, err
	}
	if base := path.Base(path.Clean(r.Path)); base == "/" || base == "." || base == ".." || r.Most < 0 || r.Most > maxEntries {
		return 0, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "remove on %s: the path ends with no name, or the most entries are not between 0 and %d", e.place(), maxEntries)
	}
	if r.Most == 0 {
		r.Most = defaultEntries
	}
	n := 0 // of its own: a server that falls silent leaves the work behind
	err = p.withFiles(ctx, e, func(ctx context.Context, f *files) error {
		var err error
		n, err = f.remove(ctx, r)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// doomed is an entry to remove.
type doomed struct {
	path   string
	folder bool
}

func (f *files) remove(ctx context.Context, r Remove) (int, error) {
	doing := fmt.Sprintf("remove %.300q", r.Path)
	name := path.Clean(r.Path)
	there, err := f.stat(ctx, name, false)
	if err != nil || there == nil {
		return 0, err
	}
	all := []doomed{{name, there.Type == FileFolder}}
	if there.Type == FileFolder {
		if all, err = f.gather(ctx, doing, name, r, all, 0); err != nil {
			return 0, err
		}
	}
	if err := f.act(ctx, r.Begin, hashOfChange("remove", r.Path, r.Recursive)); err != nil {
		return 0, err
	}
	for i, d := range slices.Backward(all) {
		if err := ctx.Err(); err != nil {
			return 0, f.partly(f.fail(ctx, doing, err), len(all)-1-i)
		}
		take := f.client.Remove
		if d.folder {
			take = f.client.RemoveDirectory
		}
		if err := take(d.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, f.partly(f.fail(ctx, doing, err), len(all)-1-i)
		}
	}
	return len(all), nil
}

// partly says how far a removal came.
func (f *files) partly(e *hostfuncs.Error, n int) error {
	e.Message += fmt.Sprintf(". %d entries were removed before", n)
	return e
}

// gather adds what is in a folder, each folder before its own entries.
func (f *files) gather(ctx context.Context, doing, name string, r Remove, all []doomed, depth int) ([]doomed, error) {
	listing, err := f.list(ctx, name, max(1, r.Most-len(all)+1))
	switch {
	case err != nil:
		return nil, err
	case len(listing.Entries) > 0 && !r.Recursive:
		return nil, hostfuncs.Errorf(hostfuncs.BadRequest, f.phase(), "%s on %s: the folder is not empty; ask for recursive to remove all that is in it", doing, f.endpoint.place())
	case listing.Truncated || len(all)+len(listing.Entries) > r.Most || depth > maxDepth:
		return nil, hostfuncs.Errorf(hostfuncs.BadRequest, f.phase(), "%s on %s: it has more than %d entries, or is more than %d folders deep, so nothing was removed; allow more, or remove parts", doing, f.endpoint.place(), r.Most, maxDepth)
	}
	for _, entry := range listing.Entries {
		at := path.Join(name, entry.Name)
		all = append(all, doomed{at, entry.Type == FileFolder})
		if entry.Type == FileFolder {
			if all, err = f.gather(ctx, doing, at, r, all, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// Chmod is what to set of a file or folder that is there; nil: leave it.
type Chmod struct {
	Path     string
	Mode     *uint32
	UID, GID *uint32
	Begin    Begin
}

// Chmod sets mode and owner of what is at a path and returns how it is then. A link
// there is refused, not followed. What is so already is not set again. Errors are
// *hostfuncs.Error.
func (p *Pool) Chmod(ctx context.Context, e Endpoint, c Chmod) (now FileInfo, changed bool, err error) {
	if err := e.badPath("set the mode", c.Path); err != nil {
		return FileInfo{}, false, err
	}
	if c.Mode == nil && c.UID == nil && c.GID == nil || c.Mode != nil && *c.Mode > 0o7777 {
		return FileInfo{}, false, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "set the mode on %s: give a mode of permission bits, or an owner", e.place())
	}
	var info FileInfo // of its own: a server that falls silent leaves the work behind
	var did bool
	err = p.withFiles(ctx, e, func(ctx context.Context, f *files) error {
		var err error
		info, did, err = f.chmod(ctx, c)
		return err
	})
	if err != nil {
		return FileInfo{}, false, err
	}
	return info, did, nil
}

func (f *files) chmod(ctx context.Context, c Chmod) (FileInfo, bool, error) {
	doing := fmt.Sprintf("set mode and owner of %.300q", c.Path)
	there, err := f.stat(ctx, c.Path, false)
	switch {
	case err != nil:
		return FileInfo{}, false, err
	case there == nil:
		return FileInfo{}, false, f.fail(ctx, doing, os.ErrNotExist)
	case there.Type == FileLink:
		return FileInfo{}, false, hostfuncs.Errorf(hostfuncs.BadRequest, f.phase(), "%s on %s: it is a symbolic link; name what it leads to", doing, f.endpoint.place())
	}
	want := Put{Mode: c.Mode, UID: c.UID, GID: c.GID}
	if want.Mode == nil {
		want.Mode = &there.Mode
	}
	if want.fits(*there) {
		return *there, false, nil
	}
	if err := f.act(ctx, c.Begin, hashOfChange("chmod", c.Path, *want.Mode, number(want.UID), number(want.GID))); err != nil {
		return FileInfo{}, false, err
	}
	if want.gives(*there) {
		uid, gid := want.owner(*there)
		if err := f.client.Chown(c.Path, uid, gid); err != nil {
			return FileInfo{}, false, f.fail(ctx, doing, err)
		}
	}
	if err := f.client.Chmod(c.Path, fileMode(*want.Mode)); err != nil {
		return FileInfo{}, false, f.fail(ctx, doing, err)
	}
	now, err := f.stat(ctx, c.Path, false)
	if err == nil && now == nil {
		err = f.fail(ctx, doing, os.ErrNotExist)
	}
	if err != nil {
		return FileInfo{}, false, err
	}
	return *now, true, nil
}
