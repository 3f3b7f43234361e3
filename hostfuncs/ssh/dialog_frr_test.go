package ssh_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// A real device program: vtysh of FRRouting on a real sshd. Its modes, its pager, what
// it refuses, and what it keeps.
func TestDialogWithFRR(t *testing.T) {
	t.Parallel()
	f := sshtest.ServeFRR(t)
	d, err := pool(t, ssh.Options{DialogQuiet: 200 * time.Millisecond}).Open(t.Context(), f.Endpoint("frr1"), ssh.DialogConfig{Platform: ssh.FRR, Privileged: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	for _, tc := range []struct {
		mode          ssh.Mode
		text, refused string
		ends          string // of the prompt
		says          string
	}{
		{"", "show version", "", "#", "FRRouting "},
		{"", "show nonsense", "% Unknown command: show nonsense", "#", ""},
		{"", "show", "% Command incomplete: show", "#", ""},
		{ssh.Configure, "router bgp 65001", "", "(config-router)#", ""},
		{"", "neighbor 192.0.2.9 activate", "% Specify remote-as or peer-group commands first", "(config-router)#", ""},
		{"", "neighbor 192.0.2.9 remote-as 65002", "", "(config-router)#", ""},
		{ssh.Configure, "router bgp 65009", "BGP is already running; AS is 65001", "#", ""},
		{ssh.Configure, "hostname edge9", "", "edge9(config)#", ""},
		{ssh.Privileged, "show running-config", "", "edge9#", "neighbor 192.0.2.9 remote-as 65002"},
		{ssh.Privileged, "write memory", "", "edge9#", "[OK]"},
		{ssh.Exec, "show version", "", "edge9>", "FRRouting "},
	} {
		r := send(t, d, ssh.Input{Mode: tc.mode, Text: tc.text})
		if r.Refused != tc.refused || !strings.HasSuffix(strings.TrimSpace(r.Prompt), tc.ends) || !strings.Contains(string(r.Output.Bytes), tc.says) {
			t.Errorf("%s: refused %q, prompt %q, output\n%s\nwant %+v", tc.text, r.Refused, r.Prompt, r.Output.Bytes, tc)
		}
	}
	kept, err := os.ReadFile(f.Config)
	if err != nil || !strings.Contains(string(kept), "neighbor 192.0.2.9 remote-as 65002") {
		t.Errorf("%v %s", err, kept)
	}
}
