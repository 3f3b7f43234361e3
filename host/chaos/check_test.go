package chaos_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/chaos"
)

// story is a history in which all is well, and its ledger: one run with two items of
// a step that may run twice and two of one that must not, which have one place. The
// first item of each was granted twice: the first host was lost.
type story struct {
	h      chaos.History
	ledger []chaos.Line
}

func at(ms int) time.Time { return time.UnixMilli(1_000_000).Add(time.Duration(ms) * time.Millisecond) }

func well() *story {
	fact := func(kind automation.FactKind, ms, step, item, attempt int, host automation.HostID) automation.Fact {
		return automation.Fact{Kind: kind, At: at(ms), Step: step, Item: item, Attempt: attempt, Host: host, HostEpoch: 1}
	}
	ends := func(ms, step, item, attempt int, host automation.HostID) automation.Fact {
		f := fact(automation.FactAttemptEnded, ms, step, item, attempt, host)
		f.Outcome = &automation.Outcome{State: automation.ItemSucceeded, StartedAt: at(ms - 1)}
		return f
	}
	lost := func(ms, step, item, attempt int, host automation.HostID) automation.Fact {
		f := fact(automation.FactAttemptEnded, ms, step, item, attempt, host)
		f.Outcome = &automation.Outcome{State: automation.ItemFailed, Error: &automation.Error{Code: automation.CodeHostLost}}
		return f
	}
	granted, intent := automation.FactAttemptGranted, automation.FactAttemptStarted
	line := func(kind, step, item, nonce string, ms int) chaos.Line {
		return chaos.Line{Run: "r", Step: step, Item: item, Nonce: nonce, Kind: kind, At: at(ms)}
	}
	succeeded := automation.ItemSucceeded
	return &story{
		h: chaos.History{
			Steps:  []chaos.Step{{ID: "again", Parallel: 2}, {ID: "once", Once: true, Needs: []string{"again"}, Key: "k"}},
			Limits: map[string]int{"k": 1}, Faults: []chaos.Span{{From: at(5), To: at(6)}}, Grace: 10 * time.Millisecond,
			Runs: []chaos.Run{{
				ID: "r", State: automation.RunSucceeded,
				Items: []chaos.Item{
					{Step: "again", Index: 0, Target: "a", State: succeeded, Nonce: "n2"},
					{Step: "again", Index: 1, Target: "b", State: succeeded, Nonce: "n3"},
					{Step: "once", Index: 0, Target: "a", State: succeeded, Nonce: "n4"},
					{Step: "once", Index: 1, Target: "b", State: succeeded, Nonce: "n5"},
				},
				Events: []chaos.Event{
					{RunState: automation.RunRunning},
					{Step: "again", Item: 0, State: automation.ItemLeased},
					{Step: "again", Item: 0, State: succeeded},
					{RunState: automation.RunSucceeded},
				},
				Entries: []automation.Entry{
					{Seq: 1, Facts: []automation.Fact{fact(granted, 1, 0, 0, 1, "x"), fact(granted, 1, 0, 1, 1, "y")}},
					{Seq: 2, Facts: []automation.Fact{ends(6, 0, 1, 1, "y"), lost(8, 0, 0, 1, "x"), fact(granted, 8, 0, 0, 2, "y")}},
					{Seq: 3, Facts: []automation.Fact{ends(20, 0, 0, 2, "y"), fact(granted, 20, 1, 0, 1, "y"), fact(intent, 21, 1, 0, 1, "y")}},
					{Seq: 4, Facts: []automation.Fact{ends(30, 1, 0, 1, "y"), fact(granted, 30, 1, 1, 1, "y"), fact(intent, 31, 1, 1, 1, "y")}},
					{Seq: 5, Facts: []automation.Fact{ends(40, 1, 1, 1, "y")}},
				},
			}},
		},
		ledger: []chaos.Line{
			line("start", "again", "a", "n1", 2), line("start", "again", "b", "n3", 3), line("end", "again", "b", "n3", 5),
			line("start", "again", "a", "n2", 10), line("end", "again", "a", "n2", 12),
			line("start", "once", "a", "n4", 22), line("end", "once", "a", "n4", 25),
			line("start", "once", "b", "n5", 32), line("end", "once", "b", "n5", 35),
		},
	}
}

// TestPlanted: nothing is found where all is well, and each fault that is planted
// into the history or the ledger is found by its rule.
func TestPlanted(t *testing.T) {
	t.Parallel()
	if got := chaos.Check(&well().h, well().ledger); len(got) > 0 {
		t.Fatalf("all is well, and it found %v", got)
	}
	run := func(s *story) *chaos.Run { return &s.h.Runs[0] }
	entry := func(s *story, seq int) *automation.Entry { return &run(s).Entries[seq-1] }
	for name, tt := range map[string]struct {
		rule  string
		plant func(s *story)
	}{
		"a run that nobody knows":    {"lost", func(s *story) { run(s).State, run(s).Events = "", nil }},
		"a run that goes on":         {"lost", func(s *story) { run(s).State, run(s).Events = automation.RunRunning, nil }},
		"an item that goes on":       {"lost", func(s *story) { run(s).Items[0].State = automation.ItemRunning }},
		"a success without an end":   {"untrue", func(s *story) { s.ledger = s.ledger[:8] }},
		"a success of another nonce": {"untrue", func(s *story) { run(s).Items[1].Nonce = "n9" }},
		"a success that failed":      {"untrue", func(s *story) { s.ledger[8].Exit = 3 }},
		"told, and it had not ended": {"untrue", func(s *story) { run(s).Items[3].Nonce, run(s).Items[3].Told, s.ledger = "", true, s.ledger[:8] }},
		"not begun, it says":         {"untrue", func(s *story) { run(s).Items[3].State, run(s).Items[3].Before = automation.ItemFailed, true }},
		"begun without an intent":    {"intent", func(s *story) { entry(s, 4).Facts = entry(s, 4).Facts[:2] }},
		"begun before the intent":    {"intent", func(s *story) { entry(s, 4).Facts[2].At = at(33) }},
		"begun twice": {"twice", func(s *story) {
			s.ledger = append(s.ledger, chaos.Line{Run: "r", Step: "once", Item: "b", Nonce: "n6", Kind: "start", At: at(36)})
		}},
		"ended twice":                   {"terminal", func(s *story) { entry(s, 5).Facts = append(entry(s, 5).Facts, entry(s, 5).Facts[0]) }},
		"intended twice":                {"terminal", func(s *story) { entry(s, 4).Facts = append(entry(s, 4).Facts, entry(s, 4).Facts[2]) }},
		"granted twice":                 {"terminal", func(s *story) { entry(s, 1).Facts = append(entry(s, 1).Facts, entry(s, 1).Facts[1]) }},
		"granted while it is open":      {"terminal", func(s *story) { f := entry(s, 2).Facts; entry(s, 2).Facts = slices.Delete(f, 1, 2) }},
		"ended by who does not have it": {"terminal", func(s *story) { entry(s, 5).Facts[0].Host = "z" }},
		"ended by an epoch of before":   {"terminal", func(s *story) { entry(s, 5).Facts[0].HostEpoch = 0 }},
		"an item that went on": {"terminal", func(s *story) {
			run(s).Events = slices.Insert(run(s).Events, 3, chaos.Event{Step: "again", State: automation.ItemReady})
		}},
		"an item that ended twice": {"terminal", func(s *story) {
			run(s).Events = slices.Insert(run(s).Events, 3, chaos.Event{Step: "again", State: automation.ItemFailed})
		}},
		"a run that ended twice": {"terminal", func(s *story) {
			run(s).Events = append(run(s).Events, chaos.Event{RunState: automation.RunFailed})
			run(s).State = automation.RunFailed
		}},
		"events that end otherwise":    {"terminal", func(s *story) { run(s).State = automation.RunFailed }},
		"a zombie's outcome":           {"zombie", func(s *story) { entry(s, 5).Facts[0].Host = "x" }},
		"a zombie's intent":            {"zombie", func(s *story) { entry(s, 4).Facts[2].Host = "x" }},
		"before what it needs":         {"order", func(s *story) { s.ledger[5].At = at(11) }},
		"two at one place, by facts":   {"limit", func(s *story) { entry(s, 4).Facts[1].At = at(29) }},
		"two at one place, by ledgers": {"limit", func(s *story) { s.ledger[6].At = at(33) }},
		"more than max_parallel":       {"limit", func(s *story) { s.h.Steps[0].Parallel = 1 }},
		"unknown without a fault": {"unknown", func(s *story) {
			entry(s, 5).Facts[0].Outcome.State = automation.ItemUnknown
			s.h.Faults = []chaos.Span{{From: at(0), To: at(15)}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := well()
			tt.plant(s)
			got := chaos.Check(&s.h, s.ledger)
			if !slices.ContainsFunc(got, func(v chaos.Violation) bool { return v.Rule == tt.rule && v.Detail != "" && v.Run == "r" }) {
				t.Errorf("got %v; want one of the rule %s", got, tt.rule)
			}
		})
	}
}

// TestExcused: what looks like a fault and is none is not found.
func TestExcused(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(s *story){
		"unknown, near a fault": func(s *story) {
			s.h.Runs[0].Entries[4].Facts[0].Outcome.State = automation.ItemUnknown
			s.h.Faults = []chaos.Span{{From: at(35), To: at(36)}}
			s.h.Runs[0].Entries = append(s.h.Runs[0].Entries, automation.Entry{Seq: 6, Facts: []automation.Fact{{Kind: automation.FactItemResolved, At: at(50), Step: 1, Item: 1}}})
		},
		"told that it ran":          func(s *story) { s.h.Runs[0].Items[3].Nonce, s.h.Runs[0].Items[3].Told = "", true },
		"failed after it had begun": func(s *story) { s.h.Runs[0].Items[3].State = automation.ItemFailed },
		"lost, and another has ended": func(s *story) {
			s.ledger = append(s.ledger, chaos.Line{Run: "r", Step: "again", Item: "a", Nonce: "n1", Kind: "end", At: at(60)})
		},
	} {
		s := well()
		plant(s)
		if got := chaos.Check(&s.h, s.ledger); len(got) > 0 {
			t.Errorf("%s: found %v", name, got)
		}
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	s := well()
	if s.h.Items() != 4 || s.h.Ended() != 1 || s.h.Unknown() != 0 {
		t.Errorf("got %d items, %d ended, %d unknown; want 4, 1, 0", s.h.Items(), s.h.Ended(), s.h.Unknown())
	}
	if got, ok := s.h.Granted(at(8)); !ok || !got.Equal(at(20)) {
		t.Errorf("the first grant after 8 ms: got %s, %t; want 20 ms", got, ok)
	}
	if got := s.h.Silence(chaos.Span{From: at(5), To: at(35)}); got != 12*time.Millisecond {
		t.Errorf("the longest time without a grant from 5 to 35 ms: got %s; want 12 ms, from 8 to 20", got)
	}
	if _, ok := s.h.Granted(at(90)); ok {
		t.Error("a grant after everything")
	}
}

func TestReadLedger(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "ledger")
	if got, err := chaos.ReadLedger(name); err != nil || len(got) != 0 {
		t.Errorf("no ledger: got %v, %v", got, err)
	}
	for text, want := range map[string]int{
		`{"run":"r","kind":"start"}` + "\n" + `{"run":"r","ki`:        1, // killed while it wrote
		`{"run":"r","kind":"start"}` + "\n" + `{"run"` + "\n":         -1,
		`{"run":"r","kind":"start"}` + "\n" + `{"kind":"end"}` + "\n": 2,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := chaos.ReadLedger(name)
		if want < 0 != (err != nil) || want >= 0 && len(got) != want {
			t.Errorf("%q: got %d lines, %v; want %d", text, len(got), err, want)
		}
	}
}
