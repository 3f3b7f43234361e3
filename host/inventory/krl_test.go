package inventory_test

import (
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/inventory"
)

// A revocation list is read when the asset is stored; what is wrong with it is one
// error beside those of the rest.
func TestRevocationListIsChecked(t *testing.T) {
	t.Parallel()
	empty := append([]byte("SSHKRL\n\x00\x00\x00\x00\x01"), make([]byte, 32)...)
	for name, tc := range map[string]struct {
		list []byte
		want []string
	}{
		"empty":   {empty, []string{"/ssh/profile"}},
		"none":    {nil, []string{"/ssh/profile"}},
		"cut":     {empty[:30], []string{"/ssh/profile", "/ssh/krl"}},
		"another": {[]byte("ssh-ed25519 AAAA"), []string{"/ssh/profile", "/ssh/krl"}},
	} {
		got := inventory.Validate(automation.Asset{
			Name: "web1", Address: "10.0.0.7", Port: 22, Protocol: automation.ProtocolSSH, OS: "linux", SSH: automation.AssetSSH{Profile: "odd", KRL: tc.list},
		})
		var pointers []string
		for _, e := range got {
			pointers = append(pointers, e.Pointer)
		}
		if len(pointers) != len(tc.want) || pointers[len(pointers)-1] != tc.want[len(tc.want)-1] {
			t.Errorf("%s: errors at %q, want %q", name, pointers, tc.want)
		}
	}
}
