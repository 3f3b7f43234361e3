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

// TestLogsWhileItRuns: a line of a command is seen while the command runs, and stays
// when the host is killed; who follows comes back and misses and doubles nothing.
func TestLogsWhileItRuns(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, start func(...string) *server) {
		host := start()
		srv := sshd(t)
		host.addCredential(t, "key", srv.User, srv.ClientKey)
		host.addAsset(t, target{"web", srv.Host, srv.Port, srv.HostKeys}, "key")
		gate := filepath.Join(t.TempDir(), "gate")
		file := write(t, fmt.Sprintf(`
schema: opsconductor/v1
name: slow
targets: {select: "true"}
steps:
  - {id: try, uses: linux.command@1, for_each: {in: targets}, effect: idempotent, with: {stream: true, argv: [sh, -c, "echo first; while ! test -e %s; do sleep 0.05; done; echo second"]}}
`, gate))
		run := runID(t, host.must(t, "run", "submit", file, "--output", "json"))
		follow := host.followLogs(t, run)
		if got := follow.next(t); got != "try[web]#1 info  stdout: first" {
			t.Errorf("while the command runs: got %q; want its first line", got)
		}
		logs := func() []string {
			var out []string
			for _, a := range decode[[]struct {
				Attempt int
				Partial bool
				Lines   []struct{ Message string }
			}](t, host.must(t, "run", "logs", run, "--output", "json")) {
				text := fmt.Sprint(a.Attempt, " ", a.Partial)
				for _, l := range a.Lines {
					text += " " + l.Message
				}
				out = append(out, text)
			}
			return out
		}
		if got, want := logs(), []string{"1 true stdout: first"}; !slices.Equal(got, want) {
			t.Errorf("got %q; want %q", got, want)
		}
		if got := host.items(t, run)["try/web"].State; got != "leased" {
			t.Errorf("the item is %s; want it at work", got)
		}
		host.kill()
		host = start("--listen", strings.TrimPrefix(host.url, "http://"))
		if got := follow.next(t); got != "try[web]#2 info  stdout: first" {
			t.Errorf("after the host's death: got %q; want the next attempt's first line", got)
		}
		if got, want := logs(), []string{"1 true stdout: first", "2 true stdout: first"}; !slices.Equal(got, want) {
			t.Errorf("got %q; want %q", got, want)
		}
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := follow.next(t); got != "try[web]#2 info  stdout: second" {
			t.Errorf("got %q; want the second line", got)
		}
		if got, err := follow.next(t), <-follow.done; got != "" || err != nil {
			t.Errorf("got %q, %v; want the end", got, err)
		}
		if got, want := logs(), []string{"1 true stdout: first", "2 false stdout: first stdout: second"}; !slices.Equal(got, want) {
			t.Errorf("got %q; want %q", got, want)
		}
		shown := host.call(t, "run", "logs", run)
		if strings.Count(shown.out, "\n") != 3 || !strings.Contains(shown.err, "try[0]#1: so far") || strings.Contains(shown.err, "#2") {
			t.Errorf("got %s%s; want three lines, the first attempt's marked", shown.out, shown.err)
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
