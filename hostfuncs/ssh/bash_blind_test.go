package ssh_test

import (
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs/ssh"
)

// Bash does without another shell where there is no /proc, too.
func TestBashWithoutProc(t *testing.T) {
	t.Parallel()
	if !mayMount(t) {
		t.Skip("needs leave to mount")
	}
	const nonce = "opsconductor-0123"
	line := strings.Replace(ssh.WrapBash(ssh.Command{Argv: []string{"echo", "a"}}, nonce), startsSh, "exec /bin/false ", 1)
	cmd := shell(t, []string{"unshare", "-m", "--propagation", "private", "sh"}, `mount -t tmpfs -o size=4k none /proc && exec bash -c "$0"`, line)
	var errs strings.Builder
	cmd.Stderr = &errs
	if out, err := cmd.Output(); err != nil || string(out) != "a\n" || !strings.HasPrefix(errs.String(), nonce+" ") {
		t.Errorf("%q, %q (%v), want the output and the line that names the process", out, errs.String(), err)
	}
}
