package ssh_test

import (
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// A host keeps hundreds of idle connections: each is one goroutine beside x/crypto's
// three, and none is left when the pool is closed.
func TestIdleGoroutines(t *testing.T) {
	t.Parallel()
	const servers, each = 20, 4
	fleet, err := sshtest.StartFleet(servers, sshtest.FakeConfig{Quick: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.Stop()
	p := ssh.NewPool(ssh.Options{KeepAlive: 300 * time.Millisecond})
	pprof.Do(t.Context(), pprof.Labels("test", t.Name()), func(context.Context) { // what is begun here has the label
		for i, f := range fleet.Servers {
			run(t, p, f.Endpoint(fmt.Sprint("fake", i)), ssh.Command{Argv: []string{"true"}})
		}
	})
	eventually(t, "idle connections have few goroutines", func() bool { return labelled(t) == servers*each })
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "a closed pool has none", func() bool { return labelled(t) == 0 })
}

// labelled counts the goroutines that the test has begun with its label.
func labelled(t *testing.T) int {
	t.Helper()
	var b strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		t.Fatal(err)
	}
	n, sum := 0, 0
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Sscanf(line, "%d @", &n); err == nil {
			continue
		}
		if strings.HasPrefix(line, "# labels:") && strings.Contains(line, t.Name()) {
			sum += n
		}
	}
	return sum
}
