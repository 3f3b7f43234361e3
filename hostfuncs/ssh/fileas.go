package ssh

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// As returns the endpoint on which the functions for files (Put, Get, Stat, List,
// Mkdir, Remove, Chmod) act as another user: the server's program behind SFTP is
// started by the method's program as that user, over the same connection. Commands
// and dialogs are not touched by it. Paths that do not begin with / start in that
// user's home. nil: as the one who logs in. A password is sent once, to sudo's own
// prompt; doas and su read one from a terminal, through which no files go, so with
// them there may be none. A failure is become_failed, as for commands (BecomeError),
// and then nothing was looked at or changed. A server without the program gets an
// error: there is no going on by scp.
func (e Endpoint) As(b *Become) Endpoint {
	e.actor = b
	return e
}

// fileServers are where systems keep the program behind SFTP. No PATH is asked: it
// may be that of the account that logs in, and what is found there would run as the
// other user.
const fileServers = "/usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/lib/ssh/sftp-server " +
	"/usr/libexec/ssh/sftp-server /usr/libexec/sftp-server /usr/lib/sftp-server /usr/local/libexec/sftp-server /usr/local/lib/openssh/sftp-server"

// noServerMark stands behind the nonce when there is no such program.
const noServerMark = "+nosftp"

// serveFiles is what the shell of the other user runs. Both streams say where what
// the login shell and the become program wrote ends.
const serveFiles = `n=%s; cd 2>/dev/null || cd /; for f in ` + fileServers + `; do [ -x "$f" ] || continue; ` +
	`echo "$n` + readyMark + `"; echo "$n` + readyMark + `" >&2; exec "$f"; done; echo "$n` + noServerMark + `" >&2; exit 127`

// who is who acts on files, for errors.
func (e Endpoint) who() string {
	if e.actor != nil {
		return e.actor.user()
	}
	return e.Credential.Username
}

// badActor returns what is wrong with who is to act on files.
func (e Endpoint) badActor() error {
	if e.actor == nil {
		return nil
	}
	errs := e.actor.validate()
	if e.actor.terminal() {
		errs = append(errs, fmt.Errorf("become: %s reads a password from a terminal, through which no files go; use sudo, or allow it there without a password", e.actor.method()))
	}
	if len(errs) == 0 {
		return nil
	}
	return hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "files on %s: %w", e.place(), errors.Join(errs...))
}

// hashAs is the hash of a change by who makes it.
func (e Endpoint) hashAs(hash string) string {
	if e.actor == nil {
		return hash
	}
	return hashOfChange("become "+string(e.actor.method()), e.actor.user(), hash)
}

// threshold drops what comes before a line that ends with a mark.
type threshold struct {
	mu   sync.Mutex
	mark string // "": it was passed
	held []byte
}

// after returns what of b comes behind the line.
func (h *threshold) after(b []byte) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mark == "" {
		return b
	}
	h.held = append(h.held, b...)
	_, rest, ok := strings.Cut(string(h.held), h.mark+"\n")
	if !ok {
		h.held = h.held[max(0, len(h.held)-len(h.mark)):]
		return nil
	}
	h.mark, h.held = "", nil
	return []byte(rest)
}

// startAs starts the program behind SFTP as another user. The other side is sent
// nothing but the password before that user's shell is there.
func (f *files) startAs(ctx context.Context) error {
	f.quiet.Stop() // the become program has its own time
	command := f.endpoint.actor.exec(f.nonce, fmt.Sprintf(serveFiles, f.nonce))
	ok, err := f.conn.request(f.ch, "exec", xssh.Marshal(struct{ Command string }{command}))
	switch {
	case err != nil:
		return f.conn.unanswered(f.endpoint, hostfuncs.Before, "to start an SFTP server as "+f.endpoint.who(), "", err)
	case !ok:
		return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.Before, "%s refuses to run commands for user %s, so nothing there can become %s", f.endpoint.place(), f.endpoint.Credential.Username, f.endpoint.who())
	}
	if err := f.becomeReady(ctx); err != nil {
		return err
	}
	f.quiet.Reset(f.pool.opt.FileTimeout)
	return nil
}

// becomeReady waits for the other user's shell.
func (f *files) becomeReady(ctx context.Context) error {
	send := func(b []byte) { _, _ = f.ch.Write(b) } // a program that is gone says why by itself
	ok, lacks := f.opening.enter(f.endpoint.actor, f.pool.opt.BecomeTimeout, send, ctx.Done(), f.broken, f.gone)
	switch {
	case ok:
		return nil
	case lacks != "":
		return f.notBecome(lacks)
	case ctx.Err() != nil:
		return hostfuncs.Ended(ctx, hostfuncs.Before, "become %s on %s", f.endpoint.who(), f.endpoint.place())
	case f.cutBy() != nil:
		return f.fail(ctx, "become "+f.endpoint.who(), f.cause)
	}
	late := time.NewTimer(f.pool.opt.BecomeTimeout)
	defer late.Stop()
	select { // its last words
	case <-f.hushed:
	case <-late.C:
	}
	if isReady, _ := f.opening.state(); isReady {
		return nil // it ended right after that, which the first answer will say
	}
	return f.notBecome("")
}

// notBecome is the error of a program that did not start the shell, or of a shell
// that has found no SFTP server.
func (f *files) notBecome(lacks BecomeCause) error {
	_, said := f.opening.state()
	b := f.endpoint.actor
	if strings.Contains(string(said), f.nonce+noServerMark) {
		return hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.Before, "%s has %w as %s: there is no sftp-server that %[3]s could start (looked for at %s); install OpenSSH's, or act on the file by ssh_exec",
			f.endpoint.place(), errNoSFTP, b.user(), strings.ReplaceAll(fileServers, " ", ", "))
	}
	err := b.failed(f.endpoint.place(), b.why(f.nonce, said, lacks), cleaned(string(said), f.nonce))
	err.Message = strings.NewReplacer("The command did not run", "Nothing was done there", "set pty: true, or take requiretty out there", "take requiretty out there").Replace(err.Message)
	return err
}
