package main_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	network "opsconductor.dev/plugins/network"
	"opsconductor.dev/sdk/go/step"
	"opsconductor.dev/sdk/go/steptest"
)

func TestManifest(t *testing.T) {
	t.Parallel()
	steptest.Manifest(t, ".", steptest.Actions{"show": network.Show, "configure": network.Configure, "facts": network.Facts})
}

func TestShow(t *testing.T) {
	t.Parallel()
	d := says(t, map[string]step.SSHSendResult{
		"show clock": {Output: "noon", OutputTruncated: true, DurationMS: 7}, "show odd": {Output: "^\n% Invalid", Refused: "% Invalid"},
	})
	in := network.ShowInput{
		Platform: "ios", Commands: []string{"show clock", "show odd", "show clock"}, AnyAnswer: true, Privileged: true,
		EnableCredential: "enable", Prompt: "x#", CommandTimeoutS: 1.5, MaxOutputBytes: 100, Stream: true,
	}
	got, failed := steptest.Call(d.h, network.Show, in)
	clock := network.Answer{Command: "show clock", Output: "noon", Truncated: true, DurationMS: 7}
	want := network.ShowOutput{Answers: []network.Answer{clock, {Command: "show odd", Output: "^\n% Invalid", Refused: "% Invalid"}, clock}}
	if diff := cmp.Diff(want, got); failed != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", failed, diff)
	}
	opened := []step.SSHOpenRequest{{Platform: "ios", Prompt: "x#", Privileged: true, EnableCredential: "enable", MaxOutputBytes: 100, Stream: true}}
	if diff := cmp.Diff(opened, d.opened); diff != "" || d.closed != 1 {
		t.Errorf("closed %d times, opened (-want +got):\n%s", d.closed, diff)
	}
	if diff := cmp.Diff(step.SSHSendRequest{Session: "1", Text: "show clock", TimeoutMS: 1500, MaxOutputBytes: 100}, d.sent[0]); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	in.AnyAnswer = false
	_, failed = steptest.Call(d.h, network.Show, in)
	wantFailure(t, "a command that is refused", failed, network.Refused, step.After, `"show odd": the device did not take it: % Invalid`)
	if failed.Retryable || d.closed != 2 || len(d.sent) != 5 {
		t.Errorf("retryable %t, closed %d times, sent %q", failed.Retryable, d.closed, d.typed())
	}
}

// What only reads may be sent again; the host does not know that it only reads.
func TestShowIsTriedAgain(t *testing.T) {
	t.Parallel()
	d := says(t, map[string]step.SSHSendResult{"show tech": {Closed: true}})
	_, failed := steptest.Call(d.h, network.Show, network.ShowInput{Platform: "ios", Commands: []string{"show tech"}})
	wantFailure(t, "a session that is lost", failed, step.Lost, step.After, `"show tech": it is gone`)
	if !failed.Retryable {
		t.Error("it is not retryable")
	}
}

// The action is pure: what may do more than read is not sent, and nothing else either.
func TestShowOnlyReads(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		platform, command string
		reads             bool
	}{
		{"ios", "show version", true},
		{"ios", "SH ver", true},
		{"ios", "sho ip bgp | include >", true},
		{"ios", "show interfaces | i up|down", true},
		{"ios", "show run | section ^router", true},
		{"nxos", "show interface | include up | count", true},
		{"junos", `show configuration | display set | match "a|b" | no-more`, true},
		{"junos", "show configuration | compare rollback 1", true},
		{"nxos", "show version | json-pretty", true},
		{"frr", "show bgp summary json", true},
		{"ios", "show", false},
		{"ios", "s version", false},
		{"ios", "shutdown now", false},
		{"ios", "reload", false},
		{"ios", "", false},
		{"ios", "show run | redirect tftp://192.0.2.1/x", false},
		{"ios", "show run|tee flash:x", false},
		{"ios", "show run | append flash:x", false},
		{"ios", "show run | include x | redir flash:x", false},
		{"junos", "show configuration | save /var/tmp/x", false},
		{"junos", "show configuration | match x | save /var/tmp/x", false},
		{"iosxr", "show run | file disk0:x", false},
		{"iosxr", "show run | utility x", false},
		{"nxos", "show run > bootflash:x", false},
		{"eos", "show run | json > flash:x", false},
		{"eos", "show run | bash x", false},
		{"nxos", "show clock ; reload", false},
		{"nxos", "show clock && reload", false},
		{"generic", "show $(reboot)", false},
		{"generic", "show `reboot`", false},
		{"generic", "show x > /etc/passwd", false},
		{"ios", "show ip ?", false},
		{"ios", "show ip\nreload", false},
		{"ios", "show run |", false},
	} {
		d := says(t, nil)
		_, failed := steptest.Call(d.h, network.Show, network.ShowInput{Platform: tc.platform, Commands: []string{"show clock", tc.command}})
		if tc.reads {
			if failed != nil || len(d.sent) != 2 {
				t.Errorf("%s, %q: %v, sent %q", tc.platform, tc.command, failed, d.typed())
			}
			continue
		}
		wantFailure(t, tc.platform+", "+tc.command, failed, step.BadRequest, step.Before, "/with/commands/1: ")
		if len(d.opened) != 0 {
			t.Errorf("%s, %q: a session was opened", tc.platform, tc.command)
		}
	}
}
