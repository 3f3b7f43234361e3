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

// piece is how much of a file may be on its way at a time, about.
const piece = 1 << 20

// File is a file that was read.
type File struct {
	FileInfo

	Content []byte
	SHA256  string // of Content, hexadecimal
	OverSCP bool   // owner and time are not known
}

// Get reads a whole regular file of at most limit bytes; a longer one is
// output_limit, never cut. What counts is what can be read until the end of the
// file, not the size that the server says: files in /proc say 0. A link is
// followed. A server without SFTP is asked by scp, which says neither owner nor time,
// and nothing of files in /proc. Errors are *hostfuncs.Error of phase before.
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
	if e.actor == nil && errors.Is(err, errNoSFTP) {
		out, err = p.getSCP(ctx, e, name, limit)
	}
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
	err = f.read(ctx, file, int64(limit), func(b []byte) { out.Content = append(out.Content, b...); _, _ = sum.Write(b) })
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

// packet is how much of a file one request asks for: what servers have to give
// (draft-ietf-secsh-filexfer-02 section 3).
const packet = 32 << 10

// read hands a file on, in order, until its end; errLong when it has more than
// limit bytes. Requests for a long file travel concurrently, until the server answers
// one with a part; one that says it is small, or nothing, is read packet by packet.
func (f *files) read(ctx context.Context, file *sftp.File, limit int64, to func([]byte)) error {
	f.lift(2*limit+2*piece, func() { f.cut(errFlood) })
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err //nolint:wrapcheck // the caller says what was tried
	}
	s := &sink{ctx: ctx, room: limit, to: to}
	_, err := file.WriteTo(s)
	if errors.Is(err, errGap) {
		return s.rest(file)
	}
	if err != nil {
		return err //nolint:wrapcheck // the caller says what was tried
	}
	if end, _ := file.Seek(0, io.SeekCurrent); end-s.taken >= packet {
		return errNothing
	}
	return nil
}

// errNothing: a server answered a request for a part of a file with no bytes of it, and
// later ones with more. The client has left that part out.
var errNothing = errors.New("no bytes in the middle of a file")

// errGap: bytes are missing between what was read and what comes. The client asks for
// the next packet before it has the last, and takes a part of one for the whole of it:
// some servers give only a part, and so does any when a file grows while it is read.
var errGap = errors.New("a part of a packet, and then another packet")

// sink takes a file's content until there is no room, or a gap, or its context ends.
type sink struct {
	ctx   context.Context //nolint:containedctx // of the one call that reads
	room  int64
	taken int64
	part  bool // the last piece was not a whole packet
	to    func([]byte)
}

// Write hands a piece on.
func (s *sink) Write(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err //nolint:wrapcheck // the caller says what was tried
	}
	if s.part {
		return 0, errGap
	}
	if s.room -= int64(len(b)); s.room < 0 {
		return 0, errLong
	}
	s.part = len(b) < packet
	s.taken += int64(len(b))
	s.to(b)
	return len(b), nil
}

// rest reads on from where a gap began, one packet after another.
func (s *sink) rest(file *sftp.File) error {
	if _, err := file.Seek(s.taken, io.SeekStart); err != nil {
		return err //nolint:wrapcheck // the caller says what was tried
	}
	s.part = false
	_, err := io.CopyBuffer(struct{ io.Writer }{s}, struct{ io.Reader }{file}, make([]byte, packet))
	return err //nolint:wrapcheck // the caller says what was tried
}

// hashOf returns the SHA-256 of an open file; "" when it has more than most bytes.
func (f *files) hashOf(ctx context.Context, file *sftp.File, most int64) (string, error) {
	sum := sha256.New()
	err := f.read(ctx, file, most, func(b []byte) { _, _ = sum.Write(b) })
	switch {
	case errors.Is(err, errLong):
		return "", nil
	case err != nil:
		return "", err
	}
	return hexSum(sum), nil
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
