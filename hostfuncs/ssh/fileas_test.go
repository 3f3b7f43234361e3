package ssh_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/hostfunctest"
	"opsconductor.dev/hostfuncs/ssh"
)

// closed returns a folder of root's alone.
func closed(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "closed") //nolint:usetesting // the way there is open to all
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// ownerOf returns whose a file is, and its mode.
func ownerOf(t *testing.T, name string) (uid, gid uint32, mode os.FileMode) {
	t.Helper()
	info, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t) //nolint:forcetypeassert // on Linux
	return st.Uid, st.Gid, info.Mode().Perm()
}

// An account that may not even look into a folder does all that can be done there,
// as root; without that it is refused.
func TestFilesAs(t *testing.T) {
	t.Parallel()
	needs(t, "sudo", "doas", "su")
	user, free, pty := newAccount(t, "/bin/sh"), newAccount(t, "/bin/bash"), newAccount(t, "/bin/sh")
	sudoers(t, user.name+" ALL=(ALL) ALL", free.name+" ALL=(ALL) NOPASSWD: ALL", pty.name+" ALL=(ALL) ALL", "Defaults:"+pty.name+" use_pty")
	doasRules(t, "permit nopass "+free.name)
	plain := accountServer(t, "Subsystem sftp internal-sftp")
	noisy := accountServer(t, `ForceCommand echo "Welcome"; echo "Be good" >&2; eval "$SSH_ORIGINAL_COMMAND"`)
	p := pool(t, ssh.Options{})
	for name, tc := range map[string]struct {
		e      ssh.Endpoint
		become ssh.Become
	}{
		"sudo with a password":                 {as(plain, user), ssh.Become{Password: secret(user.password)}},
		"sudo without":                         {as(plain, free), ssh.Become{}},
		"sudo with one that nobody asks for":   {as(plain, free), ssh.Become{Password: secret(free.password)}},
		"sudo with a terminal of its own":      {as(plain, pty), ssh.Become{Password: secret(pty.password)}},
		"sudo behind a login shell that talks": {as(noisy, user), ssh.Become{Password: secret(user.password)}},
		"doas without":                         {as(plain, free), ssh.Become{Method: ssh.Doas}},
		"su by root":                           {as(plain, account{name: "root"}), ssh.Become{Method: ssh.Su}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := closed(t)
			if tc.e.Port == plain.Port && tc.e.Credential.Username != "root" {
				_, err := p.Stat(t.Context(), tc.e, dir+"/f", false)
				wantError(t, err, hostfuncs.Denied, hostfuncs.Before, "user "+tc.e.Credential.Username+" may not")
			}
			allAs(t, p, tc.e.As(&tc.become), dir)
		})
	}
}

// allAs goes through all functions for files in a folder, as root.
func allAs(t *testing.T, p *ssh.Pool, e ssh.Endpoint, dir string) {
	t.Helper()
	ctx, name, content := t.Context(), dir+"/a b/it's", bytes.Repeat([]byte("a\x00\xff\r\n\x04"), 500_000)
	if changed, err := p.Mkdir(ctx, e, ssh.Mkdir{Path: dir + "/a b", Mode: new(uint32(0o700))}); err != nil || !changed {
		t.Fatalf("mkdir: %t, %v", changed, err)
	}
	for _, changed := range []bool{true, false} {
		w, err := p.Put(ctx, e, ssh.Put{Path: name, Content: content, Mode: new(uint32(0o640))})
		if err != nil || w.Changed != changed || !w.Atomic || w.UID == nil || *w.UID != 0 || w.GID == nil || *w.GID != 0 || w.Mode != 0o640 {
			t.Fatalf("put: %+v, %v; want changed %t, atomic, of 0:0 with mode 0640", w, err, changed)
		}
	}
	got, err := p.Get(ctx, e, name, len(content))
	if err != nil || !bytes.Equal(got.Content, content) || got.OverSCP {
		t.Errorf("get: %d bytes, over scp %t, %v; want %d bytes", len(got.Content), got.OverSCP, err, len(content))
	}
	if uid, gid, mode := ownerOf(t, name); uid != 0 || gid != 0 || mode != 0o640 {
		t.Errorf("on disk it is of %d:%d with mode %o, want 0:0 and 640", uid, gid, mode)
	}
	if now, changed, err := p.Chmod(ctx, e, ssh.Chmod{Path: name, Mode: new(uint32(0o600)), UID: new(uint32(1))}); err != nil || !changed || now.UID != 1 || now.Mode != 0o600 {
		t.Errorf("chmod: %+v, %t, %v; want mode 0600 of user 1", now, changed, err)
	}
	// The owner that is there stays when the content is replaced.
	if w, err := p.Put(ctx, e, ssh.Put{Path: name, Content: []byte("new")}); err != nil || *w.UID != 1 || w.Mode != 0o600 {
		t.Errorf("put over it: %+v, %v; want user 1 and mode 0600 as before", w, err)
	}
	if uid, gid, mode := ownerOf(t, name); uid != 1 || gid != 0 || mode != 0o600 {
		t.Errorf("on disk it is then of %d:%d with mode %o, want 1:0 and 600", uid, gid, mode)
	}
	if list, err := p.List(ctx, e, dir+"/a b", 10); err != nil || len(list.Entries) != 1 || list.Entries[0].Name != "it's" {
		t.Errorf("list: %+v, %v; want one file and nothing left over", list, err)
	}
	if n, err := p.Remove(ctx, e, ssh.Remove{Path: dir + "/a b", Recursive: true}); err != nil || n != 2 {
		t.Errorf("remove: %d, %v; want 2", n, err)
	}
}

// What is not begun by a path's first slash begins in the other user's home, and a
// file is that user's.
func TestFilesAsSomebody(t *testing.T) {
	t.Parallel()
	needs(t, "sudo")
	me, other := newAccount(t, "/bin/sh"), newAccount(t, "/bin/sh")
	sudoers(t, me.name+" ALL=("+other.name+") NOPASSWD: ALL")
	dir := closed(t)
	found, err := user.Lookup(other.name)
	if err != nil {
		t.Fatal(err)
	}
	uid, gid := number(t, found.Uid), number(t, found.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	p, e := pool(t, quick()), as(accountServer(t), me).As(&ssh.Become{User: other.name})
	put := ssh.Put{Path: dir[1:] + "/f", Content: []byte("x"), Mode: new(uint32(0o600)), UID: new(uint32(uid)), GID: new(uint32(gid))} // the home is /
	var hash string
	put.Begin = func(_ context.Context, h string) error { hash = h; return nil }
	w, err := p.Put(t.Context(), e, put)
	if hash == "" || hash == put.Hash() {
		t.Error("what is committed before the change does not say who makes it")
	}
	if err != nil || int(*w.UID) != uid || int(*w.GID) != gid {
		t.Errorf("%+v, %v; want a file of %d:%d", w, err, uid, gid)
	}
	_, err = p.Put(t.Context(), e, ssh.Put{Path: "/etc/opsconductor-not-there", Content: []byte("x")})
	wantError(t, err, hostfuncs.Denied, hostfuncs.After, "user "+other.name+" may not", "Nothing was changed")
}

// A relative path begins in the other user's home, not in that of who logs in.
func TestFilesAsAtHome(t *testing.T) {
	t.Parallel()
	needs(t, "sudo")
	user := newAccount(t, "/bin/sh")
	sudoers(t, user.name+" ALL=(ALL) NOPASSWD: ALL")
	p, e := pool(t, ssh.Options{}), as(accountServer(t), user).As(&ssh.Become{})
	name := "." + user.name // the home of root is not that of the test
	if _, err := p.Put(t.Context(), e, ssh.Put{Path: name, Content: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = os.Remove("/root/"+name), os.Remove("/"+name) })
	if b, err := os.ReadFile("/root/" + name); err != nil || string(b) != "x" {
		t.Errorf("in root's home: %q, %v; want the file", b, err)
	}
}

// Why the other user was not taken on, in words for files; and nothing was done.
func TestFilesAsFails(t *testing.T) {
	t.Parallel()
	needs(t, "sudo", "doas")
	user, tty, outsider := newAccount(t, "/bin/sh"), newAccount(t, "/bin/sh"), newAccount(t, "/bin/sh")
	sudoers(t, user.name+" ALL=(ALL) ALL", tty.name+" ALL=(ALL) ALL", "Defaults:"+tty.name+" requiretty")
	srv := accountServer(t, "Subsystem sftp internal-sftp")
	without := accountServer(t, `ForceCommand exec /bin/sh -c "$(printf %s "$SSH_ORIGINAL_COMMAND" | sed s/sftp-server/none/g)"`)
	refusing := accountServer(t, "ForceCommand internal-sftp")
	p := pool(t, quick())
	good := ssh.Become{Password: secret(user.password)}
	for name, tc := range map[string]struct {
		e      ssh.Endpoint
		become ssh.Become
		code   hostfuncs.Code
		cause  ssh.BecomeCause
		words  []string
	}{
		"wrong password":      {as(srv, user), ssh.Become{Password: secret("wrong-" + user.password)}, hostfuncs.BecomeFailed, ssh.WrongPassword, []string{"check the credential"}},
		"no password":         {as(srv, user), ssh.Become{}, hostfuncs.BecomeFailed, ssh.PasswordRequired, []string{"there is none"}},
		"requiretty":          {as(srv, tty), ssh.Become{Password: secret(tty.password)}, hostfuncs.BecomeFailed, ssh.TerminalRequired, []string{"take requiretty out there"}},
		"not in sudoers":      {as(srv, outsider), ssh.Become{Password: secret(outsider.password)}, hostfuncs.BecomeFailed, ssh.NotAllowed, []string{"does not allow"}},
		"no such user":        {as(srv, user), ssh.Become{User: "nobody-such", Password: secret(user.password)}, hostfuncs.BecomeFailed, ssh.UnknownUser, []string{"knows no user"}},
		"no sftp-server":      {as(without, user), good, hostfuncs.Protocol, "", []string{"no sftp-server that root could start", "/usr/lib/openssh/sftp-server", "ssh_exec"}},
		"no commands":         {as(refusing, user), good, hostfuncs.BecomeFailed, ssh.BecomeRefused, nil},
		"doas and a password": {as(srv, user), ssh.Become{Method: ssh.Doas, Password: secret(user.password)}, hostfuncs.BadRequest, "", []string{"doas reads a password from a terminal", "use sudo"}},
		"method and user":     {as(srv, user), ssh.Become{Method: "runas", User: "-x"}, hostfuncs.BadRequest, "", []string{"sudo, doas, su", "not a user's name"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			_, err := p.Put(t.Context(), tc.e.As(&tc.become), ssh.Put{Path: dir + "/f", Content: []byte("x")})
			wantError(t, err, tc.code, hostfuncs.Before, append(tc.words, "web1")...)
			if tc.cause != "" {
				wantCause(t, err, tc.cause)
				wantError(t, err, tc.code, hostfuncs.Before, "Nothing was done there")
			}
			if found, _ := os.ReadDir(dir); len(found) > 0 {
				t.Errorf("%s is there", found[0].Name())
			}
		})
	}
}

// Where the other user has no SFTP, the one who logs in does not read and write in that
// user's place, by scp.
func TestFilesAsNotBySCP(t *testing.T) {
	t.Parallel()
	needs(t, "sudo")
	needSCP(t)
	user := newAccount(t, "/bin/sh")
	sudoers(t, user.name+" ALL=(ALL) NOPASSWD: ALL")
	dir := closed(t)
	if err := errors.Join(os.Chmod(dir, 0o777), os.WriteFile(dir+"/there", []byte("x"), 0o600), os.Chmod(dir+"/there", 0o666)); err != nil { //nolint:gosec // that account may do all there
		t.Fatal(err)
	}
	for server, words := range map[string]string{"none": "there is no sftp-server that root could start", "../../bin/echo": "did not speak it"} {
		e := as(accountServer(t, `ForceCommand exec /bin/sh -c "$(printf %s "$SSH_ORIGINAL_COMMAND" | sed 's#/usr/[a-z/]*sftp-server#/usr/bin/`+server+`#g')"`), user)
		p := pool(t, quick())
		_, err := p.Put(t.Context(), e.As(&ssh.Become{}), ssh.Put{Path: dir + "/f", Content: []byte("x"), Begin: never(t)})
		wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "no SFTP as root", words)
		_, err = p.Get(t.Context(), e.As(&ssh.Become{}), dir+"/there", 10)
		wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "no SFTP as root", words)
		if _, err := p.Get(t.Context(), e, dir+"/there", 10); err != nil {
			t.Errorf("the one who logs in, by scp: %v", err)
		}
	}
	only(t, dir, "there")
}

// The host functions take become, with a credential of its own, and state the owner;
// all that is wrong with it is said at once.
func TestFileFunctionsAs(t *testing.T) {
	t.Parallel()
	needs(t, "sudo")
	user := newAccount(t, "/bin/sh")
	sudoers(t, user.name+" ALL=(ALL) ALL")
	srv, p, dir := accountServer(t), pool(t, ssh.Options{}), closed(t)
	target := hostfuncs.Target{Name: "web1", Address: srv.Host, Port: srv.Port, Protocol: "ssh", HostKeys: srv.HostKeys, Credential: "key"}
	names := []string{"ssh_put", "ssh_get", "ssh_stat", "ssh_list", "ssh_mkdir", "ssh_remove", "ssh_chmod"}
	s := &hostfuncs.Session{Tenant: "default", Target: &target, MaxOutput: 1 << 16, Broker: &hostfunctest.Broker{
		Functions: names, Targets: map[string]hostfuncs.Target{"web1": target},
		Credentials: map[string]hostfuncs.Credential{
			"key":  {Name: "key", Version: 1, Kind: "ssh_key", Username: user.name, PrivateKey: secret(srv.ClientKey)},
			"root": {Name: "root", Version: 1, Kind: "password", Username: user.name, Password: secret(user.password)},
		},
	}}
	call := func(function, request string) (json.RawMessage, *hostfuncs.Error) {
		t.Helper()
		all := ssh.Functions(p)
		var env struct {
			OK    json.RawMessage
			Error *hostfuncs.Error
		}
		if err := json.Unmarshal(all[slices.IndexFunc(all, func(f hostfuncs.Func) bool { return f.Name == function })].Invoke(t.Context(), s, []byte(request)), &env); err != nil {
			t.Fatal(err)
		}
		return env.OK, env.Error
	}
	const become = `"become":{"credential":"root"}`
	for _, step := range []struct{ function, request, want string }{
		{"ssh_mkdir", `{"path":%q,` + become + `}`, `"changed":true`},
		{"ssh_put", `{"path":%q,"content":"hi",` + become + `}`, `"mode":"0644","uid":0,"gid":0,"changed":true,"atomic":true`},
		{"ssh_get", `{"path":%q,` + become + `}`, `"content":"hi"`},
		{"ssh_chmod", `{"path":%q,"mode":"0600",` + become + `}`, `"mode":"0600","uid":0,"gid":0,"changed":true`},
		{"ssh_stat", `{"path":%q,` + become + `}`, `"exists":true`},
		{"ssh_list", `{"path":%q,` + become + `}`, `"name":"f"`},
		{"ssh_remove", `{"path":%q,` + become + `}`, `"removed":1`},
	} {
		path := dir + "/d/f"
		if step.function == "ssh_mkdir" || step.function == "ssh_list" {
			path = filepath.Dir(path)
		}
		got, err := call(step.function, fmt.Sprintf(step.request, path))
		if err != nil || !strings.Contains(string(got), step.want) {
			t.Errorf("%s: %s, %v; want %s", step.function, got, err, step.want)
		}
		_, err = call(step.function, `{"path":"","become":{"method":"runas","user":"a b"}}`)
		if err == nil || err.Code != hostfuncs.BadRequest || !strings.Contains(err.Message, "path is empty") || !strings.Contains(err.Message, "sudo, doas, su") || !strings.Contains(err.Message, "a user's name") {
			t.Errorf("%s: %v, want all three faults", step.function, err)
		}
	}
	if _, err := call("ssh_put", `{"path":"/x","become":{}}`); err == nil || err.Code != hostfuncs.BecomeFailed {
		t.Errorf("without a credential for it: %v, want become_failed", err)
	}
}
