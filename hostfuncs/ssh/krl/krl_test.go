package krl_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs/ssh/krl"
)

// keygen runs OpenSSH's ssh-keygen in a folder.
func keygen(t testing.TB, dir string, argv ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", argv...) //nolint:gosec // the test's own words
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen %q: %v: %s", argv, err, out)
	}
	return string(out)
}

// newKey makes a key pair, whose public half has the name and .pub.
func newKey(t testing.TB, dir, name, kind string) []byte {
	t.Helper()
	keygen(t, dir, "-q", "-t", kind, "-N", "", "-C", name, "-f", name)
	return blob(t, filepath.Join(dir, name+".pub"))
}

func blob(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out, err := base64.StdEncoding.DecodeString(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// made makes a list by ssh-keygen from what it reads.
func made(t testing.TB, dir, spec string, argv ...string) []byte {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "spec"), []byte(spec), 0o600); err != nil {
		t.Fatal(err)
	}
	keygen(t, dir, append(append([]string{"-q", "-k", "-f", "krl", "-z", "5"}, argv...), "spec")...)
	b, err := os.ReadFile(filepath.Join(dir, "krl"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parsed(t testing.TB, b []byte) *krl.List {
	t.Helper()
	l, err := krl.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"key", "sha1", "sha256", "hash"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			gone, kept := newKey(t, dir, "gone", "ed25519"), newKey(t, dir, "kept", "ecdsa")
			line, err := os.ReadFile(filepath.Join(dir, "gone.pub"))
			if err != nil {
				t.Fatal(err)
			}
			spec := how + ": " + string(line)
			if how == "hash" {
				spec = "hash: " + strings.Fields(keygen(t, dir, "-lf", "gone.pub"))[1] + "\n"
			}
			l := parsed(t, made(t, dir, spec))
			if !l.Key(gone) || l.Key(kept) || l.Version != 5 {
				t.Errorf("revoked: %t, another: %t, version %d; want true, false, 5", l.Key(gone), l.Key(kept), l.Version)
			}
		})
	}
}

// TestCertificates compares each serial number and key ID with what ssh-keygen -Q
// says of a certificate that has it.
func TestCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, other := newKey(t, dir, "ca", "ed25519"), newKey(t, dir, "other", "ed25519")
	newKey(t, dir, "host", "ed25519")
	var spec strings.Builder
	spec.WriteString("id: laptop of mallory\nserial: 7\nserial: 100-200\nserial: 9223372036854775808-9223372036854775900\nserial: 18446744073709551615\n")
	for n := 1000; n < 1200; n += 3 { // a bitmap
		fmt.Fprintf(&spec, "serial: %d\n", n)
	}
	list := made(t, dir, spec.String(), "-s", "ca.pub")
	l := parsed(t, list)
	serials := []uint64{0, 1, 6, 7, 8, 99, 100, 150, 200, 201, 999, 1000, 1001, 1002, 1003, 1198, 1199, 1 << 63, 1<<63 + 92, 1<<63 + 93, 1<<64 - 2, 1<<64 - 1}
	for _, serial := range serials {
		for _, id := range []string{"good", "laptop of mallory"} {
			os.Remove(filepath.Join(dir, "host-cert.pub")) //nolint:errcheck,gosec // it may not be there
			keygen(t, dir, "-q", "-s", "ca", "-h", "-I", id, "-n", "h", "-z", fmt.Sprint(serial), "host.pub")
			said, _ := exec.CommandContext(t.Context(), "ssh-keygen", "-Q", "-f", filepath.Join(dir, "krl"), filepath.Join(dir, "host-cert.pub")).CombinedOutput() //nolint:gosec // the test's own words
			want := strings.Contains(string(said), "REVOKED")
			if got := l.Certificate(ca, serial, id); got != want {
				t.Errorf("number %d with ID %q: revoked %t, and ssh-keygen says %s", serial, id, got, said)
			}
			if l.Certificate(other, serial, id) {
				t.Errorf("number %d with ID %q of another authority is revoked", serial, id)
			}
		}
	}
	if !l.Certificate(ca, 7, "x") || l.Certificate(ca, 8, "x") || !l.Certificate(ca, 8, "laptop of mallory") || !l.Certificate(ca, 1003, "x") {
		t.Error("number 7, 1003 and the ID have to be revoked, and number 8 not")
	}
}

// A list for all authorities revokes by key ID, and one of nothing revokes nothing.
func TestAllAuthoritiesAndNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := newKey(t, dir, "ca", "rsa")
	if l := parsed(t, made(t, dir, "id: mallory\n", "-s", "none")); !l.Certificate(ca, 1, "mallory") || l.Certificate(ca, 1, "alice") {
		t.Error("the ID has to be revoked for every authority, and no other")
	}
	l := parsed(t, made(t, dir, ""))
	if l.Key(ca) || l.Certificate(ca, 1, "mallory") || (*krl.List)(nil).Key(ca) || (*krl.List)(nil).Certificate(ca, 1, "x") {
		t.Error("an empty list revokes something")
	}
}

// built is a list of sections, each a kind and its body.
func built(sections ...[]byte) []byte {
	out := append([]byte("SSHKRL\n\x00"), 0, 0, 0, 1)
	out = append(out, make([]byte, 24)...)
	out = append(out, make([]byte, 8)...) // reserved, comment
	return append(out, bytes.Join(sections, nil)...)
}

func section(kind byte, parts ...[]byte) []byte {
	return append([]byte{kind}, str(bytes.Join(parts, nil))...)
}

func str(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) //nolint:gosec // short
}

func num(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	none := []byte{0, 0, 0, 0}
	ca := append(str([]byte("ssh-ed25519")), str(make([]byte, 32))...)
	cert := append(str([]byte("ssh-ed25519-cert-v01@openssh.com")), str(make([]byte, 32))...)
	certs := func(sub ...[]byte) []byte { return section(1, append([][]byte{str(ca), none}, sub...)...) }
	for name, tc := range map[string]struct {
		list  []byte
		words string
	}{
		"nothing":                        {nil, "ssh-keygen -k"},
		"another file":                   {[]byte("ssh-ed25519 AAAA\n"), "ssh-keygen -k"},
		"too long":                       {append(built(), make([]byte, krl.MaxBytes)...), "32768"},
		"cut in the header":              {built()[:20], "ends too early"},
		"cut in a section":               {built(section(2, str(ca)))[:60], "ends too early"},
		"another version":                {append([]byte("SSHKRL\n\x00\x00\x00\x00\x02"), make([]byte, 40)...), "version 2"},
		"unknown section":                {built(section(9, none)), "unknown kind 9"},
		"signature":                      {built(section(4, none)), "signed"},
		"critical extension":             {built(section(255, str([]byte("x@y")), []byte{1}, none)), "must be understood"},
		"unknown section of certs":       {built(certs(section(0x24, none))), "unknown kind 0x24"},
		"critical extension of certs":    {built(certs(section(0x39, str([]byte("x@y")), []byte{1}, none))), "must be understood"},
		"range that ends first":          {built(certs(section(0x21, num(2), num(1)))), "ends before it begins"},
		"bitmap beyond the last":         {built(certs(section(0x22, num(1<<64-1), str([]byte{1, 1})))), "beyond the last number"},
		"half a serial number":           {built(certs(section(0x20, num(1), []byte{1}))), "ends too early"},
		"no key IDs":                     {built(certs(section(0x23))), "at least one key ID"},
		"no keys":                        {built(section(2)), "at least one key"},
		"a certificate as key":           {built(section(2, str(cert))), "a key in it is none"},
		"a short SHA-256":                {built(section(5, str(make([]byte, 20)))), "SHA-256 fingerprint in it is none"},
		"a long SHA-1":                   {built(section(3, str(make([]byte, 32)))), "SHA-1 fingerprint in it is none"},
		"a certificate as the authority": {built(section(1, str(cert), none)), "an authority in it"},
	} {
		if _, err := krl.Parse(tc.list); err == nil || !strings.Contains(err.Error(), tc.words) {
			t.Errorf("%s: %v, want %q", name, err, tc.words)
		}
	}
	unnumbered, err := krl.Parse(built(certs(section(0x21, num(0), num(9)))))
	if err != nil || unnumbered.Certificate(ca, 0, "") || !unnumbered.Certificate(ca, 9, "") {
		t.Errorf("numbers 0 to 9 (%v): a certificate without a number is revoked, or number 9 is not", err)
	}
	for name, list := range map[string][]byte{
		"extension":          built(section(255, str([]byte("x@y")), []byte{0}, str([]byte("z")))),
		"extension of certs": built(certs(section(0x39, str([]byte("x@y")), []byte{0}, none))),
		"empty bitmap":       built(certs(section(0x22, num(1<<64-1), none))),
		"bitmap to the end":  built(certs(section(0x22, num(1<<64-8), str([]byte{0, 0x80})))),
	} {
		l, err := krl.Parse(list)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if name == "bitmap to the end" && (!l.Certificate(ca, 1<<64-1, "") || l.Certificate(ca, 1<<64-2, "")) {
			t.Errorf("%s: the last number has to be revoked, and not the one before", name)
		}
	}
}

// FuzzParse: no list makes the reader fail in another way than by an error, and what it
// takes it takes again.
func FuzzParse(f *testing.F) {
	dir := f.TempDir()
	ca := newKey(f, dir, "ca", "ed25519")
	line, err := os.ReadFile(filepath.Join(dir, "ca.pub"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(made(f, dir, "serial: 7\nserial: 9-1000\nserial: 1003\nid: x\n", "-s", "ca.pub"))
	f.Add(made(f, dir, "key: "+string(line)+"sha1: "+string(line)+"sha256: "+string(line)))
	f.Add(built(section(255, str([]byte("x@y")), []byte{0}, str([]byte("z")))))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := krl.Parse(b)
		if err != nil {
			if l != nil {
				t.Error("half a list came with the error")
			}
			return
		}
		l.Key(ca)
		l.Certificate(ca, 7, "x")
	})
}
