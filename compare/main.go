// Command compare runs OpsConductor's benchmarks and those of other systems that
// can be had, one after the other on the same machine, River on the same PostgreSQL
// server, and writes a page of what they measured.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// result is what a peer, or OpsConductor, measured.
type result struct {
	Peer     string  `json:"peer"`
	Version  string  `json:"version"`
	Name     string  `json:"name"` // drain, independent or chain
	Steps    int     `json:"steps"`
	PerS     float64 `json:"steps_per_s"`
	P50MS    float64 `json:"ms_per_step_p50"`
	Settings string  `json:"settings"`
	// Load is the machine's average of a minute when it began.
	Load float64 `json:"load"`
}

type comparison struct {
	bin      string // of OpsConductor
	dir      string // of this module
	river    string // programs; "": left out
	temporal string
	celery   bool
	rounds   int
	steps    int
	results  []result
	left     []string // peers that were left out, and why
	postgres string   // the server's version
	version  string   // of OpsConductor
	cpu      string
	cores    int
}

func main() {
	c := comparison{}
	out := ""
	flag.StringVar(&c.bin, "bin", "../bin/opsconductor", "opsconductor")
	flag.StringVar(&c.dir, "dir", ".", "folder of this module")
	flag.StringVar(&c.river, "river", "", "program of compare/river")
	flag.StringVar(&c.temporal, "temporal", "", "program of compare/temporal; it takes minutes to build")
	flag.BoolVar(&c.celery, "celery", true, "measure Celery, when it and redis-server are installed")
	flag.IntVar(&c.rounds, "rounds", 3, "how often OpsConductor and River are measured, in turn; the median counts")
	flag.IntVar(&c.steps, "steps", 20_000, "steps of each measurement of the two")
	flag.StringVar(&out, "out", "../docs/comparisons.md", "the page; \"-\": standard output")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := c.run(ctx, out); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func (c *comparison) run(ctx context.Context, out string) error {
	if err := c.onPostgres(ctx); err != nil {
		return err
	}
	if err := c.own(ctx, "sqlite", ""); err != nil {
		return err
	}
	if err := c.runCelery(ctx); err != nil {
		return err
	}
	if c.temporal == "" {
		c.left = append(c.left, "Temporal: it was not built (`make compare TEMPORAL=1` does)")
	} else if err := c.peer(ctx, nil, nil, c.temporal); err != nil {
		return err
	}
	page := c.page()
	if out == "-" {
		_, err := os.Stdout.WriteString(page)
		return err
	}
	return os.WriteFile(out, []byte(page), 0o644)
}

// onPostgres measures OpsConductor and River in turn on one server.
func (c *comparison) onPostgres(ctx context.Context) error {
	server := exec.CommandContext(ctx, c.bin, "bench", "postgres")
	stdin, err := server.StdinPipe() // the server lives until it is closed
	if err != nil {
		return err
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		return err
	}
	end := func() error { return errors.Join(stdin.Close(), server.Wait()) }
	var where struct {
		Version string   `json:"version"`
		URL     string   `json:"url"`
		Empty   []string `json:"empty"` // databases
	}
	if err := json.NewDecoder(stdout).Decode(&where); err != nil {
		return errors.Join(fmt.Errorf("start PostgreSQL: %w", err), end())
	}
	c.postgres = where.Version
	if c.river == "" {
		c.left = append(c.left, "River: it was not built")
	}
	for i := range c.rounds {
		if err := c.own(ctx, "postgres", where.URL); err != nil {
			return errors.Join(err, end())
		}
		if c.river == "" {
			continue
		}
		if i >= len(where.Empty) {
			return errors.Join(fmt.Errorf("at most %d rounds", len(where.Empty)), end())
		}
		if err := c.peer(ctx, []string{"RIVER_DSN=" + where.Empty[i]}, nil, c.river, strconv.Itoa(c.steps)); err != nil {
			return errors.Join(err, end())
		}
	}
	return end()
}

// own measures OpsConductor.
func (c *comparison) own(ctx context.Context, store, url string) error {
	steps := strconv.Itoa(c.steps)
	for _, line := range [][]string{
		{"steps", "--runs", steps, "--items", steps, "--steady", "1s", "--rate", "100"}, {"chain"},
	} {
		fmt.Fprintln(os.Stderr, "== opsconductor bench", line[0], "--store", store)
		cmd := exec.CommandContext(ctx, c.bin, append(append([]string{"bench"}, line...), "--json", "--store", store)...)
		cmd.Env, cmd.Stderr = os.Environ(), os.Stderr
		if url != "" {
			cmd.Env = append(cmd.Env, "OPSCONDUCTOR_DATABASE_URL="+url)
		}
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("bench %s: %w", line[0], err)
		}
		if err := c.take(store, out); err != nil {
			return fmt.Errorf("bench %s: %w", line[0], err)
		}
	}
	return nil
}

// take adds what a benchmark of OpsConductor printed.
func (c *comparison) take(store string, out []byte) error {
	var r struct {
		Version   string  `json:"version"`
		Cores     int     `json:"cores"`
		Processor string  `json:"processor"`
		Load      float64 `json:"load_before"`
		Results   []struct {
			Name     string  `json:"name"`
			Executor string  `json:"executor"`
			Steps    int     `json:"steps"`
			PerS     float64 `json:"steps_per_second"`
			Whole    float64 `json:"whole_p50_ms"`
		} `json:"results"`
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		return err
	}
	c.version, c.cores, c.cpu = r.Version, r.Cores, r.Processor
	names := map[string]string{"fan_out": "drain", "runs": "independent", "chain": "chain"}
	executors := map[string]string{
		"in_process": "without the sandbox", "sandbox": "Go plugin in its sandbox", "sandbox_small": "small module in its sandbox",
	}
	for _, x := range r.Results {
		if name := names[x.Name]; name != "" {
			c.results = append(c.results, result{
				Peer: "OpsConductor, " + store + ", " + executors[x.Executor], Version: r.Version, Name: name,
				Steps: x.Steps, PerS: x.PerS, P50MS: x.Whole, Load: r.Load,
			})
		}
	}
	return nil
}

// peer runs a peer's program and takes what it prints.
func (c *comparison) peer(ctx context.Context, env []string, attr *syscall.SysProcAttr, program string, args ...string) error {
	fmt.Fprintln(os.Stderr, "==", program, strings.Join(args, " "))
	load := loadAverage()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Stderr, cmd.SysProcAttr = append(os.Environ(), env...), os.Stderr, attr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil || r.Peer == "" {
			continue // a log line
		}
		r.Load = load
		fmt.Fprintln(os.Stderr, lines.Text())
		c.results = append(c.results, r)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(program), err)
	}
	return nil
}

func loadAverage() float64 {
	b, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(b), " ")
	v, _ := strconv.ParseFloat(first, 64)
	return v
}

// median returns the result in the middle of those of a peer and a name.
func (c *comparison) median(peer, name string) (result, bool) {
	var all []result
	for _, r := range c.results {
		if r.Peer == peer && r.Name == name {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return result{}, false
	}
	slices.SortFunc(all, func(a, b result) int {
		switch {
		case a.PerS+a.P50MS < b.PerS+b.P50MS:
			return -1
		case a.PerS+a.P50MS > b.PerS+b.P50MS:
			return 1
		}
		return 0
	})
	return all[len(all)/2], true
}
