package interop_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// agents are logins by OpenSSH's own ssh-agent.
func agents() []row {
	return []row{
		{"ssh-agent, the key is named", func(t *testing.T) {
			key := rsaKey(t)
			a := startAgent(t, sshtest.NewKey(), ecdsaKey(t), key)
			e := a.endpoint(t, key)
			e.Credential.PublicKey = public(t, key)
			echo(t, a.pool(t), e, "by the agent")
		}},
		{"ssh-agent, any of its keys", func(t *testing.T) {
			key := ecdsaKey(t)
			a := startAgent(t, sshtest.NewKey(), key)
			echo(t, a.pool(t), a.endpoint(t, key), "by the second key")
		}},
		{"ssh-agent, a certificate for its key", func(t *testing.T) {
			ca, key := sshtest.NewKey(), sshtest.NewKey()
			a, srv := startAgent(t, key), server(t, "TrustedUserCAKeys "+file(t, "ca.pub", public(t, ca)+"\n"))
			e := srv.Endpoint("web1")
			e.Credential = a.credential(srv.User)
			e.Credential.Certificate = certificate(t, ca, key, xssh.UserCert, srv.User)
			echo(t, a.pool(t), e, "certified, by the agent")
		}},
		{"ssh-agent, not the right key", func(t *testing.T) {
			a := startAgent(t, sshtest.NewKey())
			wantError(t, a.pool(t), a.endpoint(t, sshtest.NewKey()), hostfuncs.AuthFailed, hostfuncs.Before, "1 keys of the agent", "tried publickey")
		}},
		{"ssh-agent, the named key is not there", func(t *testing.T) {
			a, key := startAgent(t, sshtest.NewKey()), sshtest.NewKey()
			e := a.endpoint(t, key)
			e.Credential.PublicKey = public(t, key)
			wantError(t, a.pool(t), e, hostfuncs.AuthFailed, hostfuncs.Before, "does not have the key that the credential names", "nothing was sent")
		}},
		{"ssh-agent, empty", func(t *testing.T) {
			a := startAgent(t)
			wantError(t, a.pool(t), a.endpoint(t, sshtest.NewKey()), hostfuncs.AuthFailed, hostfuncs.Before, "has no keys", "ssh-add", "nothing was sent")
		}},
		{"ssh-agent, ended", func(t *testing.T) {
			key := sshtest.NewKey()
			a := startAgent(t, key)
			e := a.endpoint(t, key)
			a.stop()
			wantError(t, a.pool(t), e, hostfuncs.AuthFailed, hostfuncs.Before, "does not answer", "nothing was sent")
		}},
	}
}

// keyAgent is an ssh-agent that runs.
type keyAgent struct {
	socket string
	stop   func()
}

// startAgent starts OpenSSH's agent and gives it keys.
func startAgent(t *testing.T, keys ...string) keyAgent {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") //nolint:usetesting // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	a := keyAgent{socket: filepath.Join(dir, "s")}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "ssh-agent", "-D", "-a", a.socket) //nolint:gosec // a path of the test
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a.stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	t.Cleanup(a.stop)
	eventually(t, "the agent's socket", func() bool { _, err := os.Stat(a.socket); return err == nil })
	for _, key := range keys {
		add := exec.CommandContext(t.Context(), "ssh-add", "-q", "-")
		add.Env, add.Stdin = append(os.Environ(), "SSH_AUTH_SOCK="+a.socket), strings.NewReader(key)
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("ssh-add: %v: %s", err, out)
		}
	}
	return a
}

func (a keyAgent) pool(t *testing.T) *ssh.Pool {
	t.Helper()
	o := patient()
	o.Agent = a.socket
	return pool(t, o)
}

func (a keyAgent) credential(user string) hostfuncs.Credential {
	return hostfuncs.Credential{Name: "held", Version: 1, Kind: "ssh_agent", Username: user}
}

// endpoint is an sshd that takes one key, with the agent's credential.
func (a keyAgent) endpoint(t *testing.T, takes string) ssh.Endpoint {
	t.Helper()
	srv := serverWith(t, sshtest.Config{Authorized: []string{public(t, takes)}})
	e := srv.Endpoint("web1")
	e.Credential = a.credential(srv.User)
	return e
}
