package main

import (
	"fmt"
	"strings"
	"testing"

	"opsconductor.dev/host/client"
)

// TestFailures: what failed is told by the cause, with real targets that are not
// there and commands that fail.
func TestFailures(t *testing.T) {
	t.Parallel()
	onBoth(t, testFailures)
}

func testFailures(t *testing.T, start func(...string) *server) {
	t.Helper()
	host := start()
	srv := sshd(t)
	host.addCredential(t, "key", srv.User, srv.ClientKey)
	host.addAsset(t, target{"web-0", srv.Host, srv.Port, srv.HostKeys}, "key")
	for i := 1; i < 4; i++ { // ports on which nothing listens
		host.addAsset(t, target{fmt.Sprint("web-", i), "127.0.0.1", i, srv.HostKeys}, "key")
	}
	file := write(t, `
schema: opsconductor/v1
name: causes
targets: {select: "'demo' in asset.tags"}
steps:
  - {id: run, uses: linux.script@1, for_each: {in: targets}, with: {script: "echo broken >&2; exit 3"}}
  - {id: list, uses: core.fail@1, for_each: {in: [10, 20, 30, 40]}, with: {code: odd, message: "no '${{ item }}' in ${{ item }}"}}
`)
	run := runID(t, host.must(t, "run", "submit", file, "--output", "json"))
	waited := host.call(t, "run", "wait", run)
	groups := decode[[]client.Failure](t, host.must(t, "run", "failures", run, "--output", "json"))
	var got []string
	for _, g := range groups {
		got = append(got, fmt.Sprintf("%d %s %s", g.Count, g.Step, g.Code))
		if g.Error == nil || len(g.Items) == 0 || len(g.Items) > 5 {
			t.Errorf("group %+v", g)
		}
	}
	if text := strings.Join(got, "; "); !strings.HasPrefix(text, "4 list odd; 3 run unreachable; 1 run ") {
		t.Errorf("groups: %s", text)
	}
	if s := groups[0].Signature; s != "no <text> in #" {
		t.Errorf("signature %q", s)
	}
	if s := groups[1].Signature; !strings.Contains(s, "<target>") || strings.ContainsAny(s, "0123456789") {
		t.Errorf("signature %q", s)
	}
	for what, text := range map[string]string{"wait": waited.out, "get": host.must(t, "run", "get", run), "failures": host.must(t, "run", "failures", run)} {
		for _, want := range []string{"FAILED", "CAUSE", "no <text> in #", "10, 20, 30 and 1 more", "web-1, web-2, web-3"} {
			if !strings.Contains(text, want) {
				t.Errorf("run %s does not say %q:\n%s", what, want, text)
			}
		}
	}
}
