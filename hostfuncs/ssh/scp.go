package ssh

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// errNoSFTP: the server does not offer SFTP, or what it offers is not that.
var errNoSFTP = errors.New("no SFTP")

// scp is one run of the program scp on the server, by the protocol of rcp: a
// sender's line says mode, length and name of a file, and each step is confirmed
// by a byte. It has no description but its programs.
type scp struct {
	*files

	in *bufio.Reader
}

// scpLine is how long a line of the other side may be.
const scpLine = 4096 + 64

// withSCP runs scp on the server, as sender (-f) or receiver (-t) of one file.
func (p *Pool) withSCP(ctx context.Context, e Endpoint, role, name string, do func(ctx context.Context, s *scp) error) error {
	return p.withStream(ctx, e, func(ctx context.Context, f *files) error {
		s := &scp{files: f, in: bufio.NewReaderSize(f.pipe, scpLine)}
		if err := s.begin("scp " + role + " " + scpName(name)); err != nil {
			return err
		}
		return do(ctx, s)
	})
}

// scpName returns a path as a shell reads it, and bare where no shell would change
// it: an appliance has none. One that looks like an option is made a path.
func scpName(name string) string {
	if strings.HasPrefix(name, "-") {
		name = "./" + name
	}
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:,@", r)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
		return Quote(name)
	}
	return name
}

// begin asks the server to run scp.
func (s *scp) begin(command string) error {
	ok, err := s.conn.request(s.ch, "exec", xssh.Marshal(struct{ Command string }{command}))
	switch {
	case err != nil:
		return s.conn.unanswered(s.endpoint, hostfuncs.Before, "to run scp", "", err)
	case !ok:
		return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.Before, "%s has %w for user %s, and refuses to run scp; enable one of them, or send contents by ssh_exec", s.endpoint.place(), errNoSFTP, s.endpoint.Credential.Username)
	}
	return nil
}

// confirm says that the other side may go on. Where it has left, the next read tells
// what it said before.
func (s *scp) confirm() { _, _ = s.ch.Write([]byte{0}) }

// say sends bytes. Where the other side has left, what it said before is why.
func (s *scp) say(b []byte) error {
	_, err := s.ch.Write(b)
	if err == nil {
		return nil
	}
	if said := s.confirmed(); codeOf(said) != "" {
		return said
	}
	return err //nolint:wrapcheck // the caller says what was tried
}

// confirmed reads the byte that confirms a step.
func (s *scp) confirmed() error {
	b, err := s.in.ReadByte()
	if err != nil {
		return s.silent(err)
	}
	if b == 0 {
		return nil
	}
	line, err := s.line()
	if err != nil {
		return err
	}
	if b > 2 { // not scp's: text of a shell or of an appliance
		line = string(b) + line
	}
	return s.refusal(line)
}

// line reads up to a newline.
func (s *scp) line() (string, error) {
	b, err := s.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || errors.Is(err, io.EOF) && len(b) > 0 {
		return string(b), nil // said in a refusal
	}
	if err != nil {
		return "", s.silent(err)
	}
	return string(b[:len(b)-1]), nil
}

// silent is the error of a stream that ended where scp owed an answer.
func (s *scp) silent(err error) error {
	if s.cutBy() == nil && s.ended.Load() && s.received.Load() == 0 {
		return hostfuncs.Errorf(hostfuncs.Protocol, s.phase(), "%s has %w, and scp did not answer there%s; install scp or enable SFTP, or send contents by ssh_exec", s.endpoint.place(), errNoSFTP, s.complaint())
	}
	return err
}

// refusal is what the other side's words mean.
func (s *scp) refusal(line string) error {
	words := strings.ToLower(line)
	switch {
	case strings.Contains(words, "no such file"):
		return hostfuncs.Errorf(hostfuncs.BadRequest, s.phase(), "there is no such file or folder on %s (scp: %.200q)", s.endpoint.place(), line)
	case strings.Contains(words, "permission denied"):
		return hostfuncs.Errorf(hostfuncs.Denied, s.phase(), "user %s may not do that there; check owner and mode of the file and its folder on %s (scp: %.200q)", s.endpoint.Credential.Username, s.endpoint.place(), line)
	case strings.Contains(words, "not a regular file"), strings.Contains(words, "is a directory"):
		return hostfuncs.Errorf(hostfuncs.BadRequest, s.phase(), "it is not a regular file on %s (scp: %.200q)", s.endpoint.place(), line)
	}
	return hostfuncs.Errorf(hostfuncs.Protocol, s.phase(), "%s has %w, and what answers there is not scp as it should be (%.200q)", s.endpoint.place(), errNoSFTP, line)
}

// receive reads the one file that scp -f sends.
func (s *scp) receive(name string, limit int) (File, error) {
	s.confirm()
	b, err := s.in.ReadByte()
	if err != nil {
		return File{}, s.silent(err)
	}
	line, err := s.line()
	switch {
	case err != nil:
		return File{}, err
	case b == 1 || b == 2:
		return File{}, s.refusal(line)
	case b != 'C':
		return File{}, s.refusal(string(b) + line)
	}
	mode, size, ok := scpHeader(line)
	switch {
	case !ok:
		return File{}, s.refusal("C" + line)
	case size > int64(limit):
		return File{FileInfo: FileInfo{Mode: mode}}, errLong
	}
	s.lift(size, func() { s.cut(errFlood) })
	out := File{FileInfo: FileInfo{Name: path.Base(name), Type: FileRegular, Size: size, Mode: mode}, Content: make([]byte, size), OverSCP: true}
	s.confirm()
	if _, err := io.ReadFull(s.in, out.Content); err != nil {
		return File{}, err //nolint:wrapcheck // the caller says what was tried
	}
	if err := s.confirmed(); err != nil {
		return File{}, err
	}
	s.confirm()
	return out, nil
}

// scpHeader reads MODE LENGTH NAME.
func scpHeader(line string) (mode uint32, size int64, ok bool) {
	bits, rest, _ := strings.Cut(line, " ")
	length, _, named := strings.Cut(rest, " ")
	m, errMode := strconv.ParseUint(bits, 8, 32)
	size, errSize := strconv.ParseInt(length, 10, 64)
	return uint32(m) & 0o7777, size, errMode == nil && errSize == nil && named && size >= 0 //nolint:gosec // parsed as 32 bits
}

// send gives scp -t one file.
func (s *scp) send(ctx context.Context, name string, content []byte, mode uint32) error {
	if err := s.confirmed(); err != nil {
		return err
	}
	if err := s.say(fmt.Appendf(nil, "C%04o %d %s\n", mode, len(content), strings.ReplaceAll(path.Base(name), "\n", "_"))); err != nil {
		return err
	}
	if err := s.confirmed(); err != nil {
		return err
	}
	for at := 0; at < len(content); at += piece {
		if err := ctx.Err(); err != nil {
			return err //nolint:wrapcheck // the caller says what was tried
		}
		s.quiet.Reset(s.pool.opt.FileTimeout)
		if err := s.say(content[at:min(at+piece, len(content))]); err != nil {
			return err
		}
	}
	if err := s.say([]byte{0}); err != nil {
		return err
	}
	return s.confirmed()
}
