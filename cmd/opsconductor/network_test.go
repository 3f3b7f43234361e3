package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// enableSecret is the password that fake devices take for enable.
const enableSecret = "canary-0815-enable"

// device starts a fake network device and makes it an asset.
func (s *server) device(t *testing.T, name string, d sshtest.Device) *sshtest.Fake {
	t.Helper()
	f := sshtest.ServeFake(t, sshtest.FakeConfig{Device: &d})
	s.must(t, "asset", "create", name, "--address", f.Host, "--port", fmt.Sprint(f.Port), "--os", "network", "--tag", "net", "--credential", "login", "--host-key", f.HostKey)
	return f
}

// devices gives a host the credentials of fake devices, and leave for the plugin to use
// the one for enable.
func (s *server) devices(t *testing.T) {
	t.Helper()
	s.mustWith(t, sshtest.Password, "credential", "create", "login", "--kind", "password", "--username", "tester", "--password-stdin", "--asset", "*")
	s.mustWith(t, enableSecret, "credential", "create", "enable", "--kind", "password", "--username", "tester", "--password-stdin", "--asset", "*")
	s.must(t, "plugin", "activate", "network", "--grant", "ssh_open:targets=*;credentials=enable", "--grant", "ssh_send:targets=*", "--grant", "ssh_close:targets=*")
}

// on runs one step on a device and returns its item.
func (s *server) on(t *testing.T, device, step string) item {
	t.Helper()
	file := write(t, `
schema: opsconductor/v1
name: devices
targets: {select: "asset.name == '`+device+`'"}
steps:
  - {id: it, for_each: {in: targets}, `+step+`}
`)
	run := runID(t, s.must(t, "run", "submit", file, "--output", "json"))
	eventually(t, "the item's end", func() bool {
		i := s.items(t, run)["it/"+device]
		return slices.Contains([]string{"succeeded", "failed", "cancelled", "unknown"}, i.State)
	})
	return s.items(t, run)["it/"+device]
}

const (
	shown  = "Cisco IOS Software, C2960 Software (C2960-LANBASEK9-M), Version 15.0(2)SE11, RELEASE SOFTWARE (fc3)\nrouter1 uptime is 1 day, 2 hours\n"
	leaked = "the secret is " + enableSecret + "\n"
)

func interfaces() string {
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, "ge-0/0/%d up\n", i)
	}
	return b.String()
}

// TestNetworkPlugin: what people do with network devices, and all ways in which they
// go wrong, each with its code and words; and nothing of a password in what is left.
func TestNetworkPlugin(t *testing.T) {
	t.Parallel()
	onBoth(t, testNetworkPlugin)
}

func testNetworkPlugin(t *testing.T, start func(...string) *server) {
	t.Helper()
	host := start("--log-level", "debug")
	host.devices(t)
	cisco := sshtest.Device{
		Enable: enableSecret, Banner: "\nAuthorized users only>\n", EchoDelay: 60 * time.Millisecond,
		Outputs: map[string]string{
			"show version": shown, "show secret": leaked, "show leak": "% Invalid input: " + enableSecret + "\n", "write memory": "Building configuration...\n[OK]\n",
			"no ip domain": "% Warning: lookups end\n",
		},
	}
	sw := host.device(t, "sw1", cisco)
	edge := host.device(t, "edge1", sshtest.Device{Junos: true, Stubborn: true, Color: true, Outputs: map[string]string{
		"show interfaces terse": interfaces(), "set system host-name edge9": "", "rollback 0": "load complete\n",
	}})
	t.Run("show", func(t *testing.T) { showDevices(t, host, sw) })
	t.Run("configure", func(t *testing.T) { configureDevices(t, host, sw, edge) })
	t.Run("lost", func(t *testing.T) { loseDevices(t, host) })
	t.Run("secrets", func(t *testing.T) { noSecretIsLeft(t, host) })
}

type answers struct {
	Answers []struct{ Command, Output, Refused string }
}

func showDevices(t *testing.T, host *server, sw *sshtest.Fake) {
	t.Helper()
	i := host.on(t, "sw1", `uses: network.show@1, with: {platform: ios, commands: [show version, show secret], privileged: true, enable_credential: enable, stream: true}`)
	if got := decode[answers](t, string(i.Output)).Answers; i.State != "succeeded" || len(got) != 2 || got[0].Output != strings.TrimSpace(shown) || got[1].Output != "the secret is [redacted]" {
		t.Errorf("sw1: %s %+v %+v", i.State, i.Error, got)
	}
	i = host.on(t, "edge1", `uses: network.show@1, with: {platform: junos, commands: [show interfaces terse, show nonsense], any_answer: true}`)
	got := decode[answers](t, string(i.Output)).Answers
	if i.State != "succeeded" || len(got) != 2 || got[0].Output != strings.TrimSpace(interfaces()) || got[1].Refused != "unknown command." {
		t.Errorf("edge1: %s %+v %+v", i.State, i.Error, got)
	}
	i = host.on(t, "sw1", `uses: network.facts@1, with: {platform: ios}`)
	facts := `{"platform":"ios","hostname":"router1","model":null,"version":"15.0(2)SE11","serial":null,"uptime_s":93600}`
	if d := cmp.Diff(decode[map[string]any](t, facts), decode[map[string]any](t, string(i.Output))); d != "" {
		t.Errorf("facts (-want +got):\n%s %+v", d, i.Error)
	}
	before := len(sw.Typed())
	for step, words := range map[string][]string{
		`uses: network.show@1, with: {platform: ios, commands: [show version, show nonsense]}`:                              {"refused", `"show nonsense": the device did not take it: % Invalid input detected at '^' marker.`},
		`uses: network.show@1, with: {platform: ios, commands: [show leak], privileged: true, enable_credential: enable}`:   {"refused", `"show leak": the device did not take it: % Invalid input: [redacted]`},
		`uses: network.show@1, with: {platform: ios, commands: [show version], privileged: true}`:                           {"become_failed", "there is none"},
		`uses: network.show@1, with: {platform: ios, commands: [show version], privileged: true, enable_credential: login}`: {"denied", "login"},
		`uses: network.show@1, with: {platform: ios, commands: [reload, "show run | redirect tftp://x", show clock]}`:       {"bad_request", "/with/commands/0: it does not begin with show", "/with/commands/1: what stands after |"},
		`uses: network.facts@1, with: {platform: frr}`:                                                                      {"not_understood", "platform frr"},
	} {
		i := host.on(t, "sw1", step)
		wantFailed(t, step, i, "failed", words...)
	}
	if typed := sw.Typed()[before:]; slices.Contains(typed, "reload") {
		t.Errorf("it was sent all the same: %q", typed)
	}
}

// wantFailed checks an item's state, and its error's code and words.
func wantFailed(t *testing.T, what string, i item, state string, words ...string) {
	t.Helper()
	if i.State != state || i.Error == nil || i.Error.Code != words[0] {
		t.Errorf("%s: got %s %+v, want %s with %s", what, i.State, i.Error, state, words[0])
		return
	}
	for _, w := range words[1:] {
		if !strings.Contains(i.Error.Message, w) {
			t.Errorf("%s: %q does not say %q", what, i.Error.Message, w)
		}
	}
}

func configureDevices(t *testing.T, host *server, sw, edge *sshtest.Fake) {
	t.Helper()
	i := host.on(t, "sw1", `uses: network.configure@1, with: {platform: ios, lines: [interface Ethernet1, no ip domain, interface Ethernet2], save: true, enable_credential: enable}`)
	if got, want := string(i.Output), `{"lines":3,"said":[{"line":2,"output":"% Warning: lookups end"}],"saved":true}`; i.State != "succeeded" || cmp.Diff(decode[any](t, want), decode[any](t, got)) != "" {
		t.Errorf("sw1: %s %s %+v, want %s", i.State, got, i.Error, want)
	}
	if typed := sw.Typed(); !slices.Contains(typed, "write memory") {
		t.Errorf("it was not saved: %q", typed)
	}
	i = host.on(t, "sw1", `uses: network.configure@1, with: {platform: ios, lines: [interface Ethernet1, key 7 hush-hush, interface Ethernet3], save: true, enable_credential: enable}`)
	wantFailed(t, "a line that is refused", i, "failed", "refused", "line 2 of 3 (key …): the device did not take it: % Invalid input", "the lines before that (1) are in force, and nothing was saved")
	if strings.Contains(i.Error.Message, "hush") || slices.Contains(sw.Typed(), "interface Ethernet3") {
		t.Errorf("%q, typed %q", i.Error.Message, sw.Typed())
	}
	i = host.on(t, "sw1", `uses: network.configure@1, with: {platform: ios, lines: [reload], enable_credential: enable}`)
	wantFailed(t, "a question", i, "failed", "question", "line 1 of 1 (reload): the device asks \"Proceed with reload? [confirm]\"", "no line was taken")
	i = host.on(t, "sw1", `uses: network.configure@1, with: {platform: ios, lines: [interface Ethernet1]}`)
	wantFailed(t, "no password for enable", i, "failed", "become_failed", "there is none")
	i = host.on(t, "edge1", `uses: network.configure@1, with: {platform: junos, lines: [set system host-name edge9]}`)
	if got := string(i.Output); i.State != "succeeded" || cmp.Diff(decode[any](t, `{"lines":1,"said":[],"saved":true}`), decode[any](t, got)) != "" {
		t.Errorf("edge1: %s %s %+v", i.State, got, i.Error)
	}
	commits := strings.Count(strings.Join(edge.Typed(), "\n"), "commit")
	i = host.on(t, "edge1", `uses: network.configure@1, with: {platform: junos, lines: [set system host-name edge9, set nonsense]}`)
	wantFailed(t, "a candidate that is refused", i, "failed", "refused", "line 2 of 2 (set …)", "unknown command.", "nothing was committed, and the candidate was discarded")
	if n := strings.Count(strings.Join(edge.Typed(), "\n"), "commit"); n != commits || commits != 1 {
		t.Errorf("%d commits, then %d: %q", commits, n, edge.Typed())
	}
	if typed := edge.Typed(); !slices.Contains(typed, "rollback 0") {
		t.Errorf("the candidate was not discarded: %q", typed)
	}
}

// loseDevices has devices reboot and hang in mid-command. What only reads has failed
// and is tried again; what may have acted is unknown, and is not.
func loseDevices(t *testing.T, host *server) {
	t.Helper()
	host.device(t, "sw2", sshtest.Device{Cut: "show tech", Hang: "show hang"})
	i := host.on(t, "sw2", `uses: network.show@1, retry: {max_attempts: 2, backoff: {initial: 10ms}}, with: {platform: ios, commands: [show tech]}`)
	wantFailed(t, "a reboot while reading", i, "failed", "lost", `"show tech": `, "ended the session")
	if i.Attempt != 2 {
		t.Errorf("a reboot while reading: %d attempts, want 2", i.Attempt)
	}
	i = host.on(t, "sw2", `uses: network.show@1, with: {platform: ios, commands: [show hang], command_timeout_s: 0.5}`)
	wantFailed(t, "a command that hangs", i, "failed", "timeout", `"show hang": `, "500ms")
	for name, dev := range map[string]sshtest.Device{"sw3": {Cut: "reset"}, "sw4": {Hang: "reset"}} {
		sw := host.device(t, name, dev)
		i = host.on(t, name, `uses: network.configure@1, retry: {max_attempts: 3, backoff: {initial: 10ms}}, with: {platform: ios, lines: [interface Ethernet1, reset], line_timeout_s: 2}`)
		wantFailed(t, name, i, "unknown", "unknown_outcome", "ssh_send was cut off", "cannot be known")
		n := 0
		for _, typed := range sw.Typed() {
			if typed == "reset" {
				n++
			}
		}
		if n != 1 || i.Attempt != 1 {
			t.Errorf("%s: sent %d times in %d attempts, want once", name, n, i.Attempt)
		}
	}
}

// noSecretIsLeft looks for the devices' passwords in all that a host gives and keeps.
func noSecretIsLeft(t *testing.T, host *server) {
	t.Helper()
	out := host.must(t, "audit", "list", "--output", "json") + host.must(t, "credential", "list", "--output", "json")
	sent := false
	for _, r := range decode[[]struct{ ID string }](t, host.must(t, "run", "list", "--output", "json")) {
		logs := host.must(t, "run", "logs", r.ID)
		sent = sent || strings.Contains(logs, "sent: show secret") && strings.Contains(logs, "the secret is [redacted]")
		out += logs + host.must(t, "run", "get", r.ID, "--output", "json") + host.must(t, "run", "items", r.ID, "--output", "json")
		if state := decode[struct{ Status string }](t, host.must(t, "run", "get", r.ID, "--output", "json")).Status; state == "succeeded" || state == "failed" {
			out += host.must(t, "run", "events", r.ID, "--output", "jsonl")
		}
	}
	if !sent {
		t.Error("no log has what was sent and came: the test shows nothing")
	}
	out += host.remains(t)
	for _, secret := range []string{enableSecret, sshtest.Password} {
		if at := strings.Index(out, secret); at >= 0 {
			t.Errorf("%.6s… came out: …%s", secret, strings.ReplaceAll(out[max(0, at-200):at], secret, "<HERE>"))
		}
	}
}
