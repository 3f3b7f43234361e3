package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/store/postgres"
	"opsconductor.dev/host/store/storetest"
)

// TestAcceptsOfManyProcesses: processes that accept at the same time, in several
// tenants and with keys that they share, neither wait for each other for ever
// nor fail; a key makes one run among them all, a reader misses none, and every
// tenant's audit log is whole.
func TestAcceptsOfManyProcesses(t *testing.T) {
	t.Parallel()
	url := database(t)
	processes := []*postgres.DB{open(t, url), open(t, url), open(t, url)}
	plan := automation.Digest(strings.Repeat("a", 64))
	tenants := []automation.TenantID{"a", "b", "c"}
	for _, tenant := range tenants {
		if err := processes[0].PutPlan(t.Context(), tenant, plan, []byte("{}"), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	var turn, created atomic.Int64
	var mu sync.Mutex
	byKey := map[string]automation.RunID{}
	accept := func(*storetest.Follower) (automation.RunID, error) {
		i := int(turn.Add(1))
		now, tenant := time.Now(), tenants[i%len(tenants)]
		key := fmt.Sprint(i / 9) // nine calls, over three processes and tenants, have one
		run := automation.Run{ID: automation.NewID[automation.RunID](), Tenant: tenant, PlanHash: plan, Created: now}
		act := automation.Act{Tenant: tenant, By: "ann", Action: "run.submit", At: now, Key: key, Request: "r"}
		if i%2 == 0 {
			key, act.Key = fmt.Sprint("none ", i), ""
		}
		got, fresh, err := processes[i/3%len(processes)].Accept(t.Context(), run, act)
		if err != nil {
			return "", err
		}
		if fresh {
			created.Add(1)
		}
		mu.Lock()
		defer mu.Unlock()
		name := string(tenant) + key
		if first, ok := byKey[name]; ok && first != got.ID {
			return "", errors.New("one key made two runs")
		}
		byKey[name] = got.ID
		return got.ID, nil
	}
	missed := storetest.FollowWhile(t, processes[0], 18, 20, accept)
	if len(missed) > 0 {
		t.Errorf("the reader missed %d runs", len(missed))
	}
	if int(created.Load()) != len(byKey) {
		t.Errorf("%d runs for %d keys", created.Load(), len(byKey))
	}
	for _, tenant := range tenants {
		if _, err := store.VerifyAudit(t.Context(), processes[1], tenant); err != nil {
			t.Errorf("audit log of tenant %s: %v", tenant, err)
		}
	}
}
