package ssh_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// revocationList makes one by ssh-keygen; ca "" is for keys alone.
func revocationList(t *testing.T, ca, spec string) []byte {
	t.Helper()
	dir := t.TempDir()
	list, argv := filepath.Join(dir, "krl"), []string{"-q", "-k", "-f", filepath.Join(dir, "krl")}
	if ca != "" {
		argv = append(argv, "-s", file(t, "ca.pub", ca+"\n"))
	}
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", append(argv, file(t, "spec", spec+"\n"))...).CombinedOutput(); err != nil { //nolint:gosec // the test's own words
		t.Fatalf("ssh-keygen -k: %v: %s", err, out)
	}
	b, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What a list of ssh-keygen revokes of a real sshd is not taken, whatever else
// trusts it, and nothing of a credential is sent.
func TestRevocationListOfHosts(t *testing.T) {
	t.Parallel()
	ca, other, key := sshtest.NewKey(), sshtest.NewKey(), sshtest.NewKey()
	srv := server(t, sshtest.Config{HostKeys: []string{key}, Options: []string{hostCertificate(t, ca, key, func(c *xssh.Certificate) { c.KeyId = "web1 of 2025" })}})
	pub, otherPub, caPub := mustPublic(t, key), mustPublic(t, other), mustPublic(t, ca)
	for name, tc := range map[string]struct {
		list []byte
		want string // "": it is taken
	}{
		"its key":             {revocationList(t, "", "key: "+pub), "its host key is revoked"},
		"its key's SHA-256":   {revocationList(t, "", "sha256: "+pub), "its host key is revoked"},
		"its key's SHA-1":     {revocationList(t, "", "sha1: "+pub), "its host key is revoked"},
		"another key":         {revocationList(t, "", "sha256: "+otherPub), ""},
		"its number":          {revocationList(t, caPub, "serial: 7"), "its certificate, number 7, is revoked by the revocation list"},
		"its number in a row": {revocationList(t, caPub, "serial: 5-9"), "its certificate, number 7, is revoked"},
		"another number":      {revocationList(t, caPub, "serial: 8-70"), ""},
		"another's number":    {revocationList(t, otherPub, "serial: 7"), ""},
		"its name":            {revocationList(t, caPub, "id: web1 of 2025"), "its certificate, number 7, is revoked"},
		"another name":        {revocationList(t, caPub, "id: web1"), ""},
		"its authority":       {revocationList(t, "", "sha256: "+caPub), "the authority that signed its certificate is revoked"},
		"nothing":             {revocationList(t, "", ""), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := endpoint(srv)
			e.HostKeys, e.Trust = nil, ssh.Trust{Authorities: []string{caPub}, KRL: tc.list}
			if tc.want == "" {
				run(t, pool(t, ssh.Options{}), e, ssh.Command{Argv: []string{"true"}})
				return
			}
			_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
			wantError(t, err, hostfuncs.HostKeyMismatch, hostfuncs.Before, tc.want, "no credential was sent", "web1")
		})
	}
	e := endpoint(srv)
	e.HostKeys, e.Trust = []string{pub}, ssh.Trust{KRL: revocationList(t, "", "key: "+pub)}
	_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.HostKeyMismatch, hostfuncs.Before, "its host key is revoked")
	e.Trust.KRL = e.Trust.KRL[:50]
	_, err = pool(t, ssh.Options{}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "the revocation list of web1", "nothing is trusted there", "ends too early")
}

// A credential that the list revokes is not offered, though the server has not heard
// of that and would take it.
func TestRevocationListOfUsers(t *testing.T) {
	t.Parallel()
	ca, key := sshtest.NewKey(), sshtest.NewKey()
	srv := server(t, sshtest.Config{Options: []string{"TrustedUserCAKeys " + file(t, "ca.pub", mustPublic(t, ca)+"\n")}})
	certified := endpoint(srv)
	certified.Credential.PrivateKey = secret(key)
	certified.Credential.Certificate = line(certificate(t, ca, key, func(c *xssh.Certificate) { c.ValidPrincipals, c.Serial = []string{srv.User}, 7 }))
	caPub := mustPublic(t, ca)
	for name, tc := range map[string]struct {
		e    ssh.Endpoint
		list []byte
		want string
	}{
		"certificate":        {certified, revocationList(t, caPub, "serial: 7"), "the certificate, number 7, is revoked"},
		"authority":          {certified, revocationList(t, "", "key: "+caPub), "the authority that signed the certificate is revoked"},
		"certificate's key":  {certified, revocationList(t, "", "key: "+mustPublic(t, key)), "its key is revoked"},
		"key":                {endpoint(srv), revocationList(t, "", "sha256: "+mustPublic(t, srv.ClientKey)), "its key is revoked"},
		"another's":          {certified, revocationList(t, caPub, "serial: 8"), ""},
		"another key, plain": {endpoint(srv), revocationList(t, "", "key: "+caPub), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.e.Trust.KRL = tc.list
			if tc.want == "" {
				run(t, pool(t, ssh.Options{}), tc.e, ssh.Command{Argv: []string{"true"}})
				return
			}
			_, err := pool(t, ssh.Options{}).Exec(t.Context(), tc.e, ssh.Command{Argv: []string{"true"}})
			wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, tc.want, "nothing was sent", "web1")
		})
	}
	// Of an agent's keys the others are offered.
	agent := endpoint(srv)
	agent.Credential = hostfuncs.Credential{Name: "agent", Version: 1, Kind: "ssh_agent", Username: srv.User}
	agent.Trust.KRL = revocationList(t, "", "key: "+mustPublic(t, key))
	run(t, pool(t, ssh.Options{Agent: agentWith(t, key, srv.ClientKey)}), agent, ssh.Command{Argv: []string{"true"}})
}
