package ssh_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

func TestExec(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	p := pool(t, ssh.Options{})
	long := strings.Repeat("0123456789abcdef", 4096) // 64 KiB
	many := []string{"printf", "%s"}
	for range 16 {
		many = append(many, long)
	}
	for name, tc := range map[string]struct {
		cmd            ssh.Command
		code           int
		signal         string
		stdout, stderr string
	}{
		"argv":       {cmd: ssh.Command{Argv: []string{"printf", "%s|", "a b", "$HOME", "`id`", "'", `"`, `\`, "*", "", "-n"}}, stdout: "a b|$HOME|`id`|'|\"|\\|*||-n|"},
		"newlines":   {cmd: ssh.Command{Argv: []string{"printf", "%s|", "a\nb\n", "\n", "!x"}}, stdout: "a\nb\n|\n|!x|"},
		"stdin":      {cmd: ssh.Command{Argv: []string{"cat"}, Stdin: []byte("in\x00\xff\nput")}, stdout: "in\x00\xff\nput"},
		"no stdin":   {cmd: ssh.Command{Argv: []string{"cat"}}},
		"exit code":  {cmd: ssh.Command{Argv: []string{"sh", "-c", "exit 42"}}, code: 42},
		"signal":     {cmd: ssh.Command{Argv: []string{"sh", "-c", "kill -s KILL $$"}}, code: -1, signal: "KILL"},
		"streams":    {cmd: ssh.Command{Argv: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}}, code: 3, stdout: "out\n", stderr: "err\n"},
		"script":     {cmd: ssh.Command{Argv: []string{"/bin/sh", "-s", "--", "-x", "a b"}, Stdin: []byte("echo \"$#\" \"$1\" \"$2\"\nfalse\n")}, code: 1, stdout: "2 -x a b\n"},
		"env":        {cmd: ssh.Command{Argv: []string{"sh", "-c", `printf '%s|%s' "$A" "$IFS"`}, Env: map[string]string{"A": "it's \"$x\"\n\\", "IFS": "q"}}, stdout: "it's \"$x\"\n\\|" + " \t\n"},
		"env, stdin": {cmd: ssh.Command{Argv: []string{"sh", "-c", "cat; echo $A"}, Env: map[string]string{"A": "1"}, Stdin: []byte("text\n")}, stdout: "text\n1\n"},
		"non UTF-8":  {cmd: ssh.Command{Argv: []string{"printf", `%s\377\000`, "\xfe\xff"}}, stdout: "\xfe\xff\xff\x00"},
		"1 MB args":  {cmd: ssh.Command{Argv: many}, stdout: strings.Repeat(long, 16)},
		"missing":    {cmd: ssh.Command{Argv: []string{"no-such-program"}}, code: 127, stderr: "sh: 1: exec: no-such-program: not found\n"},
		"directory":  {cmd: ssh.Command{Argv: []string{"/"}}, code: 126, stderr: "sh: 1: exec: /: Permission denied\n"},
		"own group":  {cmd: ssh.Command{Argv: []string{"sh", "-c", `read -r a b c d g z </proc/$$/stat; [ $g = $$ ]`}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, p, e, tc.cmd)
			if code(r) != tc.code || r.Signal != tc.signal {
				t.Errorf("exit code %d signal %q, want %d %q", code(r), r.Signal, tc.code, tc.signal)
			}
			if got := string(r.Stdout.Bytes); got != tc.stdout {
				t.Errorf("stdout is %d bytes %.200q, want %d bytes %.200q", len(got), got, len(tc.stdout), tc.stdout)
			}
			if diff := cmp.Diff(tc.stderr, string(r.Stderr.Bytes)); diff != "" {
				t.Errorf("stderr (-want +got):\n%s", diff)
			}
			if r.Stdout.Total != int64(len(tc.stdout)) || r.Stdout.Truncated {
				t.Errorf("stdout: total %d truncated %t, want %d and not", r.Stdout.Total, r.Stdout.Truncated, len(tc.stdout))
			}
		})
	}
}

func TestExecLargeStdin(t *testing.T) {
	t.Parallel()
	e := endpoint(server(t, sshtest.Config{}))
	p := pool(t, ssh.Options{})
	in := bytes.Repeat([]byte("0123456789abcde\n"), 300_000)
	r := run(t, p, e, ssh.Command{Argv: []string{"cat"}, Stdin: in, MaxOutput: len(in)})
	if !bytes.Equal(r.Stdout.Bytes, in) {
		t.Errorf("%d bytes came back, want the %d that went in", len(r.Stdout.Bytes), len(in))
	}
	if r := run(t, p, e, ssh.Command{Argv: []string{"true"}, Stdin: in}); code(r) != 0 {
		t.Errorf("a command that does not read its input: exit code %d, want 0", code(r))
	}
}
