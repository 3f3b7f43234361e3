package ssh

import (
	"context"
	"regexp"
	"strings"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// supply sends what the wrapper and the command read: the command's text, and its
// standard input. A shell that says when it is ready is waited for.
func (s *session) supply(text []byte) {
	if s.opening != nil && !s.prepare() {
		return
	}
	s.feed(text)
	if !s.cmd.terminal() {
		s.feed(s.cmd.Stdin)
		_ = s.ch.CloseWrite()
		return
	}
	select { // the terminal edits lines again
	case <-s.announce:
		s.feed([]byte(endOfInput))
	case <-s.exited:
	case <-s.gone:
	}
}

// prepare waits until the shell is ready.
func (s *session) prepare() bool {
	ok, lacks := s.opening.enter(s.cmd.Become, s.pool.opt.BecomeTimeout, s.feed, s.exited, s.gone, nil)
	if lacks != "" {
		s.giveUp(lacks)
	}
	return ok
}

// giveUp ends the session of a command that cannot be begun.
func (s *session) giveUp(lacks BecomeCause) {
	if _, said := s.opening.state(); s.cmd.Become != nil {
		s.refused <- s.notBecome(lacks, said)
	} else {
		s.refused <- hostfuncs.Errorf(hostfuncs.Timeout, hostfuncs.Before,
			"%s gave a terminal, and did not start a shell within %s; check what the account runs when it logs in", s.endpoint.place(), s.pool.opt.BecomeTimeout)
	}
	s.close() // the program reads the end of its input, and ends
}

// notBecome returns the error of a become program that did not start the shell.
func (s *session) notBecome(lacks BecomeCause, said []byte) error {
	b := s.cmd.Become
	cause := b.why(s.nonce, said, lacks)
	if s.cmd.Redact != nil {
		said = s.cmd.Redact(said)
	}
	return b.failed(s.endpoint.place(), cause, cleaned(string(said), s.nonce))
}

// cleaned takes the wrapper's own marks out of what a person reads of a become
// program's words.
func cleaned(said, nonce string) string {
	said = wrapperText.ReplaceAllString(own(said, nonce), "/bin/sh'")
	return strings.NewReplacer(nonce+passwordMark, "", nonce+missingMark, "", nonce, "").Replace(said)
}

// wrapperText is the wrapper where a become program shows what it was to run.
var wrapperText = regexp.MustCompile(`/bin/sh -c [^\n]* sh'`) //nolint:gochecknoglobals // a constant

// touch says that something came, or that the command has begun.
func (s *session) touch() {
	if s.lull != nil {
		s.lull.Reset(s.cmd.IdleTimeout)
	}
}

// touched is a stream's sink that notes that something came.
func (s *session) touched(write func([]byte)) func([]byte) {
	return func(b []byte) {
		if s.came.Add(int64(len(b))); len(b) > 0 {
			s.touch()
		}
		write(b)
	}
}

// tooQuiet is the error of a command that has written nothing for too long.
func (s *session) tooQuiet() *hostfuncs.Error {
	return hostfuncs.Errorf(hostfuncs.Timeout, hostfuncs.After, "%s: the command wrote nothing for %s (its idle timeout), %s after it was sent, so it was stopped",
		s.endpoint.place(), s.cmd.IdleTimeout, seconds(time.Since(s.started)))
}

// signal ends what runs where the wrapper has not said which process it is: by the
// server's own means, where it has them (RFC 4254 section 6.9).
func (s *session) signal(ctx context.Context) fate {
	s.pool.wg.Go(func() { _, _ = s.ch.SendRequest("signal", false, xssh.Marshal(struct{ Signal string }{"KILL"})) })
	t := time.NewTimer(s.pool.opt.KillGrace)
	defer t.Stop()
	select {
	case <-s.exited:
		return leader
	case <-s.gone:
	case <-t.C:
	case <-ctx.Done():
	}
	return unknown
}
