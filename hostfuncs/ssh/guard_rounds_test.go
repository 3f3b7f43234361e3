package ssh_test

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// TestGuardedRounds loses connections and hosts at random moments, until the
// command's result has come: the ledger on the target has it once each time. By
// hand with OC_GUARDED_ROUNDS=1000.
func TestGuardedRounds(t *testing.T) {
	t.Parallel()
	srv := server(t, sshtest.Config{Options: []string{"MaxStartups 100"}})
	o, _ := guardedBy(t)
	rounds, err := strconv.Atoi(os.Getenv("OC_GUARDED_ROUNDS"))
	if err != nil {
		rounds = 12
	}
	var faults atomic.Int64
	for range rounds {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			round(t, srv, o, &faults)
		})
	}
	t.Cleanup(func() { t.Logf("%d rounds, %d connections and hosts lost", rounds, faults.Load()) })
}

// round is one item: up to four attempts are lost in one of two ways.
func round(t *testing.T, srv *sshtest.Server, o ssh.Options, faults *atomic.Int64) {
	t.Helper()
	px, e := through(t, srv)
	file, lines := ledger(t)
	g := ssh.Guard{Token: newToken(), Leave: func(error) bool { return true }}
	for attempt := range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		p := ssh.NewPool(o)
		if attempt < 4 {
			after := time.Duration(rand.Int64N(int64(400 * time.Millisecond)))
			lose := px.Cut // the connection, and it is made again
			if rand.IntN(2) == 0 {
				lose = cancel // the host
			}
			time.AfterFunc(after, func() { faults.Add(1); lose() })
		}
		r, err := p.ExecGuarded(ctx, e, counted(file, "0.2"), g)
		cancel()
		_ = p.Close()
		if err == nil {
			wantCounted(t, r, err)
			break
		}
		if attempt == 4 {
			t.Errorf("the last attempt was left alone, and says: %v", err)
		}
		if g.Since.IsZero() {
			g.Since = time.Now()
		}
	}
	if got := lines(); len(got) != 2 {
		t.Errorf("executions: %q, want one", got)
	}
}
