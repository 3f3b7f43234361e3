package ssh

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"

	"opsconductor.dev/hostfuncs"
)

// getSCP is Get over scp. With an error of code output_limit comes the mode of the file.
func (p *Pool) getSCP(ctx context.Context, e Endpoint, name string, limit int) (File, error) {
	doing := fmt.Sprintf("read %.300q", name)
	var out File
	err := p.withSCP(ctx, e, "-f", name, func(ctx context.Context, s *scp) error {
		var err error
		out, err = s.receive(name, limit)
		switch {
		case errors.Is(err, errLong):
			return s.tooLong(doing, limit)
		case err != nil:
			return s.fail(ctx, doing, err)
		}
		return nil
	})
	switch {
	case codeOf(err) == hostfuncs.OutputLimit: // so the work has ended, and nobody else writes there
		return File{FileInfo: out.FileInfo}, err
	case err != nil:
		return File{}, err
	}
	sum := sha256.Sum256(out.Content)
	out.SHA256 = hex.EncodeToString(sum[:])
	return out, nil
}

// putSCP is Put over scp.
func (p *Pool) putSCP(ctx context.Context, e Endpoint, w Put) (Written, error) {
	sum := sha256.Sum256(w.Content)
	out := Written{Size: int64(len(w.Content)), SHA256: hex.EncodeToString(sum[:])}
	there, err := p.occupantSCP(ctx, e, w)
	if err != nil {
		return Written{}, err
	}
	owned := w.UID != nil || w.GID != nil
	if !owned && there.SHA256 == out.SHA256 && (w.Mode == nil || *w.Mode == there.Mode) {
		out.Mode, out.Atomic = there.Mode, true
		return out, nil
	}
	if w.Mode == nil {
		w.Mode = &there.Mode
	}
	shell, err := p.hasShell(ctx, e)
	switch {
	case err != nil:
		return Written{}, err
	case !shell && owned:
		return Written{}, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "write %.300q on %s: it has %w and no shell, and scp cannot set an owner; leave the owner out", w.Path, e.place(), errNoSFTP)
	}
	if w.Begin != nil {
		if err := w.Begin(ctx, w.hash(out.SHA256)); err != nil {
			return Written{}, asError(err)
		}
	}
	if ctx.Err() != nil {
		return Written{}, hostfuncs.Ended(ctx, hostfuncs.Before, "on %s nothing was changed", e.place())
	}
	out.Changed, out.Atomic = true, shell
	out.Mode, err = p.writeSCP(ctx, e, w, out)
	return out, err
}

// occupantSCP returns the file that is at a path, without a hash where it is longer than
// what is to go there; one of mode 0644 where there is none. What may not be done is
// refused when it is tried.
func (p *Pool) occupantSCP(ctx context.Context, e Endpoint, w Put) (File, error) {
	there, err := p.getSCP(ctx, e, w.Path, len(w.Content))
	switch code := codeOf(err); {
	case code == hostfuncs.OutputLimit:
		return there, nil
	case code == hostfuncs.Denied && w.Mode == nil: // not to show to all what was shown to some
		return File{}, hostfuncs.Errorf(code, hostfuncs.Before, "write %.300q on %s: user %s may not read the file that is there, and so not keep its mode; give a mode", w.Path, e.place(), e.Credential.Username)
	case code == hostfuncs.Denied, code == hostfuncs.BadRequest:
		return File{FileInfo: FileInfo{Mode: 0o644}}, nil
	}
	return there, err
}

func codeOf(err error) hostfuncs.Code {
	var e *hostfuncs.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// hasShell reports whether commands can be run on a server.
func (p *Pool) hasShell(ctx context.Context, e Endpoint) (bool, error) {
	_, err := p.Exec(ctx, e, Command{Argv: []string{"true"}, Timeout: p.opt.StartTimeout})
	if codeOf(err) == hostfuncs.Protocol {
		return false, nil
	}
	if err != nil {
		failed := asError(err) // it asked for nothing that changes anything
		failed.Phase = hostfuncs.Before
		return false, failed
	}
	return true, nil
}

// writeSCP sends the content and returns the file's mode: with a shell beside its
// place, from where it is moved when it is whole; else straight to its place.
func (p *Pool) writeSCP(ctx context.Context, e Endpoint, w Put, out Written) (uint32, error) {
	name, mode := w.Path, *w.Mode
	if out.Atomic {
		name, mode = path.Join(path.Dir(w.Path), "."+newNonce()), privateMode
	}
	mode, err := p.sendSCP(ctx, e, name, w, mode, out.SHA256)
	if err != nil {
		failed := asError(err)
		switch {
		case failed.Phase == hostfuncs.Before: // nothing was sent
		case out.Atomic:
			failed = p.undoSCP(ctx, e, name, false, failed)
		default:
			failed.Message += ". The file at the path may be the old one, a part of the new one, or the new one"
		}
		return 0, failed
	}
	if !out.Atomic {
		return mode, nil
	}
	if err := p.moveSCP(ctx, e, name, w); err != nil {
		return 0, p.undoSCP(ctx, e, name, true, sent(err))
	}
	return *w.Mode, nil
}

// sent is an error of what came after the content: that stands, so the error is of
// phase after.
func sent(err error) *hostfuncs.Error {
	failed := *asError(err)
	failed.Phase, failed.Retryable = hostfuncs.After, false
	return &failed
}

// undoSCP removes the temporary file and says what is true then. moving: it was to be
// moved to its place. Where it is still there to be removed it was not, and never is.
func (p *Pool) undoSCP(ctx context.Context, e Endpoint, temp string, moving bool, failed *hostfuncs.Error) *hostfuncs.Error {
	detached, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), p.opt.KillGrace+killSlack, context.DeadlineExceeded)
	defer cancel()
	argv := []string{"rm", "-f", "--", temp}
	if moving {
		argv = []string{"rm", "--", temp}
	}
	r, err := p.Exec(detached, e, Command{Argv: argv})
	removed := err == nil && r.ExitCode != nil && *r.ExitCode == 0
	switch {
	case removed && (moving || failed.Code != hostfuncs.Lost): // what a lost scp has yet to read may make the file again
		failed.Message += ". Nothing was changed: the temporary file is removed"
		failed.Stopped = true
	case moving:
		failed.Message += ". Whether the new file took its place is not known"
	default:
		failed.Message += fmt.Sprintf(". The file at the path was not touched; the temporary file %s beside it may still be there", path.Base(temp))
	}
	return failed
}

// sendSCP sends the content to a file, reads it back and returns its mode.
func (p *Pool) sendSCP(ctx context.Context, e Endpoint, name string, w Put, mode uint32, sum string) (uint32, error) {
	doing := fmt.Sprintf("write %.300q", w.Path)
	err := p.withSCP(ctx, e, "-t", name, func(ctx context.Context, s *scp) error {
		if err := s.enter(ctx); err != nil {
			return err
		}
		if err := s.send(ctx, name, w.Content, mode); err != nil {
			return s.fail(ctx, doing, err)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	back, err := p.getSCP(ctx, e, name, len(w.Content))
	switch {
	case codeOf(err) == hostfuncs.OutputLimit, err == nil && back.SHA256 != sum:
		return 0, hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.After, "%s on %s: what was read back is not what was sent; its disk may be full or broken", doing, e.place())
	case err != nil:
		return 0, sent(err)
	}
	return back.Mode, nil
}

// moveText gives a file its mode and owner and moves it to its place. Arguments: the
// file, the place, the mode, user and group; of these nothing is that of the file that is
// there.
const moveText = `if [ -d "$2" ]; then echo "it is a directory, or a link to one" >&2; exit 1; fi
owner() { ls -nd -- "$1" | { read -r mode links user group rest && echo "$user:$group"; }; }
u=$4 g=$5
if [ -f "$2" ] && ! [ -h "$2" ]; then o=$(owner "$2"); u=${u:-${o%:*}} g=${g:-${o#*:}}; fi
[ -z "$u$g" ] || [ "$u:$g" = "$(owner "$1")" ] || chown -- "$u${g:+:$g}" "$1" || exit 1
chmod -- "$3" "$1" && mv -f -- "$1" "$2"
`

func (p *Pool) moveSCP(ctx context.Context, e Endpoint, temp string, w Put) error {
	decimal := func(n *uint32) string {
		if n == nil {
			return ""
		}
		return fmt.Sprint(*n)
	}
	r, err := p.Exec(ctx, e, Command{
		Argv: []string{"/bin/sh", "-s", "--", temp, w.Path, octal(*w.Mode), decimal(w.UID), decimal(w.GID)}, Stdin: []byte(moveText),
		Timeout: p.opt.FileTimeout, MaxOutput: maxWords,
	})
	if err != nil {
		return err
	}
	if r.ExitCode != nil && *r.ExitCode == 0 {
		return nil
	}
	said := strings.TrimSpace(string(bytes.ToValidUTF8(r.Stderr.Bytes, []byte("\uFFFD"))))
	code := hostfuncs.Protocol
	switch words := strings.ToLower(said); {
	case strings.Contains(words, "permitted"), strings.Contains(words, "permission denied"):
		code = hostfuncs.Denied
	case strings.Contains(words, "directory"):
		code = hostfuncs.BadRequest
	}
	return hostfuncs.Errorf(code, hostfuncs.After, "write %.300q on %s: the new file could not take its place (%.200q)", w.Path, e.place(), said)
}
