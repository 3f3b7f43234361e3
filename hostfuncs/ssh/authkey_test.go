package ssh_test

import (
	"os"
	"strings"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// The key that logs in signs by the profile's algorithms, whatever else the server would
// take: by SHA-1 with profile legacy alone.
func TestKeySignsByProfile(t *testing.T) {
	t.Parallel()
	key := pemKey(t, "rsa", "")
	for _, profile := range []ssh.Profile{ssh.Modern, "", ssh.Compatible, ssh.Legacy} {
		d, e := serveDesk(t, func(_ *desk, c *xssh.ServerConfig) {
			c.PublicKeyAuthAlgorithms = []string{xssh.KeyAlgoRSA}
			c.PublicKeyCallback = func(xssh.ConnMetadata, xssh.PublicKey) (*xssh.Permissions, error) { return nil, nil } //nolint:nilnil // taken
		})
		e.Profile, e.Credential.PrivateKey = profile, secret(key)
		_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, truth)
		if _, passed := d.seen(); passed != (profile == ssh.Legacy) {
			t.Errorf("profile %q logs in: %t (%v)", profile, passed, err)
		}
	}
}

// A certificate is offered before its key, which is offered too.
func TestCertificateFirst(t *testing.T) {
	t.Parallel()
	ca := sshtest.NewKey()
	both := server(t, sshtest.Config{Options: []string{"TrustedUserCAKeys " + file(t, "ca.pub", mustPublic(t, ca)+"\n"), "LogLevel VERBOSE"}})
	plain := server(t, sshtest.Config{Options: []string{"LogLevel VERBOSE"}})
	for srv, want := range map[*sshtest.Server]string{both: "ED25519-CERT", plain: "ED25519"} {
		e := endpoint(srv)
		e.Credential.Certificate = line(certificate(t, ca, srv.ClientKey, func(c *xssh.Certificate) { c.ValidPrincipals = []string{srv.User} }))
		run(t, pool(t, ssh.Options{}), e, truth)
		log, err := os.ReadFile(srv.LogFile)
		if err != nil {
			t.Fatal(err)
		}
		_, accepted, _ := strings.Cut(string(log), "Accepted publickey for ")
		if _, by, _ := strings.Cut(accepted, "ssh2: "); !strings.HasPrefix(by, want+" ") {
			t.Errorf("it was let in by %.60q, want %s", by, want)
		}
	}
}
