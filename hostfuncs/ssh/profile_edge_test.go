package ssh_test

import (
	"slices"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// What each profile has beside the one before it: a change here is one of who is
// reached, and how safely.
func TestProfilesAreExact(t *testing.T) {
	t.Parallel()
	certs := func(names string) string {
		var out []string
		for n := range strings.FieldsSeq(names) {
			out = append(out, n+"-cert-v01@openssh.com")
		}
		return names + " " + strings.Join(out, " ")
	}
	want := map[ssh.Profile]string{
		ssh.Modern: "mlkem768x25519-sha256 curve25519-sha256 aes128-gcm@openssh.com aes256-gcm@openssh.com chacha20-poly1305@openssh.com " +
			"hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com " +
			certs("ssh-ed25519 ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521 rsa-sha2-512 rsa-sha2-256"),
		ssh.Compatible: "ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521 diffie-hellman-group16-sha512 diffie-hellman-group14-sha256 " +
			"diffie-hellman-group-exchange-sha256 aes128-ctr aes192-ctr aes256-ctr hmac-sha2-256 hmac-sha2-512 hmac-sha1",
		ssh.Legacy: "diffie-hellman-group14-sha1 diffie-hellman-group-exchange-sha1 diffie-hellman-group1-sha1 aes128-cbc 3des-cbc hmac-sha1-96 " + certs("ssh-rsa"),
	}
	var all []string
	for _, p := range ssh.Profiles() {
		all = append(all, strings.Fields(want[p])...)
		slices.Sort(all)
		got := slices.Clone(ssh.AlgorithmsOf(p))
		if slices.Sort(got); !slices.Equal(got, all) {
			t.Errorf("profile %s has %q, want %q", p, got, all)
		}
	}
}

// The profile's integrity checks are asked for too, where the cipher has none of its own.
func TestProfileOfMACs(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{Options: []string{"Ciphers aes256-ctr", "MACs hmac-sha1-96"}})
	e := endpoint(srv)
	_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, truth)
	wantError(t, err, hostfuncs.AlgorithmMismatch, hostfuncs.Before, "MAC in common: it offers hmac-sha1-96", "profile legacy takes hmac-sha1-96: opsconductor asset update web1 --ssh-profile legacy")
	e.Profile = ssh.Legacy
	run(t, pool(t, ssh.Options{}), e, truth)
}

// A newer state of one target is none of another's, though both have the same
// credential; and a target without a name has no states.
func TestAnotherSupersedesNothing(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(one, other *ssh.Endpoint){
		"another name":        func(_, other *ssh.Endpoint) { other.Name = "web2" },
		"another credential":  func(_, other *ssh.Endpoint) { other.Credential.Name = "other" },
		"without a name each": func(one, other *ssh.Endpoint) { one.Name, other.Name = "", "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			px, one := proxied(t, sshtest.Config{})
			other := one
			other.Revision, other.HostKeys = one.Revision+1, append([]string{mustPublic(t, sshtest.NewKey())}, one.HostKeys...)
			edit(&one, &other)
			p := pool(t, ssh.Options{})
			for _, e := range []ssh.Endpoint{one, other, one} {
				run(t, p, e, truth)
			}
			if n := px.Connections(); n != 2 {
				t.Errorf("%d connections, want 2: both stay", n)
			}
		})
	}
}
