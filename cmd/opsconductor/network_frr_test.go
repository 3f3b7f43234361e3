package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// TestNetworkPluginOnFRR is the plugin on a real device program: the workflow of the
// page about SSH, then what the device does not take.
func TestNetworkPluginOnFRR(t *testing.T) {
	t.Parallel()
	frr := sshtest.ServeFRR(t)
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	host.addCredential(t, "key", frr.User, frr.ClientKey)
	host.addAsset(t, target{"edge-1", frr.Host, frr.Port, frr.HostKeys}, "key")
	host.must(t, "asset", "update", "edge-1", "--os", "network", "--tag", "router")
	found := blocks(t, "docs/ssh.md", "yaml")
	if len(found) != 1 {
		t.Fatalf("the page has %d workflows", len(found))
	}
	run := runID(t, host.must(t, "run", "submit", write(t, found[0]), "--output", "json"))
	if a := host.call(t, "run", "wait", run); a.code != exitOK {
		t.Fatalf("exit code %d\n%s\n%s", a.code, a.err, host.must(t, "run", "items", run, "--output", "json"))
	}
	items := host.items(t, run)
	facts := decode[struct {
		Hostname, Version string
		Model, Serial     *string
	}](t, string(items["facts/edge-1"].Output))
	if name, err := os.Hostname(); err != nil || facts.Hostname != name || facts.Version == "" || facts.Model != nil || facts.Serial != nil {
		t.Errorf("facts %s, want the name %s (%v)", items["facts/edge-1"].Output, name, err)
	}
	shown := decode[answers](t, string(items["check/edge-1"].Output)).Answers
	if len(shown) != 1 || !strings.Contains(shown[0].Output, "neighbor 192.0.2.9 remote-as 65002") {
		t.Errorf("shown %+v", shown)
	}
	if kept, err := os.ReadFile(frr.Config); err != nil || !strings.Contains(string(kept), "neighbor 192.0.2.9 description transit") {
		t.Errorf("it was not saved: %v %s", err, kept)
	}
	i := host.on(t, "edge-1", `uses: network.configure@1, with: {platform: frr, lines: [router bgp 65001, neighbor 192.0.2.7 activate, neighbor 192.0.2.8 remote-as 65003], save: true}`)
	wantFailed(t, "a line that is refused", i, "failed", "refused", "line 2 of 3 (neighbor …): the device did not take it: % Specify remote-as", "the lines before that (1) are in force, and nothing was saved")
	i = host.on(t, "edge-1", `uses: network.show@1, with: {platform: frr, commands: [show running-config | include remote-as, show nonsense], any_answer: true}`)
	shown = decode[answers](t, string(i.Output)).Answers
	if len(shown) != 2 || strings.TrimSpace(shown[0].Output) != "neighbor 192.0.2.9 remote-as 65002" || shown[1].Refused != "% Unknown command: show nonsense" {
		t.Errorf("%+v %+v", shown, i.Error)
	}
}
