package chaos_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"opsconductor.dev/host/chaos"
	"opsconductor.dev/host/client"
)

// The phases of a guarded command in which its host goes down.
const (
	atRecorder = "before the recorder"
	atClaim    = "before the claim"
	working    = "in mid-command"
	reporting  = "before the report"
	storing    = "before it is stored"
	anywhere   = "at random"
)

// kinds are the ways to strike, each in a round of its own.
func (g *guardedRun) kinds() []func(*guardedRun, int) client.RunID {
	if g.plan.postgres {
		return []func(*guardedRun, int) client.RunID{(*guardedRun).killInPhases, (*guardedRun).killUnstored, (*guardedRun).drainInPhases, (*guardedRun).killAnywhere}
	}
	return []func(*guardedRun, int) client.RunID{(*guardedRun).killInPhases, (*guardedRun).drainInPhases, (*guardedRun).killAnywhere}
}

// submit submits a run of one guarded command on each target, which works for some
// milliseconds and until its gate is open.
func (g *guardedRun) submit(milliseconds int) client.RunID {
	g.t.Helper()
	argv, _ := json.Marshal([]string{ //nolint:errchkjson // texts
		"sh", "-c", fmt.Sprintf(`"$@" || exit 1; echo err >&2; exit %d`, exitOf), "sh", g.recorder, filepath.Join(g.ledgers, "${{ asset.name }}"), "${{ run.id }}", "guarded",
		"${{ asset.name }}", fmt.Sprint(milliseconds), filepath.Join(g.gates, "end-${{ asset.name }}"),
	})
	definition := fmt.Appendf(nil, `
schema: opsconductor/v1
name: guarded
targets: {select: "'chaos' in asset.tags"}
steps:
  - id: guarded
    uses: linux.command@1
    effect: guarded
    for_each: {in: targets}
    timeout: 100s
    with: {argv: %s, ok_exit_codes: [%d]}
`, argv, exitOf)
	var id client.RunID
	err := g.ask(func(cl *client.Client) error {
		run, err := cl.Submit(g.t.Context(), client.SubmitRequest{Definition: definition})
		id = run.ID
		return err
	})
	if err != nil {
		g.t.Fatalf("submit: %v", err)
	}
	return id
}

// shut makes a gate.
func (g *guardedRun) shut(name string, args ...any) {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.gates, fmt.Sprintf(name, args...)), nil, 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// open opens every gate and lets bytes pass everywhere.
func (g *guardedRun) open(patterns ...string) {
	if len(patterns) == 0 {
		patterns = []string{"recorder-*", "claim-*", "end-*", "held-*"}
		for _, k := range append(g.links(), g.sites...) {
			k.thaw()
		}
	}
	for _, p := range patterns {
		files, _ := filepath.Glob(filepath.Join(g.gates, p))
		for _, f := range files {
			_ = os.Remove(f)
		}
	}
}

// spread submits a run and waits until the targets of each SSH server are in
// another phase, by turns.
func (g *guardedRun) spread(n int) client.RunID {
	g.t.Helper()
	early, gate := atRecorder, "recorder"
	if n%2 == 1 {
		early, gate = atClaim, "claim"
	}
	phases := []string{early, working, reporting}
	site := func(phase int) int { return (phase + n) % sshds }
	g.shut("%s-%d", gate, site(0))
	for j := range targets {
		g.shut("end-t%02d", j)
	}
	id := g.submit(0)
	each := targets / sshds
	eventually(g.t, "the first server's commands are held up", func() bool {
		m, _ := filepath.Glob(filepath.Join(g.gates, fmt.Sprintf("held-%d-*", site(0))))
		return len(m) >= each
	})
	eventually(g.t, "the other servers' commands are at work", func() bool {
		return g.count(id, site(1), chaos.LineStart) == each && g.count(id, site(2), chaos.LineStart) == each
	})
	g.sites[site(2)].freeze()
	for j := site(2); j < targets; j += sshds {
		g.open(fmt.Sprintf("end-t%02d", j))
	}
	eventually(g.t, "the last server's commands have ended", func() bool { return g.count(id, site(2), chaos.LineEnd) == each })
	pause(300 * time.Millisecond) // their journals have it
	for _, phase := range phases {
		g.row.phases[phase] += each
	}
	return id
}

// count counts lines of a run in the ledgers of an SSH server's targets.
func (g *guardedRun) count(id client.RunID, site int, kind string) int {
	n := 0
	for _, l := range g.ledger() {
		var number int
		if _, err := fmt.Sscanf(l.Item, "t%d", &number); err == nil && l.Run == string(id) && number%sshds == site && l.Kind == kind {
			n++
		}
	}
	return n
}

// killInPhases kills hosts while commands are in all phases: one, whose attempts
// another host takes over, or by turns all.
func (g *guardedRun) killInPhases(n int) client.RunID {
	id := g.spread(n)
	victims := g.victims(n)
	g.strike(victims...)
	if len(victims) == len(g.hosts) {
		g.meet(n)
	}
	return id
}

// victims are the host that leads, or by turns the other one, or all.
func (g *guardedRun) victims(n int) []*host {
	leader := g.lead()
	switch n % 3 {
	case 0:
		return []*host{leader}
	case 1:
		return g.hosts
	}
	return []*host{g.other(leader)}
}

// strike kills hosts. All of them gone, they are started again; otherwise mend does
// it, when the others have carried on.
func (g *guardedRun) strike(victims ...*host) {
	var all sync.WaitGroup
	for _, h := range victims {
		all.Go(h.kill)
	}
	all.Wait()
	g.row.kills += len(victims)
	pause(rand.N(time.Second))
	if len(victims) == len(g.hosts) {
		for _, h := range victims {
			h.start()
		}
	}
}

// mend starts what does not run.
func (g *guardedRun) mend() {
	g.t.Helper()
	for _, h := range g.hosts {
		select {
		case <-h.exited:
			h.start()
		default:
		}
	}
	eventually(g.t, "a host leads and all are live", func() bool { return g.live() == len(g.hosts) && g.leader() != nil })
}

// meet has the commands that are held up go on beside those of the next attempts, by
// turns, and else whenever that may be.
func (g *guardedRun) meet(n int) {
	g.t.Helper()
	if n%4 > 1 {
		pause(rand.N(2 * time.Second))
		return
	}
	eventually(g.t, "the next attempts are held up too", func() bool {
		m, _ := filepath.Glob(filepath.Join(g.gates, fmt.Sprintf("held-%d-*", n%sshds)))
		return len(m) >= 2*targets/sshds
	})
}

// drainInPhases stops a host as an upgrade does, and it can't wait for its commands.
func (g *guardedRun) drainInPhases(n int) client.RunID {
	id := g.spread(n)
	h := g.victims(2 * (n % 2))[0]
	h.signal(syscall.SIGTERM)
	if state := h.ended(); !state.Success() {
		g.t.Errorf("host %s drained and ended with %s", h.name, state)
	}
	g.row.drains++
	h.start()
	if len(g.hosts) == 1 {
		g.meet(n)
	}
	return id
}

// killUnstored kills a host that has the results of its commands, and whose database
// does not take them.
func (g *guardedRun) killUnstored(n int) client.RunID {
	for j := range targets {
		g.shut("end-t%02d", j)
	}
	id := g.submit(0)
	all := func(kind string) bool {
		return g.count(id, 0, kind)+g.count(id, 1, kind)+g.count(id, 2, kind) == targets
	}
	eventually(g.t, "all are at work", func() bool { return all(chaos.LineStart) })
	victims := g.victims(n)
	for _, h := range victims {
		for _, k := range h.links {
			k.freeze()
		}
	}
	g.open("end-*")
	eventually(g.t, "all have ended", func() bool { return all(chaos.LineEnd) })
	pause(time.Second) // the host has heard of it
	g.row.phases[storing] += targets
	for _, h := range victims {
		h.kill()
	}
	g.open()
	g.strike(victims...)
	return id
}

// killAnywhere kills hosts at a random moment of commands that nothing holds up.
func (g *guardedRun) killAnywhere(n int) client.RunID {
	id := g.submit(300)
	pause(rand.N(1500 * time.Millisecond))
	g.row.phases[anywhere] += targets
	g.strike(g.victims(n)...)
	return id
}
