package ssh_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// The terminal is asked for as it is to be: what runs there before the command's own
// shell finds it so.
func TestTerminalModes(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "modes")
	srv := server(t, sshtest.Config{Options: []string{`ForceCommand stty -a >` + file + `; eval "$SSH_ORIGINAL_COMMAND"`}})
	r := run(t, pool(t, quick()), endpoint(srv), ssh.Command{Argv: []string{"echo", "it runs"}, PTY: &ssh.Terminal{Rows: 7, Cols: 9}})
	if string(r.Stdout.Bytes) != "it runs\n" {
		t.Errorf("stdout %q", r.Stdout.Bytes)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "rows 7; columns 9;") {
		t.Errorf("the terminal's size is not 7 by 9: %s", b)
	}
	modes := strings.Fields(string(b))
	for _, want := range []string{"-echo", "-echonl", "-onlcr", "icanon", "isig", "icrnl"} {
		if !slices.Contains(modes, want) {
			t.Errorf("the terminal is not %s: %s", want, b)
		}
	}
}

// A server that heeds no modes: the shell sets them, so nothing that is sent is echoed,
// and lines end as the command writes them.
func TestTerminalModesIgnored(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{Options: []string{`ForceCommand stty echo echonl onlcr; eval "$SSH_ORIGINAL_COMMAND"`}})
	r := run(t, pool(t, quick()), endpoint(srv), ssh.Command{
		Argv: []string{"sh", "-c", "cat; echo err >&2"}, Stdin: []byte("canary-in\n"), Env: map[string]string{"A": "canary-env"}, PTY: &ssh.Terminal{},
	})
	if got := string(r.Stdout.Bytes); got != "canary-in\nerr\n" || len(r.Stderr.Bytes) > 0 {
		t.Errorf("the stream is %q, and stderr %q; want what the command wrote alone", got, r.Stderr.Bytes)
	}
}

// A terminal that cannot be is refused before anything is dialled.
func TestTerminalBadInput(t *testing.T) {
	t.Parallel()
	f := fake(t, sshtest.FakeConfig{})
	for word, terminal := range map[string]ssh.Terminal{
		"rows or columns are not between 0 and 10000": {Rows: 10_001}, "rows or columns": {Rows: -1}, "columns are not": {Cols: 10_001}, "columns": {Cols: -1},
		"type is longer than 64 characters": {Term: strings.Repeat("x", 65)},
	} {
		_, err := pool(t, quick()).Exec(t.Context(), fakeEndpoint(f), ssh.Command{Argv: []string{"true"}, PTY: &terminal})
		wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, word)
	}
	if n := f.Accepted(); n != 0 {
		t.Errorf("%d connections were opened", n)
	}
}
