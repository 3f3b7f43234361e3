package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// following is `run logs --follow` in a process of its own.
type following struct {
	lines chan string
	done  chan error
}

func (s *server) followLogs(t *testing.T, run string, args ...string) *following {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	cmd := program(ctx, append([]string{"run", "logs", run, "--follow"}, args...)...)
	cmd.Env = append(cmd.Env, "OPSCONDUCTOR_DIR="+s.dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f := &following{lines: make(chan string, 100), done: make(chan error, 1)}
	go func() { // until the process ends; the context sees to that
		for lines := bufio.NewScanner(out); lines.Scan(); {
			f.lines <- lines.Text()
		}
		close(f.lines)
		f.done <- cmd.Wait()
	}()
	return f
}

// next returns the next line without its time; "" at the end.
func (f *following) next(t *testing.T) string {
	t.Helper()
	select {
	case line := <-f.lines:
		return regexp.MustCompile(`^[0-9:.]+ `).ReplaceAllString(line, "")
	case <-time.After(patience):
		t.Fatal("no line came")
		return ""
	}
}

// slowRun is a run whose command says first, waits for the file gate, and says second.
type slowRun struct {
	host         *server
	effect, run  string
	gate, ledger string
	follow       *following
}

func (s *server) submitSlow(t *testing.T, effect string) *slowRun {
	t.Helper()
	dir := t.TempDir()
	r := &slowRun{host: s, effect: effect, gate: filepath.Join(dir, "gate"), ledger: filepath.Join(dir, "ledger")}
	file := write(t, fmt.Sprintf(`
schema: opsconductor/v1
name: slow
targets: {select: "true"}
steps:
  - {id: try, uses: linux.command@1, for_each: {in: targets}, effect: %s, with: {stream: true, argv: [sh, -c, "echo ran >>%s; echo first; while ! test -e %s; do sleep 0.05; done; echo second"]}}
`, effect, r.ledger, r.gate))
	r.run = runID(t, s.must(t, "run", "submit", file, "--output", "json"))
	r.follow = s.followLogs(t, r.run)
	return r
}

// next checks the next line that who follows sees; "" is the end.
func (s *slowRun) next(t *testing.T, when, want string) {
	t.Helper()
	if got := s.follow.next(t); got != want {
		t.Errorf("%s, %s: got %q; want %q", s.effect, when, got, want)
	}
}

// stored checks what there is of each attempt: its number, whether it is partial, its lines.
func (s *slowRun) stored(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, a := range decode[[]struct {
		Attempt int
		Partial bool
		Lines   []struct{ Message string }
	}](t, s.host.must(t, "run", "logs", s.run, "--output", "json")) {
		text := fmt.Sprint(a.Attempt, " ", a.Partial)
		for _, l := range a.Lines {
			text += " " + l.Message
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q; want %q", s.effect, got, want)
	}
}

// TestLogsWhileItRuns: a line of a command is seen while the command runs, and stays
// when the host is killed; who follows comes back and misses and doubles nothing. A
// guarded command runs once, and each of its attempts tells all of it.
func TestLogsWhileItRuns(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, start func(...string) *server) {
		host := start()
		srv := sshd(t)
		host.addCredential(t, "key", srv.User, srv.ClientKey)
		host.addAsset(t, target{"web", srv.Host, srv.Port, srv.HostKeys}, "key")
		runs := []*slowRun{host.submitSlow(t, "idempotent"), host.submitSlow(t, "guarded")}
		for _, s := range runs {
			s.next(t, "while the command runs", "try[web]#1 info  stdout: first")
			s.stored(t, "1 true stdout: first")
			if got := host.items(t, s.run)["try/web"].State; got != "leased" && got != "running" {
				t.Errorf("%s: the item is %s; want it at work", s.effect, got)
			}
		}
		host.kill()
		host = start("--listen", strings.TrimPrefix(host.url, "http://"))
		for _, s := range runs {
			s.host = host
			s.next(t, "after the host's death", "try[web]#2 info  stdout: first")
			s.stored(t, "1 true stdout: first", "2 true stdout: first")
			if err := os.WriteFile(s.gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			s.next(t, "at last", "try[web]#2 info  stdout: second")
			s.next(t, "at the end", "")
			if err := <-s.follow.done; err != nil {
				t.Error(err)
			}
			s.stored(t, "1 true stdout: first", "2 false stdout: first stdout: second")
			shown := host.call(t, "run", "logs", s.run)
			if strings.Count(shown.out, "\n") != 3 || !strings.Contains(shown.err, "try[0]#1: so far") || strings.Contains(shown.err, "#2") {
				t.Errorf("%s: got %s%s; want three lines, the first attempt's marked", s.effect, shown.out, shown.err)
			}
			times := map[string]int{"idempotent": 2, "guarded": 1}[s.effect]
			if b, err := os.ReadFile(s.ledger); err != nil || strings.Count(string(b), "ran") != times {
				t.Errorf("%s: it ran %q (%v), want %d times", s.effect, b, err, times)
			}
		}
	})
}

// TestLogsHowSoon: each line comes to who follows once, in order, and soon. LOG_LINES
// sets how many (1,000 for the figures of docs/benchmarks.md); they come 50 a second.
func TestLogsHowSoon(t *testing.T) {
	t.Parallel()
	lines := 50
	if n, err := strconv.Atoi(os.Getenv("LOG_LINES")); err == nil {
		lines = n
	}
	onBoth(t, func(t *testing.T, start func(...string) *server) {
		host := start()
		srv := sshd(t)
		host.addCredential(t, "key", srv.User, srv.ClientKey)
		host.addAsset(t, target{"web", srv.Host, srv.Port, srv.HostKeys}, "key")
		file := write(t, fmt.Sprintf(`
schema: opsconductor/v1
name: talk
targets: {select: "true"}
steps:
  - {id: talk, uses: linux.command@1, for_each: {in: targets}, with: {stream: true, argv: [sh, -c, "i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; sleep 0.02; done"]}}
`, lines))
		follow := host.followLogs(t, runID(t, host.must(t, "run", "submit", file, "--output", "json")), "--output", "jsonl")
		var took []time.Duration
		for n := 1; n <= lines; n++ {
			line := decode[struct {
				N       int
				At      time.Time
				Message string
			}](t, follow.next(t))
			if took = append(took, time.Since(line.At)); line.N != n || line.Message != fmt.Sprint("stdout: ", n) {
				t.Fatalf("line %d is %+v", n, line)
			}
		}
		slices.Sort(took)
		t.Logf("%d lines: p50 %s, p99 %s, the last %s after they were logged", lines, took[lines/2].Round(time.Millisecond), took[lines*99/100].Round(time.Millisecond), took[lines-1].Round(time.Millisecond))
	})
}
