package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/client"
)

const wideItems = 10_000

// TestTenThousandItems: a step of 10,000 items of which every third fails; what is
// asked about it meanwhile and afterwards is answered soon and in pages.
func TestTenThousandItems(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, start func(...string) *server) {
		host := start("--slots", "64")
		numbers := make([]int, wideItems)
		for i := range numbers {
			numbers[i] = i
		}
		list, err := json.Marshal(numbers)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "wide.json")
		text := `{"schema":"opsconductor/v1","name":"wide","steps":[{"id":"go","uses":"core.approval@1","with":{"message":"go?"}},` +
			`{"id":"each","needs":["go"],"uses":"core.noop@1","for_each":{"in":` + string(list) + `,"batches":[1,"10%","100%"]},"with":{"n":"${{ 12 / (item % 3) }}"}}],` +
			`"limits":{"stop_if_failed":"100%"}}`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		run := runID(t, host.must(t, "run", "submit", file, "--output", "json"))
		eventually(t, "the question", func() bool { return strings.Contains(host.must(t, "approval", "list"), run) })
		host.must(t, "approval", "approve", run, "go")
		began := time.Now()
		quick := func(args ...string) string {
			t.Helper()
			asked := time.Now()
			out := host.must(t, args...)
			if took := time.Since(asked); took > 10*time.Second {
				t.Errorf("%q took %s", args, took)
			}
			return out
		}
		for _, reason := range decode[[]client.Reason](t, quick("run", "why", run, "--output", "json")) {
			if len(reason.Items) > 20 {
				t.Errorf("why names %d items; want at most 20", len(reason.Items))
			}
		}
		a := host.call(t, "run", "wait", run)
		t.Logf("%d items in %s", wideItems, time.Since(began).Round(time.Millisecond))
		if a.code != exitSomeFailed || len(a.out)+len(a.err) > 20_000 {
			t.Errorf("exit code %d, want %d; it says %d bytes", a.code, exitSomeFailed, len(a.out)+len(a.err))
		}
		groups := decode[[]client.Failure](t, quick("run", "failures", run, "--output", "json"))
		if len(groups) != 1 || groups[0].Count != (wideItems+2)/3 || len(groups[0].Items) > 5 {
			t.Errorf("failures: got %+v", groups)
		}
		if n := strings.Count(quick("run", "items", run, "--output", "jsonl"), "\n"); n != wideItems+1 {
			t.Errorf("%d items; want %d", n, wideItems+1)
		}
		if n := strings.Count(quick("run", "events", run, "--output", "jsonl"), `"succeeded"`); n < wideItems*2/3 {
			t.Errorf("%d events of items that succeeded; want %d", n, wideItems*2/3)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", host.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(status)) {
			if strings.HasPrefix(line, "VmHWM") {
				t.Log(strings.TrimSpace(line))
			}
		}
	})
}
