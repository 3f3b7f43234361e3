package ssh_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// The commands of two attempts stand side by side before the recorder, or before the
// claim of the journal, and go on at the same moment: one of them runs.
func TestGuardedSideBySide(t *testing.T) {
	t.Parallel()
	for _, gate := range []string{"recorder", "claim"} {
		t.Run(gate, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			shim := fmt.Sprintf("#!/bin/sh\nat=claim; case $3 in *_gkeep*) at=recorder;; esac\n"+
				"if [ $at = %[2]s ]; then : >%[1]s/held-$$; while [ -e %[1]s/shut ]; do sleep 0.02; done; fi\nexec /usr/bin/setsid \"$@\"\n", dir, gate)
			if err := os.WriteFile(filepath.Join(dir, "setsid"), []byte(shim), 0o700); err != nil { //nolint:gosec // it is run
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "shut"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			e := endpoint(server(t, sshtest.Config{Options: []string{"SetEnv PATH=" + dir + ":" + os.Getenv("PATH")}}))
			o, _ := guardedBy(t)
			file, lines := ledger(t)
			g := ssh.Guard{Token: newToken(), Leave: func(error) bool { return true }}
			held := func(n int) func() bool {
				return func() bool { m, _ := filepath.Glob(filepath.Join(dir, "held-*")); return len(m) == n }
			}
			ctx, lose := context.WithCancel(t.Context())
			first := make(chan error, 1)
			go func() {
				_, err := pool(t, o).ExecGuarded(ctx, e, counted(file, "0.2"), g)
				first <- err
			}()
			eventually(t, "the first attempt is there", held(1))
			lose()
			<-first
			go func() {
				eventually(t, "the second is there too", held(2))
				_ = os.Remove(filepath.Join(dir, "shut"))
			}()
			g.Since = time.Now()
			r, err := pool(t, o).ExecGuarded(t.Context(), e, counted(file, "0.2"), g)
			wantCounted(t, r, err)
			if got := lines(); len(got) != 2 {
				t.Errorf("executions: %q, want one", got)
			}
		})
	}
}
