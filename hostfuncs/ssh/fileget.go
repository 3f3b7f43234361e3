package ssh

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/pkg/sftp"

	"opsconductor.dev/hostfuncs"
)

// piece is how much of a file is asked for, or sent, at a time; its packets
// travel concurrently.
const piece = 1 << 20

// onePacket is how much comes in one answer.
const onePacket = 32 << 10

// File is a file that was read.
type File struct {
	FileInfo

	Content []byte
	SHA256  string // of Content, hexadecimal
}

// Get reads a whole regular file of at most limit bytes; a longer one is
// output_limit, never cut. What counts is what can be read until the end of the
// file, not the size that the server says: files in /proc say 0. A link is
// followed. Errors are *hostfuncs.Error of phase before.
func (p *Pool) Get(ctx context.Context, e Endpoint, name string, limit int) (File, error) {
	if err := e.badPath("read a file", name); err != nil {
		return File{}, err
	}
	if limit < 0 {
		return File{}, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "read a file on %s: the limit is negative", e.place())
	}
	var out File
	err := p.withFiles(ctx, e, func(ctx context.Context, f *files) error {
		var err error
		out, err = f.get(ctx, name, limit)
		return err
	})
	if err != nil {
		return File{}, err
	}
	return out, nil
}

func (f *files) get(ctx context.Context, name string, limit int) (File, error) {
	doing := fmt.Sprintf("read %.300q", name)
	found, err := f.stat(ctx, name, true)
	switch {
	case err != nil:
		return File{}, err
	case found == nil:
		return File{}, f.fail(ctx, doing, os.ErrNotExist)
	case found.Type == FileFolder || found.Type == FileOther:
		return File{}, hostfuncs.Errorf(hostfuncs.BadRequest, f.phase(), "%s on %s: it is a %s, not a regular file", doing, f.endpoint.place(), map[FileType]string{FileFolder: "folder", FileOther: "device, socket or pipe"}[found.Type])
	case found.Size > int64(limit):
		return File{}, f.tooLong(doing, limit)
	}
	file, err := f.client.Open(name)
	if err != nil {
		return File{}, f.fail(ctx, doing, err)
	}
	defer func() { _ = file.Close() }()
	out := File{FileInfo: *found, Content: make([]byte, 0, found.Size)}
	sum := sha256.New()
	err = f.read(ctx, file, *found, int64(limit), func(b []byte) { out.Content = append(out.Content, b...); _, _ = sum.Write(b) })
	switch {
	case errors.Is(err, errLong):
		return File{}, f.tooLong(doing, limit)
	case err != nil:
		return File{}, f.fail(ctx, doing, err)
	}
	out.SHA256 = hexSum(sum)
	return out, nil
}

func (f *files) tooLong(doing string, limit int) error {
	return hostfuncs.Errorf(hostfuncs.OutputLimit, f.phase(), "%s on %s: it has more than %d bytes, which is the most that this call may return; allow more, or take the part that you need by ssh_exec", doing, f.endpoint.place(), limit)
}

// errLong: a file has more bytes than its reader wants.
var errLong = errors.New("more than was wanted")

// read hands a file on in pieces until its end; errLong when it has more than
// limit bytes. A file that says it is small, or nothing, is read packet by packet.
func (f *files) read(ctx context.Context, file *sftp.File, info FileInfo, limit int64, to func([]byte)) error {
	f.lift(2*limit+2*piece, func() { f.cut(errFlood) })
	size := piece
	if info.Size <= onePacket {
		size = onePacket
	}
	buf := make([]byte, size)
	for at := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err //nolint:wrapcheck // the caller says what was tried
		}
		n, err := file.ReadAt(buf[:min(int64(size), limit+1-at)], at)
		if at += int64(n); at > limit {
			return errLong
		}
		to(buf[:n])
		if errors.Is(err, io.EOF) && f.cutBy() == nil && !f.ended.Load() {
			return nil
		}
		if err != nil {
			return err //nolint:wrapcheck // the caller says what was tried
		}
	}
}

// hashOf returns the SHA-256 of an open file; "" when it has other than want bytes.
func (f *files) hashOf(ctx context.Context, file *sftp.File, info FileInfo, want int64) (string, error) {
	sum, n := sha256.New(), int64(0)
	err := f.read(ctx, file, info, want, func(b []byte) { n += int64(len(b)); _, _ = sum.Write(b) })
	switch {
	case errors.Is(err, errLong):
		return "", nil
	case err != nil:
		return "", err
	case n != want:
		return "", nil
	}
	return hexSum(sum), nil
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
