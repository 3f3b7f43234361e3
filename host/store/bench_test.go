package store_test

import (
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// facts is what one step adds to the log: its grant and its end.
func facts() []automation.Fact {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	host := automation.HostID("01900000-0000-7000-8000-000000000001")
	return []automation.Fact{
		{Kind: automation.FactAttemptGranted, At: at, Item: 7, Attempt: 1, Host: host, HostEpoch: 1, Input: []byte(`{"path":"/var"}`)},
		{Kind: automation.FactAttemptEnded, At: at, Item: 7, Attempt: 1, Host: host, HostEpoch: 1, Outcome: &automation.Outcome{
			State: automation.ItemSucceeded, Output: []byte(`{"exit_code":0,"stdout":"ok"}`), StartedAt: at, EndedAt: at,
		}},
	}
}

func BenchmarkEncodeFacts(b *testing.B) {
	for b.Loop() {
		if _, err := store.EncodeFacts(facts()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeFacts(b *testing.B) {
	body, err := store.EncodeFacts(facts())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := store.DecodeFacts(body); err != nil {
			b.Fatal(err)
		}
	}
}
