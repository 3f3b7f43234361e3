package chaos_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/chaos"
	"opsconductor.dev/host/client"
)

// guardedRow is what rounds of guarded commands gave.
type guardedRow struct {
	store                                    string
	rounds, kills, drains                    int
	commands, again, attempts, twice, untrue int
	phases                                   map[string]int
	most                                     int // attempts of one item
}

// exitOf is the exit code of every guarded command.
const exitOf = 3

// guardedRun is a deployment whose runs have guarded commands, and what holds them up.
type guardedRun struct {
	*deployment
	gates string
	row   guardedRow
}

// proveGuarded strikes hosts that have guarded commands at work in every phase, and
// wants each of them run once and its real result in the run.
func proveGuarded(t *testing.T, store string, rounds int, short bool) guardedRow {
	t.Helper()
	gates := t.TempDir()
	p := plan{postgres: store == "postgres", flags: []string{"--slots", "16", "--shutdown-timeout", "1s"}}
	if p.postgres {
		p.hosts = 2
	}
	p.site = func(n int) []string { return []string{"SetEnv PATH=" + shim(t, gates, n) + ":" + os.Getenv("PATH")} }
	g := &guardedRun{deployment: deploy(t, p), gates: gates, row: guardedRow{store: store, phases: map[string]int{}}}
	for n := range rounds {
		for k, kind := range g.kinds() {
			if short && k >= 2 {
				break
			}
			began := time.Now()
			run := kind(g, n)
			g.row.rounds++
			g.open()
			g.judge(run)
			g.mend()
			t.Logf("round %d, kind %d: %s", n, k, time.Since(began).Round(time.Millisecond))
			if t.Failed() {
				t.Logf("round %d, kind %d: the first host's log ends:\n%s", n, k, g.hosts[0].tail())
				return g.row
			}
		}
	}
	return g.row
}

// judge waits for a run's end and holds it against the ledgers.
func (g *guardedRun) judge(id client.RunID) {
	g.t.Helper()
	var run client.Run
	eventually(g.t, "the run has ended", func() bool {
		_ = g.ask(func(cl *client.Client) error {
			got, err := cl.Run(g.t.Context(), id)
			run = got
			return err
		})
		return run.State.Ended() || g.doubtful(id)
	})
	if run.State != automation.RunSucceeded {
		g.t.Errorf("run %s is %q, want it succeeded", id, run.State)
	}
	items := g.itemsOf(id)
	if len(items) != targets {
		g.t.Errorf("%d items, want %d", len(items), targets)
	}
	ledger := g.ledger()
	for i := range items {
		g.held(string(id), &items[i], ledger)
	}
}

// doubtful reports whether an item is unknown, so that its run won't end.
func (g *guardedRun) doubtful(id client.RunID) bool {
	return slices.ContainsFunc(g.itemsOf(id), func(i client.Item) bool { return i.State == automation.ItemUnknown })
}

func (g *guardedRun) itemsOf(id client.RunID) []client.Item {
	var page client.Items
	_ = g.ask(func(cl *client.Client) error {
		var err error
		page, err = cl.Items(g.t.Context(), id, "", client.Page{Limit: 1000})
		return err
	})
	return page.Items
}

// held holds an item against its target's ledger: one start, one end, and what that
// execution printed.
func (g *guardedRun) held(run string, it *client.Item, ledger []chaos.Line) {
	g.t.Helper()
	var starts, ends []chaos.Line
	for _, l := range ledger {
		switch {
		case l.Run != run || l.Item != it.Target:
		case l.Kind == chaos.LineStart:
			starts = append(starts, l)
		default:
			ends = append(ends, l)
		}
	}
	g.row.commands++
	g.row.attempts += it.Attempt
	g.row.most = max(g.row.most, it.Attempt)
	if it.Attempt > 1 {
		g.row.again++
	}
	if len(starts) != 1 || len(ends) != 1 {
		g.row.twice++
		g.t.Errorf("%s: %d starts and %d ends in the ledger, want one of each; the item: %s, attempt %d", it.Target, len(starts), len(ends), it.State, it.Attempt)
		return
	}
	var out struct {
		ExitCode       int `json:"exit_code"`
		Stdout, Stderr string
		Signal         string
	}
	err := json.Unmarshal(it.Output, &out)
	if err != nil || it.State != automation.ItemSucceeded || out.ExitCode != exitOf || out.Stdout != starts[0].Nonce || out.Stderr != "err\n" || out.Signal != "" {
		g.row.untrue++
		g.t.Errorf("%s: %s after %d attempts, %+v, %v, error %+v; want exit code %d and the output of the execution that the ledger has (%s)",
			it.Target, it.State, it.Attempt, out, err, it.Error, exitOf, starts[0].Nonce)
	}
}

// shim makes a folder whose setsid waits while a gate is there: before the recorder
// is begun, or before the command's process claims the journal.
func shim(t *testing.T, gates string, n int) string {
	t.Helper()
	dir := filepath.Join(gates, fmt.Sprintf("bin%d", n))
	text := fmt.Sprintf(`#!/bin/sh
at=claim; case $3 in *_gkeep*) at=recorder;; esac
if [ -e %[1]s/$at-%[2]d ]; then : >%[1]s/held-%[2]d-$$; fi
while [ -e %[1]s/$at-%[2]d ]; do sleep 0.05; done
exec /usr/bin/setsid "$@"
`, gates, n)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "setsid"), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// guardedTable prints rows.
func guardedTable(rows []guardedRow) string {
	if len(rows) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintln(&b, "\n| store | rounds | kill -9 | SIGTERM | guarded commands | of these attempted again | attempts | most of one | run twice | not the real result | struck in which phase |")
	fmt.Fprintln(&b, "|---|---|---|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		var phases []string
		for name, n := range r.phases {
			phases = append(phases, fmt.Sprintf("%s %d", name, n))
		}
		slices.Sort(phases)
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %s |\n", r.store, r.rounds, r.kills, r.drains, r.commands, r.again, r.attempts, r.most, r.twice, r.untrue, strings.Join(phases, ", "))
	}
	return b.String()
}
