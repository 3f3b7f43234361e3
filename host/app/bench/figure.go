package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Figure is what a benchmark is made for: its key at the top of the JSON.
type Figure struct {
	Key   string
	Value float64
}

// meaning says what a figure is, and what it has to reach.
type meaning struct {
	what, unit string
	// reach by store; 0: nothing to reach.
	sqlite, postgres float64
	atMost           bool // the figure may not be above reach; else not below
}

func (m meaning) reach(store string) float64 {
	if store == "postgres" {
		return m.postgres
	}
	return m.sqlite
}

func (m meaning) reached(store string, v float64) bool {
	if m.atMost {
		return v <= m.reach(store)
	}
	return v >= m.reach(store)
}

// meanings are the figures of all benchmarks, by benchmark and key, with what
// DESIGN.md section 11 and its issues ask for.
func meanings() map[string]meaning {
	return map[string]meaning{
		"steps.steps_per_s":              {"whole steps of a fan-out, small module in the sandbox", "steps/s", 15_000, 12_000, false},
		"steps.runs_per_s":               {"runs of one step with their submission, small module in the sandbox", "runs/s", 0, 0, false},
		"steps.p99_ready_to_start_ms":    {"from accepted to started at a steady rate, p99", "ms", 25, 25, true},
		"steps.allocs_per_step":          {"allocations, of a fan-out", "a step", 0, 0, false},
		"steps.alloc_bytes_per_step":     {"bytes allocated, of a fan-out", "B a step", 0, 0, false},
		"steps.commits_per_1000":         {"commits of the leader, of a fan-out", "in 1,000 steps", 0, 0, false},
		"steps.wal_bytes_per_step":       {"written to PostgreSQL's log, of a fan-out", "B a step", 0, 0, false},
		"steps.run_allocs":               {"allocations, of a run of one step", "a run", 0, 0, false},
		"steps.run_wal_bytes":            {"written to PostgreSQL's log, of a run of one step", "B a run", 0, 0, false},
		"chain.ms_per_step_p50":          {"added by a step of a chain, one process, p50", "ms", 1, 1, true},
		"chain.ms_per_step_p99":          {"added by a step of a chain, one process, p99", "ms", 0, 0, true},
		"chain2.ms_per_step_p50":         {"added by a step of a chain on another host than the leader, p50", "ms", 0, 4, true},
		"chain2.ms_per_step_p99":         {"added by a step of a chain on another host than the leader, p99", "ms", 0, 0, true},
		"backlog.ratio":                  {"grant rate next to parked items, of that without them", "", 0.9, 0.9, false},
		"backlog.cpu_ratio":              {"the same of the processor time that grants take", "", 0, 0, false},
		"backlog.rss_mib":                {"memory of the process with the parked items", "MiB", 0, 0, true},
		"fanout.seconds":                 {"one run of 10,000 items, Go plugin in the sandbox", "s", 0, 0, true},
		"fanout.steps_per_s":             {"of that run", "steps/s", 0, 0, false},
		"fanout.peak_rss_mib":            {"memory of the process at its highest, of that run", "MiB", 300, 300, true},
		"soak.loss":                      {"steps that were due and had not ended when the time was up", "of 1", 0.05, 0.05, true},
		"soak.steps_per_s":               {"ended at a third of the top rate", "steps/s", 0, 0, false},
		"soak.top_rate_kept":             {"top rate at the end, of that at the beginning", "of 1", 0.95, 0.95, false},
		"soak.bytes_per_step":            {"stored for each step in the second half", "B a step", 0, 0, true},
		"soak.growth":                    {"how much more that is than in the first half", "of 1", 0.05, 0.05, true},
		"soak.peak_rss_mib":              {"memory of the process at its highest", "MiB", 0, 0, true},
		"restart.seconds":                {"from the start of a killed host to the end of a new run, with 10,000 open runs", "s", 3, 3, true},
		"ssh.cold_s":                     {"`true` on 50 SSH servers, one run, no connection yet", "s", 0, 0, true},
		"ssh.bare_cold_s":                {"the same by a loop over x/crypto/ssh", "s", 0, 0, true},
		"ssh.cold_ratio":                 {"the one by the other", "", 1.1, 1.1, true},
		"ssh.warm_s":                     {"`true` on 50 SSH servers, one run, over connections that stand", "s", 0, 0, true},
		"ssh.bare_warm_s":                {"the same by a loop over x/crypto/ssh", "s", 0, 0, true},
		"ssh.ansible_cold_s":             {"`ansible -m raw -a true --forks 50`, no connection yet", "s", 0, 0, true},
		"ssh.ansible_cold_ratio":         {"that, by the run's cold time", "", 15, 15, false},
		"ssh.ansible_warm_s":             {"the same over ControlPersist's connections", "s", 0, 0, true},
		"ssh.ansible_warm_ratio":         {"that, by the run's warm time", "", 40, 40, false},
		"ssh.ansible_command_cold_s":     {"`ansible -m command -a true --forks 50`, no connection yet", "s", 0, 0, true},
		"ssh.ansible_command_cold_ratio": {"that, by the run's cold time", "", 15, 15, false},
		"ssh.ansible_command_warm_s":     {"the same over ControlPersist's connections", "s", 0, 0, true},
		"ssh.ansible_command_warm_ratio": {"that, by the run's warm time", "", 40, 40, false},
		"ssh.fake_10000_s":               {"one run on 10,000 SSH servers in process", "s", 30, 30, true},
		"ssh.bare_fake_s":                {"the same by a loop over x/crypto/ssh", "s", 0, 0, true},
		"ssh.lost":                       {"of these, not run once and succeeded", "items", 0, 0, true},
		"ssh.peak_rss_mb":                {"memory of the host at its highest, of that run", "MB", 300, 300, true},
		"ssh.peak_mapped_mb":             {"the same, a page counted for each sandbox that shares it", "MB", 0, 0, true},
		"takeover.p50_s":                 {"from kill -9 of the leader to the end of a run on the other host, p50", "s", 0, 0, true},
		"takeover.p99_s":                 {"from kill -9 of the leader to the end of a run on the other host, p99", "s", 0, 10, true},
	}
}

// meaning of one of the report's figures.
func (r Report) meaning(key string) meaning {
	name := r.Benchmark
	if r.Settings["hosts"] == 2 && name == "chain" {
		name = "chain2"
	}
	return meanings()[name+"."+key]
}

func (r *Report) add(key string, v float64) { r.Figures = append(r.Figures, Figure{key, v}) }

// MarshalJSON puts the figures at the top, beside what they were measured on.
func (r Report) MarshalJSON() ([]byte, error) {
	type plain Report
	body, err := json.Marshal(plain(r))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for _, f := range r.Figures {
		value, err := json.Marshal(math.Round(f.Value*1e4) / 1e4)
		if err != nil {
			return nil, fmt.Errorf("encode the figure %s: %w", f.Key, err)
		}
		fmt.Fprintf(&b, "%q:%s,", f.Key, value)
	}
	b.Write(body[1:])
	return b.Bytes(), nil
}

// Markdown returns the figures as rows of a table.
func (r Report) Markdown() string {
	var b strings.Builder
	for _, f := range r.Figures {
		m := r.meaning(f.Key)
		reach, reached := "–", "–"
		if limit := m.reach(r.Store); limit > 0 {
			sign := "≥"
			if m.atMost {
				sign = "≤"
			}
			reach, reached = sign+" "+number(limit), "no"
			if m.reached(r.Store, f.Value) {
				reached = "yes"
			}
		}
		fmt.Fprintf(&b, "| `%s` `%s`: %s | %s | %s | %s | %s | %.1f |\n", r.Benchmark, f.Key, m.what, r.Store,
			strings.TrimSpace(number(f.Value)+" "+m.unit), reach, reached, r.LoadBefore)
	}
	return b.String()
}

// number prints a figure with as many digits as mean something.
func number(v float64) string {
	decimals := 0
	switch a := math.Abs(v); {
	case a < 10 && v != math.Trunc(v):
		decimals = 2
	case a < 100 && v != math.Trunc(v):
		decimals = 1
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	whole, rest, _ := strings.Cut(text, ".")
	digits := []byte(whole)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = slices.Insert(digits, i, ',')
	}
	if rest != "" {
		return string(digits) + "." + rest
	}
	return string(digits)
}
