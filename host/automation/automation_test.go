package automation_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"opsconductor.dev/host/automation"
)

func TestNewIDSortsAndIsUnique(t *testing.T) {
	t.Parallel()
	const workers, each = 8, 2000
	lists := make([][]automation.RunID, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				lists[w] = append(lists[w], automation.NewID[automation.RunID]())
			}
		})
	}
	wg.Wait()
	seen := map[automation.RunID]bool{}
	for w, list := range lists {
		if !slices.IsSorted(list) {
			t.Errorf("worker %d: identifiers are not in the order in which they were made", w)
		}
		for _, id := range list {
			if seen[id] {
				t.Fatalf("%s was made twice", id)
			}
			seen[id] = true
			if id[14] != '7' || !strings.ContainsRune("89ab", rune(id[19])) {
				t.Fatalf("%s is no UUID of version 7", id)
			}
		}
	}
}

func TestParseID(t *testing.T) {
	t.Parallel()
	good := automation.NewID[automation.AssetID]()
	if got, err := automation.ParseID[automation.AssetID](string(good)); got != good || err != nil {
		t.Errorf("ParseID(%s): got %s, %v", good, got, err)
	}
	for _, bad := range []string{"", "x", strings.ToUpper(string(good)), string(good) + "0", strings.Replace(string(good), "-", "0", 1), strings.Repeat("g", 36)} {
		if got, err := automation.ParseID[automation.AssetID](bad); automation.CodeOf(err) != automation.CodeBadRequest || got != "" {
			t.Errorf("ParseID(%q): got %q, %v; want bad_request", bad, got, err)
		}
	}
}

// TestTransitions holds the table to its promises: only known states, no way out
// of an ended one, every state but the first can be reached, no row twice.
func TestTransitions(t *testing.T) {
	t.Parallel()
	checkTable(t, automation.RunTransitions(), automation.RunStates(),
		[]automation.RunState{automation.RunAwaitingApproval, automation.RunQueued}, automation.RunState.Ended)
	checkTable(t, automation.ItemTransitions(), automation.ItemStates(),
		[]automation.ItemState{automation.ItemBlocked}, automation.ItemState.Ended)
	if automation.RunSucceeded.CanBecome(automation.RunRunning) || !automation.RunQueued.CanBecome(automation.RunRunning) {
		t.Error("RunState.CanBecome does not follow the table")
	}
	if automation.ItemBlocked.CanBecome(automation.ItemRunning) || !automation.ItemReady.CanBecome(automation.ItemLeased) {
		t.Error("ItemState.CanBecome does not follow the table")
	}
}

func checkTable[S ~string](t *testing.T, table []automation.Transition[S], states, first []S, ended func(S) bool) {
	t.Helper()
	reached := map[S]bool{}
	rows := map[string]bool{}
	for _, s := range first {
		reached[s] = true
	}
	for _, row := range table {
		key := string(row.From) + ">" + string(row.To)
		if rows[key] {
			t.Errorf("%s stands twice", key)
		}
		rows[key], reached[row.To] = true, true
		if !slices.Contains(states, row.From) || !slices.Contains(states, row.To) || row.Why == "" {
			t.Errorf("%s has an unknown state or no reason", key)
		}
		if ended(row.From) {
			t.Errorf("%s leaves a final state", key)
		}
	}
	for _, s := range states {
		if !reached[s] {
			t.Errorf("%s can't be reached", s)
		}
		if !ended(s) && !slices.ContainsFunc(table, func(row automation.Transition[S]) bool { return row.From == s }) {
			t.Errorf("%s has no way out", s)
		}
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	const canary = "hunter2-canary"
	s := automation.NewSecret([]byte(canary))
	holder := struct {
		S automation.Secret
		P *automation.Secret
	}{s, &s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
		fmt.Fprintf(&out, verb+"\n", holder)
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", []automation.Secret{s})
	}
	for _, v := range []any{holder, s, map[string]any{"k": s}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", slog.Any("secret", s), slog.Any("holder", holder))
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", slog.Any("secret", s), slog.Any("holder", holder))
	fmt.Fprint(&out, errors.New(fmt.Sprint("wrapped: ", s)))
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprint([]byte(canary))} {
		if strings.Contains(out.String(), form) {
			t.Errorf("a secret was printed as %q", form)
		}
	}
	if string(s.Reveal()) != canary {
		t.Error("Reveal does not give the bytes")
	}
	s.Wipe()
	if strings.Contains(string(s.Reveal()), "hunter") {
		t.Error("Wipe left the bytes")
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cause := io.ErrUnexpectedEOF
	err := fmt.Errorf("read the plan: %w", automation.Errorf(automation.CodeUnavailable, "the store does not answer: %w", cause))
	if automation.CodeOf(err) != automation.CodeUnavailable || !errors.Is(err, cause) {
		t.Errorf("got code %q; want unavailable and the cause kept", automation.CodeOf(err))
	}
	if !errors.Is(err, &automation.Error{Code: automation.CodeUnavailable}) || errors.Is(err, &automation.Error{Code: automation.CodeConflict}) {
		t.Error("errors.Is does not ask for the code")
	}
	if automation.CodeOf(nil) != "" || automation.CodeOf(cause) != automation.CodeInternal {
		t.Error("CodeOf: nil is no code, any other error is internal")
	}
	if automation.Retryable(err) || !automation.Retryable(&automation.Error{CanRetry: true}) {
		t.Error("Retryable does not follow CanRetry")
	}
	if got := automation.AsError(cause); got.Code != automation.CodeInternal || strings.Contains(got.Message, "EOF") {
		t.Errorf("AsError shows an inner cause: %q", got.Message)
	}
	b, jsonErr := json.Marshal(automation.Errorf(automation.CodeInvalid, "bad: %w", cause))
	if jsonErr != nil || strings.Contains(string(b), "Err") {
		t.Errorf("the cause is served: %s, %v", b, jsonErr)
	}
	list := automation.Errors{{Code: automation.CodeInvalid, Message: "one", Line: 3, Column: 7, Pointer: "/steps/0", Suggestion: "do this"}}
	if got, want := list.Error(), "3:7: /steps/0: one; do this"; got != want {
		t.Errorf("got %q; want %q", got, want)
	}
	if automation.Errors(nil).OrNil() != nil || list.OrNil() == nil || !errors.Is(list, &automation.Error{Code: automation.CodeInvalid}) {
		t.Error("OrNil or Unwrap of Errors is wrong")
	}
}
