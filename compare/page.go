package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

// peers are the rows of the page, in their order.
func peers() []string {
	var all []string
	for _, store := range []string{"postgres", "sqlite"} {
		for _, executor := range []string{"small module in its sandbox", "Go plugin in its sandbox", "without the sandbox"} {
			all = append(all, "OpsConductor, "+store+", "+executor)
		}
	}
	return append(all, "River", "Celery", "Temporal")
}

// page is docs/comparisons.md.
func (c *comparison) page() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Beside other systems

Written by %[1]smake compare%[1]s on %[2]s: OpsConductor %[3]s, %[4]d cores (%[5]s), %[6]s, PostgreSQL %[7]s. Everything ran on this one machine, one
system after the other, its database or broker on the same cores. OpsConductor and River were measured in turn on the same PostgreSQL server, which has
its default settings (fsync and synchronous commits are on), in %[8]d rounds of which the median is shown. The load is the machine's average of a minute when the measurement
began.
%[9]s
| | version | a queue of no-op steps, worked off | no-op steps, each submitted by itself | a chain, time by its steps, p50 | load |
|---|---|---|---|---|---|
`, "`", time.Now().UTC().Format(time.DateOnly), c.version, c.cores, c.cpu, runtime.Version(), c.postgres, c.rounds, c.busy())
	var notes []string
	for _, peer := range peers() {
		drain, okDrain := c.median(peer, "drain")
		alone, okAlone := c.median(peer, "independent")
		chain, okChain := c.median(peer, "chain")
		if !okDrain && !okAlone && !okChain {
			continue
		}
		any := drain
		if !okDrain {
			any = alone
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %.1f |\n", peer, any.Version, rate(drain, okDrain), rate(alone, okAlone), latency(chain, okChain), any.Load)
		if any.Settings != "" {
			notes = append(notes, fmt.Sprintf("- %s: %s.", peer, any.Settings))
		}
	}
	b.WriteString(c.ratios())
	fmt.Fprintf(&b, words, c.steps)
	if len(notes) > 0 {
		b.WriteString("\n## Settings\n\n" + strings.Join(notes, "\n") + "\n")
	}
	if len(c.left) > 0 {
		b.WriteString("\n## Left out\n\n- " + strings.Join(c.left, "\n- ") + "\n")
	}
	return b.String()
}

func rate(r result, ok bool) string {
	if !ok {
		return "–"
	}
	return fmt.Sprintf("%.0f/s", r.PerS)
}

func latency(r result, ok bool) string {
	if !ok {
		return "–"
	}
	return fmt.Sprintf("%.2f ms", r.P50MS)
}

// busy warns of figures that were taken while other programs ran. What was measured
// before leaves a load of up to two for each processor.
func (c *comparison) busy() string {
	most := 0.0
	for _, r := range c.results {
		most = max(most, r.Load)
	}
	if most < float64(2*c.cores)+1 {
		return ""
	}
	return fmt.Sprintf("\n**The machine was busy with other work (load up to %.0f).** Read no figure as what a system can do, and compare rows of a like load at most.\n", most)
}

// ratios sets OpsConductor on PostgreSQL against River.
func (c *comparison) ratios() string {
	var b strings.Builder
	for _, executor := range []string{"small module in its sandbox", "without the sandbox"} {
		for _, name := range []string{"drain", "independent"} {
			own, ok := c.median("OpsConductor, postgres, "+executor, name)
			river, also := c.median("River", name)
			if !ok || !also || river.PerS == 0 {
				continue
			}
			what := map[string]string{"drain": "worked off from a queue", "independent": "submitted one by one"}[name]
			fmt.Fprintf(&b, "- Steps %s, %s: %.2f times River's rate.\n", what, executor, own.PerS/river.PerS)
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\nOn PostgreSQL:\n\n" + b.String()
}

// words say what is compared.
const words = `
## What is compared, and what is not

The systems promise different things, so a rate alone says little:

- **OpsConductor**: each step is a node of a checked graph. Its grant and its outcome are committed (fsync) before the host acts on them; an accepted run
  survives kill -9. The queue is one run with %d items, timed from its submission; each step submitted by itself is a run of its own, with its plan, its record
  and an entry in the audit log. The step is a call into a WebAssembly sandbox, fresh for each; "without the sandbox" leaves the call out, to compare
  schedulers alone.
  In a chain the next step is granted in the commit that ends the one before.
- **River**: jobs in PostgreSQL, as durable as the database. There is no graph in the open-source version, and no sandbox: a job is a Go function in the
  worker's own process. The queue was filled in bulk before the clock ran. In the chain each job inserts the next one itself. River marks jobs as
  completed in batches a moment after they ran.
- **Celery**: tasks in Redis, here without any persistence, as is common for it: what is queued or running is lost when Redis is killed, and a task is acknowledged
  before it runs. No sandbox. A chain is Celery's own, without a record of its progress.
- **Temporal**: its test server, which runs in one process on SQLite in memory: nothing survives it. It keeps a history of every workflow, as a production server
  does, with several round trips for each activity. A production server on a cluster of databases scales in ways that this one does not; the figures say what one
  machine of this size does with the server that can be had here, and no more.

Prefect, Airflow and others are not measured: they could not be installed where this page was written. Figures that their authors or others
published were made on other machines and are not set beside these.

Where a run does real work, over SSH say, that work takes longer than any of the figures here.
`
