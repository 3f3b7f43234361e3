package ssh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pkg/sftp"

	"opsconductor.dev/hostfuncs"
)

// FileType says what is at a path.
type FileType string

// The types. A server that does not say gives FileUnknown.
const (
	FileRegular FileType = "file"
	FileFolder  FileType = "folder"
	FileLink    FileType = "link"
	FileOther   FileType = "other" // a device, a socket, a pipe
	FileUnknown FileType = "unknown"
)

// FileInfo is what a server says of a file. Bytes of Name and Link may be no UTF-8.
type FileInfo struct {
	Name     string // without the folder
	Type     FileType
	Size     int64 // as the server says it
	Mode     uint32
	UID, GID uint32
	Modified time.Time
	Link     string // with Stat, of a link: where it leads
}

func newFileInfo(info os.FileInfo) FileInfo {
	out := FileInfo{Name: info.Name(), Type: FileUnknown, Size: info.Size(), Modified: info.ModTime().UTC()}
	st, ok := info.Sys().(*sftp.FileStat)
	if !ok {
		return out
	}
	out.Size = int64(min(st.Size, math.MaxInt64)) //nolint:gosec // just bounded
	out.Mode, out.UID, out.GID = st.Mode&0o7777, st.UID, st.GID
	switch st.Mode & 0o170000 {
	case 0:
	case 0o100000:
		out.Type = FileRegular
	case 0o040000:
		out.Type = FileFolder
	case 0o120000:
		out.Type = FileLink
	default:
		out.Type = FileOther
	}
	return out
}

// maxPath is how many bytes a path may have (PATH_MAX of Linux).
const maxPath = 4096

// checkPath returns what is wrong with a path.
func checkPath(p string) error {
	switch {
	case p == "":
		return errors.New("the path is empty")
	case len(p) > maxPath:
		return fmt.Errorf("the path has %d bytes, and %d is the most", len(p), maxPath)
	case strings.ContainsRune(p, 0):
		return errors.New("the path has a NUL character")
	}
	return nil
}

func (e Endpoint) badPath(doing, p string) error {
	if err := checkPath(p); err != nil {
		return hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "%s on %s: %w", doing, e.place(), err)
	}
	return nil
}

// Stat returns what is at a path; nil where there is nothing. A link at the path
// is followed only with follow. Paths that do not begin with / start in the
// folder into which the server puts the account. Errors are *hostfuncs.Error of
// phase before.
func (p *Pool) Stat(ctx context.Context, e Endpoint, name string, follow bool) (*FileInfo, error) {
	if err := e.badPath("look at a file", name); err != nil {
		return nil, err
	}
	var out *FileInfo
	err := p.withFiles(ctx, e, func(ctx context.Context, f *files) error {
		found, err := f.stat(ctx, name, follow)
		if err != nil || found == nil {
			return err
		}
		if found.Type == FileLink {
			if found.Link, err = f.client.ReadLink(name); err != nil {
				return f.fail(ctx, fmt.Sprintf("read the link %.300q", name), err)
			}
		}
		out = found
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// stat returns what is at a path; nil where there is nothing.
func (f *files) stat(ctx context.Context, name string, follow bool) (*FileInfo, error) {
	look := f.client.Lstat
	if follow {
		look = f.client.Stat
	}
	info, err := look(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil //nolint:nilnil // nothing is there
	case err != nil:
		return nil, f.fail(ctx, fmt.Sprintf("look at %.300q", name), err)
	}
	out := newFileInfo(info)
	return &out, nil
}

// Listing is what is in a folder, by name.
type Listing struct {
	Entries   []FileInfo
	Truncated bool // there are more
}

// maxEntries is how many entries a list may have.
const maxEntries = 10000

// entryBytes is how much a server may send for one entry on average: a name of
// 255 bytes, twice, and what ls would print.
const entryBytes = 1024

// List returns what is in a folder, without . and .., at most limit entries (1 to
// 10000): of a bigger folder those that the server names first, and Truncated.
// Links in it are not followed. Errors are *hostfuncs.Error of phase before.
func (p *Pool) List(ctx context.Context, e Endpoint, name string, limit int) (Listing, error) {
	if err := e.badPath("list a folder", name); err != nil {
		return Listing{}, err
	}
	if limit < 1 || limit > maxEntries {
		return Listing{}, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "list a folder on %s: the limit is not between 1 and %d", e.place(), maxEntries)
	}
	var out Listing
	err := p.withFiles(ctx, e, func(ctx context.Context, f *files) error {
		var err error
		out, err = f.list(ctx, name, limit)
		return err
	})
	if err != nil {
		return Listing{}, err
	}
	return out, nil
}

func (f *files) list(ctx context.Context, name string, limit int) (Listing, error) {
	doing := fmt.Sprintf("list %.300q", name)
	found, err := f.stat(ctx, name, true)
	if err != nil {
		return Listing{}, err
	}
	switch {
	case found == nil:
		return Listing{}, f.fail(ctx, doing, os.ErrNotExist)
	case found.Type != FileFolder && found.Type != FileUnknown:
		return Listing{}, hostfuncs.Errorf(hostfuncs.BadRequest, f.phase(), "%s on %s: it is no folder", doing, f.endpoint.place())
	}
	infos, whole, err := f.readFolder(ctx, name, limit)
	if err != nil {
		return Listing{}, f.fail(ctx, doing, err)
	}
	out := Listing{Truncated: !whole}
	for _, info := range infos {
		if n := info.Name(); n == "." || n == ".." || strings.ContainsAny(n, "/\x00") {
			return Listing{}, hostfuncs.Errorf(hostfuncs.Protocol, f.phase(), "%s on %s: the server names an entry that cannot be in a folder (%.100q); its SFTP server is not to be trusted", doing, f.endpoint.place(), n)
		}
		if len(out.Entries) == limit {
			out.Truncated = true
			break
		}
		out.Entries = append(out.Entries, newFileInfo(info))
	}
	slices.SortFunc(out.Entries, func(a, b FileInfo) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// readFolder reads names until the folder ends or more has come than limit
// entries have; whole says that it ended.
func (f *files) readFolder(ctx context.Context, name string, limit int) (infos []os.FileInfo, whole bool, err error) {
	enough, stop := context.WithCancel(ctx)
	defer stop()
	f.lift(int64(limit)*entryBytes, stop)
	infos, err = f.client.ReadDirContext(enough, name)
	if enough.Err() != nil && ctx.Err() == nil && f.cutBy() == nil {
		return infos, false, nil
	}
	return infos, true, err //nolint:wrapcheck // the caller says what was tried
}
