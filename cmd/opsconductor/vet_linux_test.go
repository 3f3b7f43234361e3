package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"opsconductor.dev/host/app"
	"opsconductor.dev/host/registry"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
)

const slowManifest = `{"abi": 1, "name": "slow", "version": "1.0.0", "description": "x", "host_functions": [],
	"actions": [{"name": "run", "description": "x", "effect": "pure", "input": {"type": "object"}, "output": {"type": "object"}}]}`

// slow is a module with many functions of many loops, a thousand bytes each.
func slow(t *testing.T, functions, loops int) string {
	t.Helper()
	var b wasmtest.Builder
	b.Memory(1)
	b.Action("run", 0x41, 0)
	for range functions {
		b.Func(">", []byte(strings.Repeat("\x03\x40\x0b", loops))...)
	}
	b.Custom(registry.Section, []byte(slowManifest))
	return write(t, string(b.Bytes()))
}

// TestCompileBombEndsItsProcess: what is uploaded meets the compiler in a process
// without rights. What ends that process, as a bomb does, leaves the host as it was,
// and the upload is refused; so is a bomb that is known as one.
func TestCompileBombEndsItsProcess(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	refused := func(what string, a answer) {
		if a.code == exitOK || !strings.Contains(a.err, "bad_plugin") {
			t.Errorf("%s: exit code %d, want bad_plugin:\n%s", what, a.code, a.err)
		}
	}
	refused("a function of 90,000 loops", host.call(t, "plugin", "upload", slow(t, 1, 90_000)))

	file := slow(t, 1000, 100) // passes every check that needs no compiler
	var got answer
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() { got = host.call(t, "plugin", "upload", file); close(done) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	pid, err := vetter(ctx, host.cmd.Process.Pid, done)
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	wg.Wait()
	if err != nil {
		t.Fatalf("%v; the upload: %+v", err, got)
	}
	refused("a process that ended", got)
	if !strings.Contains(got.err, "ended the process that tried it") {
		t.Errorf("got %s, want the process named", got.err)
	}
	host.must(t, "plugin", "list")
	host.must(t, "plugin", "upload", slow(t, 1, 10))
}

// vetter waits for the process in which the host vets a plugin to have given up its
// rights, and returns its number.
func vetter(ctx context.Context, host int, uploaded <-chan struct{}) (int, error) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-uploaded:
			return 0, errors.New("the upload ended, and no process without rights was seen to vet it")
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		entries, err := os.ReadDir("/proc")
		if err != nil {
			return 0, err
		}
		for _, e := range entries {
			if pid, err := strconv.Atoi(e.Name()); err == nil && vets(pid, host) {
				return pid, nil
			}
		}
	}
}

func vets(pid, host int) bool {
	words, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(words), "\x00"+app.VettingCommand+"\x00") {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for _, want := range []string{fmt.Sprintf("PPid:\t%d\n", host), "NoNewPrivs:\t1\n", "Seccomp:\t2\n", "CapEff:\t0000000000000000\n"} {
		if !strings.Contains(string(status), want) {
			return false
		}
	}
	return true
}
