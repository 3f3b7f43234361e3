package ssh

import (
	"errors"
	"fmt"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// Terminal is the terminal that a command gets. It does not echo, and does not
// turn line feeds into two characters.
type Terminal struct {
	Rows, Cols int    // 0: 24 and 80
	Term       string // "": dumb
}

// maxSide bounds a terminal's rows and columns.
const maxSide = 10_000

func (t Terminal) validate() []error {
	var errs []error
	if t.Rows < 0 || t.Rows > maxSide || t.Cols < 0 || t.Cols > maxSide {
		errs = append(errs, fmt.Errorf("the terminal's rows or columns are not between 0 and %d", maxSide))
	}
	if len(t.Term) > 64 {
		errs = append(errs, errors.New("the terminal's type is longer than 64 characters"))
	}
	return errs
}

// request returns the payload of the pty-req request (RFC 4254 section 6.2).
func (t Terminal) request() []byte {
	if t.Rows == 0 {
		t.Rows = 24
	}
	if t.Cols == 0 {
		t.Cols = 80
	}
	if t.Term == "" {
		t.Term = "dumb"
	}
	var modes []byte
	for _, m := range []struct {
		op    byte
		value uint32
	}{
		{xssh.ECHO, 0},
		{xssh.ECHONL, 0},
		{xssh.ONLCR, 0},
		{xssh.ICANON, 1},
		{xssh.ISIG, 1},
		{xssh.ICRNL, 1},
		{xssh.TTY_OP_ISPEED, 115200},
		{xssh.TTY_OP_OSPEED, 115200},
	} {
		modes = append(modes, xssh.Marshal(struct {
			Op    byte
			Value uint32
		}{m.op, m.value})...)
	}
	return xssh.Marshal(struct {
		Term                      string
		Cols, Rows, Width, Height uint32
		Modes                     string
	}{t.Term, uint32(t.Cols), uint32(t.Rows), 0, 0, string(append(modes, 0))})
}

// The terminal takes a text of any length and any bytes only while it does not
// edit lines; the command has it as terminals are.
const (
	rawTerminal    = `stty -icanon -isig -ixon -icrnl -echo min 1 time 0 || exit 125; `
	cookedTerminal = "stty icanon isig ixon icrnl -echo -onlcr eof ^D\n"
)

// endOfInput is what ends the input that comes from a terminal.
const endOfInput = "\x04"

// terminal asks the server for a terminal. Nothing has been asked of the target so
// far, so a refusal is of phase before.
func (s *session) terminal() error {
	t := Terminal{}
	if s.cmd.PTY != nil {
		t = *s.cmd.PTY
	}
	ok, err := s.conn.request(s.ch, "pty-req", t.request())
	switch {
	case err != nil:
		return s.conn.unanswered(s.endpoint, hostfuncs.Before, "for a terminal", "", err)
	case !ok:
		return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.Before, "%s gives no terminal; check PermitTTY and what the account is allowed, or run without one", s.endpoint.place())
	}
	return nil
}
