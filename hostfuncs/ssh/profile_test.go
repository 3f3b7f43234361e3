package ssh_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// Each profile against a real sshd that has algorithms of one kind alone.
func TestProfiles(t *testing.T) {
	t.Parallel()
	rsaKey := pemKey(t, "rsa", "")
	old := []string{"KexAlgorithms diffie-hellman-group14-sha1", "Ciphers aes128-cbc,3des-cbc", "MACs hmac-sha1-96", "HostKeyAlgorithms ssh-rsa", "PubkeyAcceptedAlgorithms ssh-rsa"}
	for name, tc := range map[string]struct {
		options []string
		takes   []ssh.Profile
		words   []string // of the error of the strictest
	}{
		"modern":     {options: []string{"KexAlgorithms curve25519-sha256", "Ciphers aes256-gcm@openssh.com", "HostKeyAlgorithms rsa-sha2-512"}, takes: []ssh.Profile{ssh.Modern, "", ssh.Compatible, ssh.Legacy}},
		"compatible": {options: []string{"KexAlgorithms diffie-hellman-group14-sha256", "Ciphers aes256-ctr", "MACs hmac-sha2-256"}, takes: []ssh.Profile{"", ssh.Compatible, ssh.Legacy}, words: []string{"for key exchange", "it offers diffie-hellman-group14-sha256", "by profile modern", "profile compatible takes diffie-hellman-group14-sha256: opsconductor asset update web1 --ssh-profile compatible"}},
		"legacy":     {options: old, takes: []ssh.Profile{ssh.Legacy}, words: []string{"it offers diffie-hellman-group14-sha1", "profile legacy takes diffie-hellman-group14-sha1"}},
		"cbc":        {options: []string{"Ciphers aes128-cbc"}, takes: []ssh.Profile{ssh.Legacy}, words: []string{"client to server cipher", "profile legacy takes aes128-cbc"}},
		"sha-1 keys": {options: []string{"HostKeyAlgorithms ssh-rsa"}, takes: []ssh.Profile{ssh.Legacy}},
		"none":       {options: []string{"Ciphers aes192-cbc,aes256-cbc"}, words: []string{"it offers aes192-cbc, aes256-cbc", "no profile of this host takes any of these"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := server(t, sshtest.Config{Options: tc.options, HostKeys: []string{rsaKey}, Authorized: []string{mustPublic(t, rsaKey)}})
			for _, profile := range []ssh.Profile{ssh.Modern, "", ssh.Compatible, ssh.Legacy} {
				e := endpoint(srv)
				e.Profile, e.Credential.PrivateKey = profile, secret(rsaKey)
				_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
				takes := strings.Contains(strings.Join(names(tc.takes), " ")+" ", string(profile)+" ") && (profile != "" || len(tc.takes) > 2)
				switch {
				case takes && err != nil:
					t.Errorf("profile %q: %v", profile, err)
				case !takes && name == "sha-1 keys":
					wantError(t, err, hostfuncs.HostKeyMismatch, hostfuncs.Before, "ssh-rsa", "no credential was sent")
				case !takes && profile == ssh.Modern:
					wantError(t, err, hostfuncs.AlgorithmMismatch, hostfuncs.Before, tc.words...)
				case !takes:
					wantError(t, err, hostfuncs.AlgorithmMismatch, hostfuncs.Before, "it offers")
				}
			}
		})
	}
	e := endpoint(server(t, sshtest.Config{}))
	e.Profile = "ancient"
	_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "known are modern, compatible and legacy")
}

func names(list []ssh.Profile) []string {
	var out []string
	for _, p := range list {
		out = append(out, string(p))
	}
	return out
}

// No profile has what is broken beyond use.
func TestProfileLists(t *testing.T) {
	t.Parallel()
	for _, p := range ssh.Profiles() {
		for _, a := range ssh.AlgorithmsOf(p) {
			for _, bad := range []string{"arcfour", "none", "dss", "md5"} {
				if strings.Contains(a, bad) {
					t.Errorf("profile %s has %s", p, a)
				}
			}
			if weak := strings.HasSuffix(a, "-sha1") && !strings.HasPrefix(a, "hmac") || strings.HasSuffix(a, "cbc") || a == "ssh-rsa" || strings.HasSuffix(a, "sha1-96"); weak && p != ssh.Legacy {
				t.Errorf("profile %s has %s", p, a)
			}
		}
	}
}

// dropbear is another implementation.
func TestDropbear(t *testing.T) {
	t.Parallel()
	d, err := sshtest.StartDropbear(context.WithoutCancel(t.Context()), t.TempDir())
	if errors.Is(err, sshtest.ErrNoDropbear) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	e := ssh.Endpoint{
		Tenant: "default", Name: "drop1", Host: d.Host, Port: d.Port, HostKeys: []string{d.HostKey}, Check: allow,
		Credential: hostfuncs.Credential{Name: "key", Version: 1, Kind: "ssh_key", Username: "opsconductor-nobody", PrivateKey: secret(sshtest.NewKey())},
	}
	for _, p := range ssh.Profiles() { // key exchange and host key are good; the key is not known there
		e.Profile = p
		_, err := pool(t, ssh.Options{}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
		wantError(t, err, hostfuncs.AuthFailed, hostfuncs.Before, "drop1", "publickey")
	}
	e.HostKeys = []string{mustPublic(t, sshtest.NewKey())}
	_, err = pool(t, ssh.Options{}).Exec(t.Context(), e, ssh.Command{Argv: []string{"true"}})
	wantError(t, err, hostfuncs.HostKeyMismatch, hostfuncs.Before, "no credential was sent")
}
