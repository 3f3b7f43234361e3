package store_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

func TestHubWakesTheTopic(t *testing.T) {
	t.Parallel()
	var h store.Hub
	inbox, stopInbox := h.Listen(store.TopicInbox)
	entries, stopEntries := h.Listen(store.TopicEntries)
	defer stopEntries()
	h.Signal(store.Topics{})
	h.Signal(store.Topics{store.TopicEntries})
	h.Signal(store.Topics{store.TopicEntries}) // coalesced
	if len(inbox) != 0 || len(entries) != 1 {
		t.Errorf("after news of entries: %d for the inbox, %d for entries; want 0 and 1", len(inbox), len(entries))
	}
	h.Signal(store.Topics{store.TopicInbox})
	if len(inbox) != 1 {
		t.Error("news of the inbox did not come")
	}
	<-inbox
	stopInbox()
	h.Signal(store.Topics{store.TopicInbox, store.TopicEntries})
	if len(inbox) != 0 {
		t.Error("a channel that was given back received")
	}
}

func TestGateWaitsForThoseInside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g store.Gate
		for range 2 {
			if err := g.Enter(); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		shut := make(chan bool, 2)
		for range 2 {
			wg.Go(func() { shut <- g.Shut() })
		}
		synctest.Wait()
		if err := g.Enter(); automation.CodeOf(err) != automation.CodeUnavailable {
			t.Errorf("entering a gate that is being shut: got %v; want unavailable", err)
		}
		g.Leave()
		synctest.Wait()
		if len(shut) != 0 {
			t.Error("the gate did not wait for the last one inside")
		}
		g.Leave()
		wg.Wait()
		if first, second := <-shut, <-shut; first == second {
			t.Error("of two that shut the gate, exactly one is the first")
		}
	})
}

func TestLogsComeBack(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text     string
		encoding int
	}{"short": {"a", store.LogsPlain}, "long": {strings.Repeat("ab", 10_000), store.LogsGzip}} {
		lines := []automation.LogLine{{At: time.Unix(1, 0).UTC(), Level: "info", Message: tt.text}, {Message: "b"}}
		body, encoding, err := store.EncodeLogs(lines)
		if err != nil || encoding != tt.encoding || len(body) > 1000 {
			t.Errorf("%s: %d bytes in encoding %d, %v; want encoding %d", name, len(body), encoding, err, tt.encoding)
		}
		got, err := store.DecodeLogs(body, encoding)
		if diff := cmp.Diff(lines, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	if _, err := store.DecodeLogs([]byte("[]"), store.LogsGzip); err == nil {
		t.Error("what is not compressed was unpacked")
	}
}

// TestAuditHashCoversEveryField: no two entries that differ have one hash, also
// where bytes move from one field to the next.
func TestAuditHashCoversEveryField(t *testing.T) {
	t.Parallel()
	base := automation.AuditEntry{Seq: 2, Tenant: "t", At: time.Unix(5, 0), By: "by", Action: "act", Object: "obj", Detail: []byte("{}"), Previous: []byte{1, 2}}
	seen := map[string]string{}
	for name, change := range map[string]func(*automation.AuditEntry){
		"nothing":            func(*automation.AuditEntry) {},
		"seq":                func(e *automation.AuditEntry) { e.Seq++ },
		"tenant":             func(e *automation.AuditEntry) { e.Tenant = "u" },
		"at":                 func(e *automation.AuditEntry) { e.At = e.At.Add(time.Microsecond) },
		"by":                 func(e *automation.AuditEntry) { e.By = "bz" },
		"action":             func(e *automation.AuditEntry) { e.Action = "acu" },
		"object":             func(e *automation.AuditEntry) { e.Object = "obk" },
		"detail":             func(e *automation.AuditEntry) { e.Detail = nil },
		"previous":           func(e *automation.AuditEntry) { e.Previous = []byte{1} },
		"by to action":       func(e *automation.AuditEntry) { e.By, e.Action = "b", "yact" },
		"action to object":   func(e *automation.AuditEntry) { e.Action, e.Object = "ac", "tobj" },
		"object to detail":   func(e *automation.AuditEntry) { e.Object, e.Detail = "ob", []byte("j{}") },
		"previous to tenant": func(e *automation.AuditEntry) { e.Previous, e.Tenant = []byte{1}, "\x02t" },
	} {
		e := base
		change(&e)
		hash := string(store.AuditHash(e))
		if twin, ok := seen[hash]; ok {
			t.Errorf("%q and %q have one hash", name, twin)
		}
		seen[hash] = name
	}
	e := base
	e.Hash, e.At = []byte("other"), e.At.Add(time.Nanosecond)
	if seen[string(store.AuditHash(e))] != "nothing" {
		t.Error("the hash depends on Hash, or on what no store keeps of a time")
	}
}

func TestMomentIsWhatStoresKeep(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.FixedZone("x", 3600))
	if got, want := store.Moment(at), time.Date(2026, 1, 2, 2, 4, 5, 6000, time.UTC); got != want {
		t.Errorf("got %v; want %v", got, want)
	}
	if got := store.Moment(time.Time{}); !got.IsZero() {
		t.Errorf("the zero time became %v", got)
	}
}
