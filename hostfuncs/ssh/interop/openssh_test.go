package interop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// openssh are Debian's sshd with settings that change what a command meets.
func openssh() []row {
	plain := func(options ...string) func(*testing.T) {
		return func(t *testing.T) { echo(t, pool(t, patient()), server(t, options...).Endpoint("web1"), "it's") }
	}
	return []row{
		{"OpenSSH, defaults", plain()},
		{"OpenSSH, banner", func(t *testing.T) {
			plain("Banner " + file(t, "banner", "Authorised use only.\n\x1b[31mEverything is recorded.\n"))(t)
		}},
		{"OpenSSH, no AcceptEnv", environment},
		{"OpenSSH, no terminals", func(t *testing.T) {
			p, e := pool(t, patient()), server(t, "PermitTTY no").Endpoint("web1")
			echo(t, p, e, "no terminal needed")
			_, err := p.Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}, PTY: &ssh.Terminal{}})
			sshtest.WantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "terminal", "web1")
		}},
		{"OpenSSH, forced command", func(t *testing.T) {
			e := server(t, `ForceCommand echo "no logins here"; exit 0`).Endpoint("web1")
			wantError(t, pool(t, patient()), e, hostfuncs.Protocol, hostfuncs.After, "did not run the command", "no logins here", "exit code 0")
		}},
		{"OpenSSH, no sessions", func(t *testing.T) {
			wantError(t, pool(t, patient()), server(t, "MaxSessions 0").Endpoint("web1"), hostfuncs.Protocol, hostfuncs.Before, "refuses every session", "MaxSessions")
		}},
		{"OpenSSH, legacy algorithms only, profile legacy", func(t *testing.T) { legacy(t, ssh.Legacy) }},
		{"OpenSSH, legacy algorithms only, profile compatible", func(t *testing.T) {
			legacy(t, ssh.Compatible, "it offers diffie-hellman-group14-sha1", "profile legacy takes diffie-hellman-group14-sha1")
		}},
		{"OpenSSH, legacy algorithms only, profile modern", func(t *testing.T) {
			legacy(t, ssh.Modern, "for key exchange", "it offers diffie-hellman-group14-sha1", "opsconductor asset update web1 --ssh-profile legacy")
		}},
	}
}

// environment: a server that takes no variable gives the command all of them.
func environment(t *testing.T) {
	c := ssh.Command{
		Argv: []string{"sh", "-c", `printf %s "$GREETING"; exit "${CODE}"`},
		Env:  map[string]string{"GREETING": "it's \"$HOME\"\n`x`\\", "CODE": "4"},
	}
	wantResult(t, pool(t, patient()), server(t).Endpoint("web1"), c, c.Env["GREETING"], "", 4)
}

// legacy is an sshd that has old algorithms alone; without words the profile takes them.
func legacy(t *testing.T, profile ssh.Profile, words ...string) {
	t.Helper()
	key := rsaKey(t)
	srv := serverWith(t, sshtest.Config{HostKeys: []string{key}, Authorized: []string{public(t, key)}, Options: []string{
		"KexAlgorithms diffie-hellman-group14-sha1", "Ciphers aes128-cbc,3des-cbc", "MACs hmac-sha1-96", "HostKeyAlgorithms ssh-rsa", "PubkeyAcceptedAlgorithms ssh-rsa",
	}})
	e := srv.Endpoint("web1")
	e.Profile, e.Credential.PrivateKey = profile, sshtest.Plain(key)
	if words == nil {
		echo(t, pool(t, patient()), e, "old, and works")
		return
	}
	wantError(t, pool(t, patient()), e, hostfuncs.AlgorithmMismatch, hostfuncs.Before, words...)
}

// limits are sshd's own limits: all commands run, whatever it takes at a time.
func limits() []row {
	many := func(most int, options ...string) func(*testing.T) {
		return func(t *testing.T) {
			srv := server(t, options...)
			px, err := sshtest.StartProxy(srv.Addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(px.Stop)
			e := srv.Endpoint("web1")
			e.Port = px.Port
			p := pool(t, patient())
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() { echo(t, p, e, fmt.Sprint(i)) })
			}
			wg.Wait()
			if n := px.Connections(); n > most {
				t.Errorf("%d connections for 20 commands, want at most %d", n, most)
			}
		}
	}
	return []row{
		{"OpenSSH, MaxSessions 1", many(24, "MaxSessions 1")},
		{"OpenSSH, MaxSessions 2", many(24, "MaxSessions 2")},
		{"OpenSSH, MaxSessions 10", many(8, "MaxSessions 10")},
		{"OpenSSH, MaxStartups 2", many(200, "MaxSessions 1", "MaxStartups 2:100:2")},
		{"OpenSSH, MaxAuthTries 1", many(8, "MaxAuthTries 1")},
	}
}

// file writes a file that a server reads.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// rsaKey returns a fresh RSA private key as PEM.
func rsaKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	return written(t, key, err)
}

// ecdsaKey returns a fresh ECDSA private key as PEM.
func ecdsaKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return written(t, key, err)
}

func written(t *testing.T, key any, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	block, err := xssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}
