package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// While it is sent by scp a file is for its owner alone, and it comes to its place with
// the owner and the mode that were asked for, else with those of the file that was there,
// though that be longer.
func TestSCPOwner(t *testing.T) {
	t.Parallel()
	needs(t, "chown")
	dir, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	record := fmt.Sprintf(`if [ "$1" = -t ]; then "$real" "$@"; r=$?; stat -c '%%a %%u:%%g %%n' "$2" >>%s; exit $r; fi; exec "$real" "$@"`, log)
	p, e := pool(t, ssh.Options{}), endpoint(server(t, sshtest.Config{Options: []string{instead(t, "scp", record)}}))
	path := filepath.Join(dir, "f")
	if err := errors.Join(os.WriteFile(path, []byte("a long secret"), 0o600), os.Chown(path, 5, 6)); err != nil {
		t.Fatal(err)
	}
	for i, tc := range []struct {
		w        ssh.Put
		uid, gid uint32
		mode     os.FileMode
	}{
		{ssh.Put{Content: []byte("short")}, 5, 6, 0o600},
		{ssh.Put{Content: []byte("longer now"), Mode: new(uint32(0o4666)), UID: new(uint32(1))}, 1, 6, 0o666 | os.ModeSetuid},
		{ssh.Put{Content: []byte("again"), GID: new(uint32(2))}, 1, 2, 0o666 | os.ModeSetuid},
		{ssh.Put{Content: []byte("again"), UID: new(uint32(3)), GID: new(uint32(4))}, 3, 4, 0o666 | os.ModeSetuid},
	} {
		tc.w.Path = path
		if _, err := p.Put(t.Context(), e, tc.w); err != nil {
			t.Fatal(err)
		}
		uid, gid, _ := ownerOf(t, path)
		if uid != tc.uid || gid != tc.gid {
			t.Errorf("put %d: it is of %d:%d, want %d:%d", i, uid, gid, tc.uid, tc.gid)
		}
		onDisk(t, path, tc.w.Content, tc.mode)
	}
	own := regexp.MustCompile(fmt.Sprintf(`(?m)^600 %d:%d %s/\.opsconductor-[0-9a-f]{32}$`, os.Getuid(), os.Getgid(), regexp.QuoteMeta(dir)))
	b, err := os.ReadFile(log)
	if sent := slices.Compact(own.FindAllString(string(b), -1)); err != nil || len(sent) != 4 {
		t.Errorf("while it was sent the file was (%v)\n%s\nwant four times %s, each of another name", err, b, own)
	}
	other := filepath.Join(dir, "other")
	if err := errors.Join(os.Symlink("f", other), os.Lchown(other, 7, 7)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Put(t.Context(), e, ssh.Put{Path: other, Content: []byte("x"), Mode: new(uint32(0o600))}); err != nil {
		t.Fatal(err)
	}
	if uid, _, _ := ownerOf(t, other); uid != uint32(os.Getuid()) { //nolint:gosec // a small number
		t.Errorf("in the place of a link is a file of user %d, want the account's own", uid)
	}
	for _, program := range []string{"chown", "chmod"} {
		refuses := endpoint(server(t, sshtest.Config{Options: []string{instead(t, program, `echo "Operation not permitted" >&2; exit 1`)}}))
		_, err := p.Put(t.Context(), refuses, ssh.Put{Path: path, Content: []byte("x"), UID: new(uint32(9))})
		wantError(t, err, hostfuncs.Denied, hostfuncs.After, "could not take its place", "Nothing was changed")
		if _, err := p.Put(t.Context(), refuses, ssh.Put{Path: other, Content: []byte("of the same owner")}); program == "chown" && err != nil {
			t.Errorf("no owner to change: %v", err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "again" {
		t.Errorf("at the path is %q (%v), want it as it was", b, err)
	}
	if got, err := p.Put(t.Context(), e, ssh.Put{Path: filepath.Join(dir, "new"), Content: []byte("x")}); err != nil || got.Mode != 0o644 {
		t.Errorf("a new file: %+v (%v), want mode 0644", got, err)
	}
	only(t, dir, "f", "new", "other")
}

// A file that the account may not read is not replaced by one of another mode unseen.
func TestSCPUnreadable(t *testing.T) {
	t.Parallel()
	needs(t, "chown")
	needSCP(t)
	dir := closed(t)
	path, user := dir+"/f", newAccount(t, "/bin/sh")
	if err := errors.Join(os.Chmod(dir, 0o777), os.WriteFile(path, []byte("secret"), 0o600)); err != nil { //nolint:gosec // that account may do all there
		t.Fatal(err)
	}
	p, e := pool(t, ssh.Options{}), as(accountServer(t), user)
	_, err := p.Get(t.Context(), e, path, 10)
	wantError(t, err, hostfuncs.Denied, hostfuncs.Before, "may not do that")
	_, err = p.Put(t.Context(), e, ssh.Put{Path: path, Content: []byte("new secret"), Begin: never(t)})
	wantError(t, err, hostfuncs.Denied, hostfuncs.Before, "give a mode")
	_, err = p.Put(t.Context(), e, ssh.Put{Path: path, Content: []byte("new secret"), Mode: new(uint32(0o640))})
	wantError(t, err, hostfuncs.Denied, hostfuncs.After, "could not take its place", "Nothing was changed") // it would not be root's any more
	only(t, dir, "f")
}

// Paths that look like options are paths, and an appliance is given what needs no quotes
// without any.
func TestSCPPaths(t *testing.T) {
	t.Parallel()
	needSCP(t)
	dir, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(filepath.Join(dir, "-d"), 0o700); err != nil {
		t.Fatal(err)
	}
	const script = `printf '%%s\n' "$SSH_ORIGINAL_COMMAND" >>%s; cd %s; case "$SSH_ORIGINAL_COMMAND" in %s) exec /bin/sh -c "$SSH_ORIGINAL_COMMAND" ;; esac; exit 1`
	for what, commands := range map[string]string{"shell": "*", "appliance": `"scp "*`} {
		p, e := pool(t, ssh.Options{}), endpoint(forced(t, fmt.Sprintf(script, log, dir, commands)))
		for _, path := range []string{"-rf", "-d/-f", "-oX", "--"} {
			w := ssh.Put{Path: path, Content: []byte(what + path), Mode: new(uint32(0o640))}
			if _, err := p.Put(t.Context(), e, w); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if got, err := p.Get(t.Context(), e, path, 100); err != nil || !bytes.Equal(got.Content, w.Content) {
				t.Errorf("%s: %q (%v), want %q", path, got.Content, err, w.Content)
			}
			if b, err := os.ReadFile(filepath.Join(dir, path)); err != nil || !bytes.Equal(b, w.Content) {
				t.Errorf("%s has %q (%v), want %q", path, b, err, w.Content)
			}
		}
		only(t, dir, "--", "-d", "-oX", "-rf")
		only(t, filepath.Join(dir, "-d"), "-f")
	}
	b, err := os.ReadFile(log)
	if err != nil || !strings.Contains(string(b), "\nscp -t ./-rf\n") || strings.Contains(string(b), "scp -t '") {
		t.Errorf("scp was asked for with (%v)\n%s\nwant plain paths plain", err, b)
	}
}

// What answers in place of scp is read as far as an answer may go, and quoted.
func TestSCPEndless(t *testing.T) {
	t.Parallel()
	const asked = `case "$SSH_ORIGINAL_COMMAND" in "scp -f"*) %s ;; "scp -t"*) %s ;; *) exit 1 ;; esac`
	for name, tc := range map[string]struct {
		f, t  string
		words string
	}{
		"a header without end":       {`exec yes C0644 | tr -d '\n'`, "exit 1", "not scp as it should be (\"C0644C0644"},
		"a refusal without end":      {`printf '\001'; exec yes no such file | tr -d '\n'`, "exit 1", "there is no such file or folder"},
		"a header cut off":           {`printf 'C0644 3'`, "exit 1", "not scp as it should be"},
		"bits of no mode":            {`printf 'C0999 1 f\n'; sleep 1`, "exit 1", "not scp as it should be"},
		"a length that is no number": {`printf 'C0644 1k f\n'; sleep 1`, "exit 1", "not scp as it should be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pool(t, ssh.Options{}).Get(t.Context(), endpoint(forced(t, fmt.Sprintf(asked, tc.f, tc.t))), "/f", 1<<20)
			code := hostfuncs.Protocol
			if strings.Contains(tc.words, "no such") {
				code = hostfuncs.BadRequest
			}
			wantError(t, err, code, hostfuncs.Before, tc.words)
		})
	}
	t.Run("more after the file, and bits beyond a mode", func(t *testing.T) {
		t.Parallel()
		e := endpoint(forced(t, fmt.Sprintf(asked, `printf 'C100644 3 f\n123\000'; exec yes`, "exit 1")))
		got, err := pool(t, ssh.Options{}).Get(t.Context(), e, "/f", 1<<20)
		if err != nil || string(got.Content) != "123" || got.Mode != 0o644 {
			t.Errorf("%q, mode %o (%v), want 123 and 644", got.Content, got.Mode, err)
		}
	})
	const one, rest = `printf '\000'; head -n 1 >$(mktemp -p %[1]s); printf '\000'; `, "may be the old one, a part of the new one"
	for name, tc := range map[string]struct {
		said  string
		code  hostfuncs.Code
		words string
	}{
		"at once":              {`printf '\001scp: no, not at all\n'; exit 1`, hostfuncs.Protocol, `("scp: no, not at all`},
		"by another program":   {`echo "Welcome to your router"; exit 1`, hostfuncs.Protocol, `("Welcome to your router`},
		"after the header":     {`printf '\000'; head -n 1 >$(mktemp -p %[1]s); printf '\001scp: no, not at all\n'; exit 1`, hostfuncs.Protocol, "no, not at all"},
		"in the middle":        {one + `printf '\001scp: no, not at all\n'; exit 1`, hostfuncs.Protocol, "no, not at all"},
		"at the end":           {one + `head -c 8388609 >$(mktemp -p %[1]s); printf '\001scp: no, not at all\n'; exit 1`, hostfuncs.Protocol, "no, not at all"},
		"without a word of it": {`printf '\000'; exit 1`, hostfuncs.Lost, "ended before the answer"},
	} {
		t.Run("refused "+name, func(t *testing.T) {
			t.Parallel()
			said := strings.ReplaceAll(tc.said, "%[1]s", t.TempDir())
			e := endpoint(forced(t, fmt.Sprintf(asked, `printf '\001no such file\n'; exit 1`, said)))
			_, err := pool(t, ssh.Options{}).Put(t.Context(), e, ssh.Put{Path: "/x/f", Content: content(8 << 20)})
			wantError(t, err, tc.code, hostfuncs.After, tc.words, rest)
		})
	}
}

// Cancelled while its intent is recorded, a call changes nothing by scp either, and one
// whose intent cannot be recorded sends nothing.
func TestSCPCancelledBefore(t *testing.T) {
	t.Parallel()
	needSCP(t)
	for name, e := range map[string]ssh.Endpoint{"shell": endpoint(server(t, sshtest.Config{})), "appliance": endpoint(appliance(t))} {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := pool(t, ssh.Options{}).Put(ctx, e, ssh.Put{Path: path, Content: []byte("new"), Begin: func(context.Context, string) error { cancel(errOperator); return nil }})
		wantError(t, err, hostfuncs.Cancelled, hostfuncs.Before, errOperator.Error(), "nothing was changed")
		_, err = pool(t, ssh.Options{}).Put(t.Context(), e, ssh.Put{Path: path, Content: []byte("new"), Begin: func(context.Context, string) error { return errors.New("no lease") }})
		wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "no lease")
		if b, err := os.ReadFile(path); err != nil || string(b) != "old" {
			t.Errorf("%s: at the path is %q (%v), want it as it was", name, b, err)
		}
		only(t, dir, "f")
	}
}

// A server that is gone before anything was sent has changed nothing.
func TestSCPLostBefore(t *testing.T) {
	t.Parallel()
	needSCP(t)
	srv := appliance(t)
	px, e := through(t, srv)
	_, err := pool(t, quick()).Put(t.Context(), e, ssh.Put{Path: filepath.Join(t.TempDir(), "f"), Content: []byte("new"), Begin: func(context.Context, string) error {
		px.Refuse(true)
		px.Cut()
		return nil
	}})
	var he *hostfuncs.Error
	if !errors.As(err, &he) || he.Phase != hostfuncs.Before || strings.Contains(he.Message, "may be the old one") {
		t.Errorf("%+v, want before, and no word of a change", he)
	}
}

// Where the move of what was sent could not even be begun, it is said that it was sent.
func TestSCPNotMoved(t *testing.T) {
	t.Parallel()
	needSCP(t)
	dir := t.TempDir()
	e := endpoint(forced(t, `case "$SSH_ORIGINAL_COMMAND" in *"'-s'"*) exit 1 ;; esac; exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"`))
	_, err := pool(t, quick()).Put(t.Context(), e, ssh.Put{Path: filepath.Join(dir, "f"), Content: []byte("new")})
	var he *hostfuncs.Error
	if !errors.As(err, &he) || he.Phase != hostfuncs.After || he.Retryable || !strings.Contains(he.Message, "Nothing was changed") {
		t.Errorf("%+v, want after, not to be tried again", he)
	}
	only(t, dir)
}

// Cancelled while it sends, a call sends no more, and removes what it has sent.
func TestSCPCancelled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	slow := `[ "$1" = -t ] || exec "$real" "$@"; while dd bs=65536 count=1 2>&1 1>&3 | grep -q '^[1-9]'; do sleep 0.02; done 3>&1 | "$real" "$@"`
	px, e := proxied(t, sshtest.Config{Options: []string{instead(t, "scp", slow)}})
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var over atomic.Bool
	done := make(chan error, 1)
	p := pool(t, ssh.Options{KillGrace: time.Minute})
	go func() {
		_, err := p.Put(ctx, e, ssh.Put{Path: filepath.Join(dir, "f"), Content: content(32 << 20)})
		over.Store(true)
		done <- err
	}()
	eventually(t, "the file is being sent", func() bool { names, _ := os.ReadDir(dir); return len(names) > 0 || over.Load() })
	cancel(errOperator)
	wantError(t, <-done, hostfuncs.Cancelled, hostfuncs.After, errOperator.Error(), "Nothing was changed: the temporary file is removed")
	if n := px.Passed(sshtest.ToServer); n > 16<<20 {
		t.Errorf("%d bytes were sent of %d, though the call had ended", n, 32<<20)
	}
	only(t, dir)
}
