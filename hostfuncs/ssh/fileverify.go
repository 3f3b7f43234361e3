package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pkg/sftp"

	"opsconductor.dev/hostfuncs"
)

// answersPart: a server's answers to writes are less than this part of what is written.
const answersPart = 16

// source is content to send, until its context ends. Its length lets the client
// send concurrently.
type source struct {
	bytes.Reader

	ctx context.Context //nolint:containedctx // of the one call that writes
}

// Read gives the next piece.
func (s *source) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err //nolint:wrapcheck // the caller says what was tried
	}
	return s.Reader.Read(b) //nolint:wrapcheck // bytes.Reader's own
}

// written is a file that was just written, as a server has it, and what it is to be.
type written struct {
	temp string
	size int64 // that the server says
	put  Put
	want Written
}

// verify compares what stands in a file that was just written with what was sent.
func (f *files) verify(ctx context.Context, file *sftp.File, w written) error {
	if w.want.Size >= remoteSumFrom && f.remoteSum(ctx, w.temp) == w.want.SHA256 {
		return nil
	}
	same, err := f.readBack(ctx, file, w)
	switch {
	case err != nil:
		return fmt.Errorf("read it back: %w", err)
	case !same:
		return hostfuncs.Errorf(hostfuncs.Protocol, f.phase(), "write %.300q on %s: what was read back from the temporary file is not what was sent; its disk may be full or broken", w.put.Path, f.endpoint.place())
	}
	return nil
}

// readBack reports whether a file has the content that was sent. One of a packet is
// asked for once: that it has no more the server has said.
func (f *files) readBack(ctx context.Context, file *sftp.File, w written) (bool, error) {
	if w.size == w.want.Size && w.size > 0 && w.size <= packet {
		f.lift(2*w.size, func() { f.cut(errFlood) })
		b := make([]byte, w.size)
		_, err := file.ReadAt(b, 0)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		return bytes.Equal(b, w.put.Content), err //nolint:wrapcheck // the caller says what was tried
	}
	sum, err := f.hashOf(ctx, file, w.want.Size)
	return sum == w.want.SHA256, err
}

// remoteSumFrom is how long a file is whose hash the server is asked for: reading
// it back would take longer than starting a program there.
const remoteSumFrom = 1 << 20

// remoteSum asks the server's openssl, or its sha256sum, which takes three times as
// long, for the hash of a file of an unguessable name; "" where there is neither, no
// shell, or another view of the files than SFTP has. It takes one session beyond the
// usual number on the connection.
func (f *files) remoteSum(ctx context.Context, name string) string {
	if f.endpoint.actor != nil || strings.ContainsAny(name, "\n\\!") { // some login shells change these even in quotes
		return ""
	}
	nonce := newNonce()
	ch, ok := f.pool.beyond(ctx, f.conn)
	if !ok {
		return ""
	}
	argv := []string{"/bin/sh", "-c", `exec 2>/dev/null; s=$(openssl dgst -sha256 -r <"$1" || sha256sum -b <"$1") && echo $0 $s`, nonce, name}
	said, _ := f.pool.answer(ctx, f.conn, ch, "exec "+Join(argv))
	_, line, _ := strings.Cut(said, nonce+" ")
	if sum := strings.Fields(line); len(sum) > 0 {
		return sum[0]
	}
	return ""
}
