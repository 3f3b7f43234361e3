package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"opsconductor.dev/hostfuncs"
)

// BecomeMethod is the program by which a command takes on another user.
type BecomeMethod string

// The methods.
const (
	Sudo BecomeMethod = "sudo"
	Doas BecomeMethod = "doas"
	Su   BecomeMethod = "su"
)

// Become says as which other user a command runs. The program starts /bin/sh as
// that user, so the target's rules have to allow that.
type Become struct {
	Method BecomeMethod // "": sudo
	User   string       // "": root
	// Password answers the program's first prompt, and nothing else: that of the
	// user who logged in for sudo and doas, that of User for su. nil: there is
	// none, and a program that asks for one is an error. doas and su read a
	// password from a terminal only, so with one the command has a terminal, and
	// its two streams are one.
	Password hostfuncs.Secret
}

// BecomeCause is why the other user was not taken on.
type BecomeCause string

// The causes.
const (
	WrongPassword    BecomeCause = "wrong_password"
	PasswordRequired BecomeCause = "password_required"
	PasswordExpired  BecomeCause = "password_expired"
	TerminalRequired BecomeCause = "terminal_required"
	NotAllowed       BecomeCause = "not_allowed"
	UnknownUser      BecomeCause = "unknown_user"
	MethodMissing    BecomeCause = "method_missing"
	NoAnswer         BecomeCause = "no_answer"
	BecomeRefused    BecomeCause = "refused" // in the program's own words
)

// BecomeError is in the chain of an error of code become_failed.
type BecomeError struct{ Cause BecomeCause }

// Error returns the cause's word.
func (e *BecomeError) Error() string { return string(e.Cause) }

func (b Become) method() BecomeMethod {
	if b.Method == "" {
		return Sudo
	}
	return b.Method
}

func (b Become) user() string {
	if b.User == "" {
		return "root"
	}
	return b.User
}

// terminal reports whether the program reads the password from a terminal only.
func (b Become) terminal() bool { return b.Password != nil && b.method() != Sudo }

// userName is what a user may be called: nothing that a login shell changes in
// quotes, no option and no number.
var userName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.@-]{0,254}\$?$`) //nolint:gochecknoglobals // a constant

func (b Become) validate() []error {
	var errs []error
	switch b.method() {
	case Sudo, Doas, Su:
	default:
		errs = append(errs, errors.New("become: the method is not one of sudo, doas, su"))
	}
	if !userName.MatchString(b.user()) {
		errs = append(errs, errors.New("become: the user is not a user's name: letters, digits and _.@-, beginning with a letter or _"))
	}
	if b.Password != nil && bytes.ContainsAny(b.Password.Reveal(), "\x00\r\n") {
		errs = append(errs, errors.New("become: the password has a line break or a NUL character, which no prompt takes"))
	}
	return errs
}

// passwordMark ends sudo's prompt. The nonce stands before it, and the two are
// put together on the target only, so the request's own text shown by a shell
// does not look like the prompt.
const passwordMark = "-password:"

// take is what the login shell runs: it says when the program is missing, speaks
// the program's messages in English, and turns into it.
const take = `n=%s; command -v %s >/dev/null 2>&1 || { echo "$n` + missingMark + `" >&2; exit 127; }; LC_ALL=C; export LC_ALL; echo "$n` + turnMark + `" >&2; exec `

// These stand behind the nonce: there is no such program; from here on it is the
// program that speaks, and not the login shell.
const (
	missingMark = "-missing"
	turnMark    = "-turn"
)

// exec returns the exec request's command that starts /bin/sh with a text as the
// other user.
func (b Become) exec(nonce, text string) string {
	method := b.method()
	run := fmt.Sprintf(take, nonce, method)
	switch method {
	case Su:
		run += `su "$1" -c "$2"`
		text = "exec /bin/sh -c " + Quote(text) + " sh"
	case Doas:
		run += `doas ` + b.quiet() + `-u "$1" -- /bin/sh -c "$2" sh`
	default:
		run += `sudo -H -k ` + b.quiet() + `-u "$1" -- /bin/sh -c "$2" sh`
		if b.Password != nil {
			run = strings.Replace(run, "-H -k", `-H -k -S -p "$n`+passwordMark+`"`, 1)
		}
	}
	return "exec /bin/sh -c " + Quote(run) + " sh " + Quote(b.user()) + " " + Quote(text)
}

// quiet has the program fail where it would ask and nobody can answer.
func (b Become) quiet() string {
	if b.Password != nil {
		return ""
	}
	return "-n "
}

// asking is what a program's output ends with while it waits for an answer.
var asking = regexp.MustCompile(`(?i)\b(pass(word|code|phrase)|pin|code)\b[^\n]*: ?$`) //nolint:gochecknoglobals // a constant

// asks reports whether what was said since the last answer ends with a prompt, and
// whether the prompt is the one that the password answers.
func (b Become) asks(nonce string, said []byte) (prompt, ours bool) {
	if b.method() == Sudo && b.Password != nil && bytes.HasSuffix(said, []byte(nonce+passwordMark)) {
		return true, true
	}
	return asking.Match(said), b.method() != Sudo
}

// complaints are the programs' words (in the C locale), the most exact first.
func complaints() []struct {
	words string
	cause BecomeCause
} {
	return []struct {
		words string
		cause BecomeCause
	}{
		{"must have a tty", TerminalRequired},
		{"a terminal is required", TerminalRequired},
		{"a tty is required", TerminalRequired},
		{"must be run from a terminal", TerminalRequired},
		{"expired", PasswordExpired},
		{"required to change your password", PasswordExpired},
		{"change the expired password", PasswordExpired},
		{"unknown user", UnknownUser},
		{"does not exist", UnknownUser},
		{"No passwd entry", UnknownUser},
		{"is not in the sudoers file", NotAllowed},
		{"is not allowed to", NotAllowed},
		{"may not run sudo", NotAllowed},
		{"doas is not enabled", NotAllowed},
		{"Operation not permitted", NotAllowed},
		{"Permission denied", NotAllowed},
		{"incorrect password", WrongPassword},
		{"Sorry, try again", WrongPassword},
		{"Authentication failure", WrongPassword},
		{"Authentication failed", WrongPassword},
		{"Authorization failed", WrongPassword},
		{"incorrect", WrongPassword},
		{"a password is required", PasswordRequired},
		{"Authentication required", PasswordRequired},
		{"Authorization required", PasswordRequired},
	}
}

// own returns what the program said, without what the login shell had said before.
func own(said, nonce string) string {
	if _, after, ok := strings.Cut(said, nonce+turnMark); ok {
		return after
	}
	return said
}

// why returns the cause that a program's words give; where they give none, what it
// lacks: "" is that it refused.
func (b Become) why(nonce string, said []byte, lacks BecomeCause) BecomeCause {
	cause := b.cause(nonce, string(said))
	if cause == BecomeRefused && lacks != "" {
		return lacks
	}
	return cause
}

// cause reads why the program refused.
func (b Become) cause(nonce, said string) BecomeCause {
	if strings.Contains(said, nonce+missingMark) {
		return MethodMissing
	}
	said = own(said, nonce)
	for _, c := range complaints() {
		if strings.Contains(said, c.words) {
			return c.cause
		}
	}
	return BecomeRefused
}

// failed returns the error of a user that was not taken on, so that the command
// did not run. said is what the program wrote, redacted.
func (b Become) failed(place string, cause BecomeCause, said string) *hostfuncs.Error {
	m, u := b.method(), b.user()
	why := map[BecomeCause]string{
		WrongPassword:    fmt.Sprintf("%s did not take the password; check the credential that become uses", m),
		PasswordRequired: fmt.Sprintf("%s asks for a password, and there is none; give become a credential, or allow it without a password there", m),
		PasswordExpired:  fmt.Sprintf("the password or the account has expired; change it on the target, and in the credential (%s)", m),
		TerminalRequired: fmt.Sprintf("%s wants a terminal (requiretty); set pty: true, or take requiretty out there", m),
		NotAllowed:       fmt.Sprintf("%s does not allow this account to run /bin/sh as %s; allow it in the target's rules for %s", m, u, m),
		UnknownUser:      fmt.Sprintf("%s knows no user %s there; check the name", m, u),
		MethodMissing:    fmt.Sprintf("there is no %s on the account's PATH there; install it, or use another method", m),
		NoAnswer:         fmt.Sprintf("%s neither asked for the password nor went on in time", m),
	}[cause]
	if why == "" {
		why = fmt.Sprintf("%s did not start it", m)
	}
	if text := strings.Join(strings.Fields(said), " "); text != "" && cause != MethodMissing {
		why += fmt.Sprintf(" (it said %.300q)", text)
	}
	return hostfuncs.Errorf(hostfuncs.BecomeFailed, hostfuncs.Before, "become %s on %s: %s: %s. The command did not run%w",
		u, place, strings.ReplaceAll(string(cause), "_", " "), why, hushed{&BecomeError{cause}})
}

// hushed is in an error's chain and not in its text.
type hushed struct{ error }

// Error returns nothing.
func (hushed) Error() string { return "" }

// Unwrap returns the error.
func (h hushed) Unwrap() error { return h.error }
