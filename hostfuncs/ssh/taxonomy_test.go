package ssh_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// provoked is one way to an error, on a real server.
type provoked struct {
	code      hostfuncs.Code
	phase     hostfuncs.Phase
	retryable bool
	cause     error // in the chain, by errors.Is; nil: the words alone say it
	words     []string
	do        func(t *testing.T) error
}

var errOperator = errors.New("the operator cancelled the run")

// taxonomy has at least one row for each code and phase that the package gives.
func taxonomy() map[string]provoked {
	const before, after = hostfuncs.Before, hostfuncs.After
	return map[string]provoked{
		"address":        {hostfuncs.Denied, before, false, nil, []string{"that address may not be dialled"}, deniedAddress},
		"file's owner":   {hostfuncs.Denied, before, false, nil, []string{"may not do that there", "check owner and mode"}, deniedFile},
		"no such file":   {hostfuncs.BadRequest, before, false, nil, []string{"there is no such file or folder"}, missingFile},
		"bad command":    {hostfuncs.BadRequest, before, false, nil, []string{"argument 1 has a NUL character", "run on web1"}, provoke(nil, nil, ssh.Command{Argv: []string{"echo", "\x00"}})},
		"nobody listens": {hostfuncs.Unreachable, before, true, syscall.ECONNREFUSED, []string{"refused", "nothing listens there"}, nobodyListens},
		"stopped server": {hostfuncs.Timeout, before, true, os.ErrDeadlineExceeded, []string{"accepted the connection and then fell silent", "waiting for the banner for 300ms"}, stoppedServer},
		"silence":        {hostfuncs.Timeout, after, false, nil, []string{"wrote nothing for 300ms (its idle timeout)", "confirmed dead"}, provoke(nil, nil, ssh.Command{Argv: []string{"sleep", "1000"}, IdleTimeout: 300 * time.Millisecond})},
		"whole call":     {hostfuncs.Timeout, after, false, nil, []string{"the call's timeout of 2s is over", "confirmed dead"}, provoke(nil, nil, ssh.Command{Argv: []string{"sleep", "1000"}, Timeout: 2 * time.Second})},
		"wrong key":      {hostfuncs.AuthFailed, before, false, nil, []string{"tried publickey", "the server offers publickey", "credential key"}, provoke(nil, func(e *ssh.Endpoint) { e.Credential.PrivateKey = secret(sshtest.NewKey()) }, truth)},
		"other host key": {hostfuncs.HostKeyMismatch, before, false, nil, []string{"but pinned is", "no credential was sent", "asset update web1 --host-key"}, provoke(nil, func(e *ssh.Endpoint) { e.HostKeys = []string{public(sshtest.NewKey())} }, truth)},
		"no host key":    {hostfuncs.HostKeyUnknown, before, false, nil, []string{"no host key is pinned", "no credential was sent"}, provoke(nil, func(e *ssh.Endpoint) { e.HostKeys = nil }, truth)},
		"algorithms":     {hostfuncs.AlgorithmMismatch, before, false, &xssh.AlgorithmNegotiationError{}, []string{"no algorithm for", "it offers aes128-cbc"}, provoke([]string{"Ciphers aes128-cbc"}, nil, truth)},
		"MaxStartups":    {hostfuncs.Throttled, before, true, nil, []string{"connections before its banner", "MaxStartups"}, maxStartups},
		"no doas":        {hostfuncs.BecomeFailed, before, false, nil, []string{"there is no doas on the account's PATH", "install it", "The command did not run"}, provoke([]string{"SetEnv PATH=/nonexistent"}, nil, ssh.Command{Argv: []string{"true"}, Become: &ssh.Become{Method: ssh.Doas}})},
		"full disk":      {hostfuncs.Quota, before, true, nil, []string{"needs a journal", "disk is full; make room", "not begun"}, fullDisk},
		"no terminal":    {hostfuncs.Protocol, before, false, nil, []string{"gives no terminal", "PermitTTY"}, provoke([]string{"PermitTTY no"}, nil, ssh.Command{Argv: []string{"true"}, PTY: &ssh.Terminal{}})},
		"no sessions":    {hostfuncs.Protocol, before, false, nil, []string{"refuses every session", "MaxSessions"}, provoke([]string{"MaxSessions 0"}, nil, truth)},
		"forced command": {hostfuncs.Protocol, after, false, nil, []string{"did not run the command but something else", "no logins here"}, provoke([]string{"ForceCommand echo no logins here"}, nil, truth)},
		"long file":      {hostfuncs.OutputLimit, before, false, nil, []string{"it has more than 10 bytes", "allow more"}, longFile},
		"long output":    {hostfuncs.OutputLimit, after, false, nil, []string{"wrote more than", "max_output_bytes", "confirmed dead"}, longOutput},
		"closed pool":    {hostfuncs.Cancelled, before, false, nil, []string{"closing its SSH connections"}, closedPool},
		"not begun":      {hostfuncs.Cancelled, before, false, errOperator, []string{"the operator cancelled the run"}, cancelledBefore},
		"begun":          {hostfuncs.Cancelled, after, false, errOperator, []string{"the operator cancelled the run", "confirmed dead"}, cancelledAfter},
		"cut at login":   {hostfuncs.Lost, before, true, nil, []string{"it closed the connection while authenticating"}, cutAtLogin},
		"cut at work":    {hostfuncs.Lost, after, false, nil, []string{"the connection was lost", "whether it goes on there is not known"}, cutAtWork},
	}
}

// Each error is what its row says: code, phase, whether it may be tried again, its
// cause and its words, in which the target stands.
func TestTaxonomy(t *testing.T) {
	t.Parallel()
	needs(t)
	for name, row := range taxonomy() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := row.do(t)
			wantError(t, err, row.code, row.phase, row.words...)
			var he *hostfuncs.Error
			if !errors.As(err, &he) {
				return
			}
			if he.Retryable != row.retryable {
				t.Errorf("retryable is %t, want %t", he.Retryable, row.retryable)
			}
			if row.cause != nil && !caused(err, row.cause) {
				t.Errorf("its cause is not %v: %#v", row.cause, err)
			}
			if !strings.Contains(he.Message, "web1") && name != "closed pool" {
				t.Errorf("the message does not name the target: %s", he.Message)
			}
		})
	}
}

// caused reports whether an error has a cause: the value, or the type.
func caused(err, cause error) bool {
	var neg, wanted *xssh.AlgorithmNegotiationError
	if errors.As(cause, &wanted) {
		return errors.As(err, &neg)
	}
	return errors.Is(err, cause)
}

// A code of the taxonomy, and a phase in which the package gives it, has a row.
func TestTaxonomyIsAll(t *testing.T) {
	t.Parallel()
	type kind struct{ code, phase string }
	given := map[kind]string{}
	codes := constants(t, "../error.go", "Code")
	for _, c := range codes {
		given[kind{c, ""}] = "error.go"
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, call := range errorfs(t, file) {
			given[kind{codes[call[0]], strings.ToLower(call[1])}] = file
		}
	}
	for _, row := range taxonomy() {
		delete(given, kind{string(row.code), string(row.phase)})
		delete(given, kind{string(row.code), ""})
	}
	for k, file := range given {
		t.Errorf("code %q phase %q (%s) has no row in taxonomy()", k.code, k.phase, file)
	}
	if len(codes) != len(hostfuncs.Codes()) || len(codes) < 15 {
		t.Errorf("%d codes in error.go, want the %d of Codes()", len(codes), len(hostfuncs.Codes()))
	}
}

// constants returns a file's constants of a type: name to value.
func constants(t *testing.T, file, typ string) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == typ {
			out[spec.Names[0].Name], _ = strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value) //nolint:forcetypeassert // a text
		}
		return true
	})
	return out
}

// errorfs returns the codes and phases by which a file calls hostfuncs.Errorf and
// hostfuncs.Ended, where it names them.
func errorfs(t *testing.T, file string) (calls [][2]string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 2 {
			return true
		}
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || f.Sel.Name != "Errorf" && f.Sel.Name != "Ended" {
			return true
		}
		phase, ok := call.Args[1].(*ast.SelectorExpr)
		if !ok || phase.Sel.Name == "Phase" {
			return true
		}
		switch code, ok := call.Args[0].(*ast.SelectorExpr); {
		case f.Sel.Name == "Ended":
			calls = append(calls, [2]string{"Cancelled", phase.Sel.Name}, [2]string{"Timeout", phase.Sel.Name})
		case ok:
			if x, ok := call.Args[0].(*ast.SelectorExpr).X.(*ast.Ident); ok && x.Name == "hostfuncs" {
				calls = append(calls, [2]string{code.Sel.Name, phase.Sel.Name})
			}
		}
		return true
	})
	return calls
}

var truth = ssh.Command{Argv: []string{"true"}}

// public returns the public half of a key that is well-formed.
func public(key string) string {
	pub, err := sshtest.PublicKey(key)
	if err != nil {
		panic(err)
	}
	return pub
}

// provoke returns what runs a command on a real server with options, at an endpoint
// that is changed before.
func provoke(options []string, change func(*ssh.Endpoint), c ssh.Command) func(*testing.T) error {
	return func(t *testing.T) error {
		t.Helper()
		e := endpoint(server(t, sshtest.Config{Options: options}))
		if change != nil {
			change(&e)
		}
		_, err := pool(t, quick()).Exec(t.Context(), e, c)
		return err
	}
}

func deniedAddress(t *testing.T) error {
	t.Helper()
	return provoke(nil, func(e *ssh.Endpoint) {
		e.Check = func(context.Context, netip.Addr) error {
			return hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "web1: that address may not be dialled")
		}
	}, truth)(t)
}

// filesEndpoint starts a server with SFTP.
func filesEndpoint(t *testing.T) ssh.Endpoint {
	t.Helper()
	return endpoint(server(t, sshtest.Config{Options: []string{"Subsystem sftp internal-sftp"}}))
}

func deniedFile(t *testing.T) error {
	t.Helper()
	srv := accountServer(t, "Subsystem sftp internal-sftp")
	_, err := pool(t, quick()).Get(t.Context(), as(srv, newAccount(t, "/bin/sh")), "/etc/shadow", 1<<20)
	return err
}

func missingFile(t *testing.T) error {
	t.Helper()
	_, err := pool(t, quick()).Get(t.Context(), filesEndpoint(t), "/nonexistent/file", 100)
	return err
}

func longFile(t *testing.T) error {
	t.Helper()
	_, err := pool(t, quick()).Get(t.Context(), filesEndpoint(t), "/etc/passwd", 10)
	return err
}

func nobodyListens(t *testing.T) error {
	t.Helper()
	srv := server(t, sshtest.Config{})
	_ = srv.Stop()
	_, err := pool(t, quick()).Exec(t.Context(), endpoint(srv), truth)
	return err
}

// A stopped process: the kernel still takes its connections.
func stoppedServer(t *testing.T) error {
	t.Helper()
	srv := server(t, sshtest.Config{})
	if err := syscall.Kill(srv.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	o := quick()
	o.HandshakeTimeout = 300 * time.Millisecond
	_, err := pool(t, o).Exec(t.Context(), endpoint(srv), truth)
	return err
}

// One connection that does not log in is all that the server takes.
func maxStartups(t *testing.T) error {
	t.Helper()
	srv := server(t, sshtest.Config{Options: []string{"MaxStartups 1:100:1"}})
	eventually(t, "the server talks to one connection that says nothing", func() bool {
		held, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Addr)
		if err != nil {
			return false
		}
		t.Cleanup(func() { _ = held.Close() })
		said := make([]byte, 3)
		_, _ = io.ReadFull(held, said)
		return string(said) == "SSH"
	})
	o := quick()
	o.ConnectTimeout = 5 * time.Second
	_, err := pool(t, o).Exec(t.Context(), endpoint(srv), truth)
	return err
}

func fullDisk(t *testing.T) error {
	t.Helper()
	if !mayMount(t) {
		t.Skip("needs leave to mount")
	}
	small := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(small, 0o700); err != nil {
		t.Fatal(err)
	}
	system(t, "", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small)
	t.Cleanup(func() { system(t, "", "umount", "-l", small) })
	_ = os.WriteFile(filepath.Join(small, "filler"), make([]byte, 1<<20), 0o600)
	if err := os.Mkdir(filepath.Join(small, "j-"+strconv.Itoa(os.Getuid())), 0o700); err != nil {
		t.Fatal(err)
	}
	o := quick()
	o.Journals = filepath.Join(small, "j")
	_, err := pool(t, o).ExecGuarded(t.Context(), endpoint(server(t, sshtest.Config{})), truth, ssh.Guard{Token: newToken()})
	return err
}

func longOutput(t *testing.T) error {
	t.Helper()
	o := quick()
	o.Discard = 1 << 20
	_, err := pool(t, o).Exec(t.Context(), endpoint(server(t, sshtest.Config{})), ssh.Command{Argv: []string{"yes"}, MaxOutput: 10})
	return err
}

func closedPool(t *testing.T) error {
	t.Helper()
	p := pool(t, quick())
	_ = p.Close()
	_, err := p.Exec(t.Context(), endpoint(server(t, sshtest.Config{})), truth)
	return err
}

func cancelledBefore(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errOperator)
	_, err := pool(t, quick()).Exec(ctx, endpoint(server(t, sshtest.Config{})), truth)
	return err
}

func cancelledAfter(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	_, done := spawnHeard(t, ctx, pool(t, quick()), endpoint(server(t, sshtest.Config{})))
	cancel(errOperator)
	return <-done
}

// The server's own process for the connection is killed while it looks at the key.
func cutAtLogin(t *testing.T) error {
	t.Helper()
	dir, err := os.MkdirTemp("/usr/local", "opsconductor-keys-") //nolint:usetesting // sshd wants a folder that root alone may write
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	script := filepath.Join(dir, "keys")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(script, []byte("#!/bin/sh\nkill -KILL $PPID\n"), 0o755)); err != nil { //nolint:gosec // sshd runs it
		t.Fatal(err)
	}
	return provoke([]string{"AuthorizedKeysFile none", "AuthorizedKeysCommand " + script, "AuthorizedKeysCommandUser root"}, nil, truth)(t)
}

func cutAtWork(t *testing.T) error {
	t.Helper()
	srv := server(t, sshtest.Config{})
	pids, done := spawnHeard(t, t.Context(), pool(t, quick()), endpoint(srv))
	for _, pid := range srv.Connections() {
		_ = stopProcess(pid)
	}
	err := <-done
	_ = stopProcess(pids[0])
	return err
}
