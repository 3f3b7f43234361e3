package ssh_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// inPlaceOf starts a real server on which a text stands in place of a program, and
// returns it with a file of the program's, "$file".
func inPlaceOf(t *testing.T, program, text string) (ssh.Endpoint, string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	text = "#!/bin/sh\nfile=" + file + "\n" + `p=; while [ $# -gt 0 ]; do [ "$1" = -p ] && p=$2; [ "$1" = -- ] && break; shift; done; [ $# = 0 ] || shift` + "\n" + text
	if err := os.WriteFile(filepath.Join(dir, program), []byte(text), 0o700); err != nil { //nolint:gosec // the server runs it
		t.Fatal(err)
	}
	return endpoint(server(t, sshtest.Config{Options: []string{"SetEnv PATH=" + dir + ":/usr/bin:/bin"}})), file
}

// The password is sent to the prompt that was asked for, once: not to another
// question, not a second time, and not to what has not asked.
func TestBecomeOwnPrompt(t *testing.T) {
	t.Parallel()
	const password = "canary-own-prompt"
	keeps := `while read -r x; do echo "$x" >>"$file"; `
	for name, tc := range map[string]struct {
		program, text string
		answers       int
		cause         ssh.BecomeCause
	}{
		"another question":        {"sudo", `printf "Old password: " >&2; ` + keeps + `done`, 0, ssh.PasswordRequired},
		"a one-time code":         {"sudo", `printf "%s" "$p" >&2; read -r x; echo "$x" >>"$file"; printf "Verification code: " >&2; ` + keeps + `done`, 1, ssh.WrongPassword},
		"again and again":         {"sudo", `printf "%s" "$p" >&2; ` + keeps + `printf "%s" "$p" >&2; done`, 1, ssh.WrongPassword},
		"twice at once":           {"sudo", `printf "%s%s" "$p" "$p" >&2; ` + keeps + `printf "%s" "$p" >&2; done`, 1, ssh.WrongPassword},
		"su, again and again":     {"su", `printf "Password: " >&2; ` + keeps + `printf "Password: " >&2; done`, 1, ssh.WrongPassword},
		"doas, another one later": {"doas", `printf "doas (x@y) password: " >&2; read -r x; echo "$x" >>"$file"; printf "New password: " >&2; ` + keeps + `done`, 1, ssh.WrongPassword},
		"nothing":                 {"sudo", keeps + `done`, 0, ssh.NoAnswer},
		"the echo of the request": {"sudo", `echo "-S -p '\$n-password:'" >&2; ` + keeps + `done`, 0, ssh.NoAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, file := inPlaceOf(t, tc.program, tc.text)
			o := quick()
			o.BecomeTimeout = 2 * time.Second
			c := ssh.Command{Argv: []string{"touch", file + "-ran"}, Become: &ssh.Become{Method: ssh.BecomeMethod(tc.program), Password: secret(password)}}
			_, err := pool(t, o).Exec(t.Context(), e, c)
			wantError(t, err, hostfuncs.BecomeFailed, hostfuncs.Before, "The command did not run")
			wantCause(t, err, tc.cause)
			b, _ := os.ReadFile(file)
			if n := strings.Count(string(b), password); n != tc.answers || strings.Count(string(b), "\n") != tc.answers {
				t.Errorf("it was sent %d times, want %d: %q", n, tc.answers, b)
			}
		})
	}
}

// What is shown of the program's words has no secret, and nothing of the wrapper's.
func TestBecomeWords(t *testing.T) {
	t.Parallel()
	e, _ := inPlaceOf(t, "sudo", `echo "no canary-word for $p $*" >&2; exit 1`)
	redact := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("canary-word"), []byte("[redacted]")) }
	_, err := pool(t, quick()).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}, Become: &ssh.Become{Password: secret("canary-x")}, Redact: redact})
	wantError(t, err, hostfuncs.BecomeFailed, hostfuncs.Before, "no [redacted] for")
	if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "opsconductor-") {
		t.Errorf("a secret or the wrapper's mark is shown: %v", err)
	}
}

// A program that talks without end is left.
func TestBecomeEndlessTalk(t *testing.T) {
	t.Parallel()
	e, _ := inPlaceOf(t, "sudo", `yes "lecture" >&2`)
	began := time.Now()
	_, err := pool(t, quick()).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}, Become: &ssh.Become{Password: secret("canary-x")}})
	wantError(t, err, hostfuncs.BecomeFailed, hostfuncs.Before, "lecture", "The command did not run")
	if took := time.Since(began); took > 20*time.Second || len(err.Error()) > 2000 {
		t.Errorf("it took %s, and %d bytes of words", took, len(err.Error()))
	}
}

// A shell that comes after the call was given up is never sent the command.
func TestBecomeLateShell(t *testing.T) {
	t.Parallel()
	e, file := inPlaceOf(t, "sudo", `until [ -e "$file-go" ]; do sleep 0.02; done; "$@"; echo over >>"$file"`)
	o := quick()
	o.KillGrace = time.Second
	c := ssh.Command{Argv: []string{"touch", file + "-ran"}, Become: &ssh.Become{Password: secret("canary-x")}, Timeout: time.Second}
	_, err := pool(t, o).Exec(t.Context(), e, c)
	var he *hostfuncs.Error
	if !errors.As(err, &he) || he.Code != hostfuncs.Timeout || !he.Stopped || !strings.Contains(he.Message, "had not begun") {
		t.Errorf("%+v, want a timeout that says that nothing has begun", he)
	}
	_ = os.WriteFile(file+"-go", nil, 0o600)
	eventually(t, "the program has ended", func() bool { b, _ := os.ReadFile(file); return len(b) > 0 })
	if _, err := os.Stat(file + "-ran"); err == nil {
		t.Error("the command ran")
	}
}

// What a program is called that a command becomes by, and by what password, is
// looked at before anything is sent.
func TestBecomeBadInput(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{})
	for name, tc := range map[string]struct {
		become ssh.Become
		words  string
	}{
		"method":       {ssh.Become{Method: "pkexec"}, "not one of sudo, doas, su"},
		"option":       {ssh.Become{User: "-s"}, "not a user's name"},
		"quotes":       {ssh.Become{User: "a'b"}, "not a user's name"},
		"line feed":    {ssh.Become{User: "root\n"}, "not a user's name"},
		"number":       {ssh.Become{User: "#0"}, "not a user's name"},
		"two lines":    {ssh.Become{Password: secret("canary\nyes")}, "line break"},
		"NUL":          {ssh.Become{Password: secret("canary\x00")}, "NUL character"},
		"carriage ret": {ssh.Become{Password: secret("canary\r")}, "line break"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pool(t, quick()).Exec(t.Context(), fakeEndpoint(f), ssh.Command{Argv: []string{"true"}, Become: &tc.become})
			wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, tc.words)
			if strings.Contains(err.Error(), "canary") || f.Accepted() > 0 {
				t.Errorf("%d connections, or the password is shown: %v", f.Accepted(), err)
			}
		})
	}
}

// What the login shell says before is not the program's word: neither a prompt nor
// why it refuses.
func TestBecomeNoisyLogin(t *testing.T) {
	t.Parallel()
	needs(t, "sudo")
	dir := shared(t)
	shell := filepath.Join(dir, "shell")
	noise := "#!/bin/sh\necho 'Permission denied; your password has expired; lib-missing; Password: ' >&2\nprintf 'Password: ' >&2\nexec /bin/sh \"$@\"\n"
	if err := os.WriteFile(shell, []byte(noise), 0o755); err != nil { //nolint:gosec // a login shell is run by its user
		t.Fatal(err)
	}
	srv, a, other := accountServer(t), newAccount(t, shell), newAccount(t, "/bin/sh")
	sudoers(t, a.name+" ALL=(ALL) ALL")
	p := pool(t, quick())
	for name, tc := range map[string]struct {
		become ssh.Become
		cause  ssh.BecomeCause
	}{
		"wrong":   {ssh.Become{Password: secret("canary-wrong")}, ssh.WrongPassword},
		"none":    {ssh.Become{}, ssh.PasswordRequired},
		"nobody":  {ssh.Become{User: "nobody-such", Password: secret(a.password)}, ssh.UnknownUser},
		"su":      {ssh.Become{Method: ssh.Su, Password: secret("canary-wrong")}, ssh.WrongPassword},
		"no rule": {ssh.Become{Method: ssh.Doas, Password: secret(a.password)}, ssh.NotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := p.Exec(t.Context(), as(srv, a), ssh.Command{Argv: []string{"true"}, Become: &tc.become})
			wantCause(t, err, tc.cause)
			if err != nil && strings.Contains(err.Error(), "lib-missing") {
				t.Errorf("the login shell's words are shown as the program's: %v", err)
			}
		})
	}
	for _, b := range []ssh.Become{{Password: secret(a.password)}, {User: other.name, Method: ssh.Su, Password: secret(other.password)}} {
		if r := run(t, p, as(srv, a), ssh.Command{Argv: []string{"true"}, Become: &b}); code(r) != 0 {
			t.Errorf("%s with the right password: exit code %d", b.Method, code(r))
		}
	}
}
