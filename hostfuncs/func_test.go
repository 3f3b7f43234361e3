package hostfuncs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/hostfunctest"
	"opsconductor.dev/schemas"
)

type request struct {
	Name  string            `json:"name"`
	Count int               `json:"count,omitempty"`
	Tags  map[string]string `json:"tags,omitempty"`
}

type result struct{}

func invoke(t *testing.T, call func(context.Context, *hostfuncs.Session, request) (result, error)) (string, []hostfuncs.Record) {
	t.Helper()
	b := &hostfunctest.Broker{Functions: []string{"f"}}
	s := &hostfuncs.Session{Broker: b}
	s.Opened(hostfunctest.Secret("hunter2"))
	f := hostfuncs.New("f", "Does it.", false, call)
	return string(f.Invoke(t.Context(), s, []byte(`{"name":"x"}`))), b.Records()
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		call func(context.Context, *hostfuncs.Session, request) (result, error)
		want string
		code hostfuncs.Code
	}{
		"empty result": {func(context.Context, *hostfuncs.Session, request) (result, error) { return result{}, nil }, `{"ok":{}}`, ""},
		"an error": {func(context.Context, *hostfuncs.Session, request) (result, error) {
			return result{}, hostfuncs.Errorf(hostfuncs.Unreachable, hostfuncs.Before, "no way")
		}, `{"error":{"code":"unreachable","message":"no way","retryable":true,"phase":"before"}}`, hostfuncs.Unreachable},
		"any error": {
			func(context.Context, *hostfuncs.Session, request) (result, error) {
				return result{}, errors.New("oops")
			},
			`{"error":{"code":"protocol","message":"oops","retryable":false,"phase":"after"}}`, hostfuncs.Protocol,
		},
		"a secret in an error": {func(context.Context, *hostfuncs.Session, request) (result, error) {
			return result{}, fmt.Errorf("login hunter2 failed")
		}, `{"error":{"code":"protocol","message":"login [redacted] failed","retryable":false,"phase":"after"}}`, hostfuncs.Protocol},
		"a panic": {
			func(context.Context, *hostfuncs.Session, request) (result, error) { panic("hunter2") },
			`{"error":{"code":"protocol","message":"f: a fault of the host function: [redacted]","retryable":false,"phase":"after"}}`, hostfuncs.Protocol,
		},
	} {
		got, records := invoke(t, tc.call)
		if got != tc.want {
			t.Errorf("%s: answer %s, want %s", name, got, tc.want)
		}
		if len(records) != 1 || records[0].Code != tc.code || records[0].Function != "f" {
			t.Errorf("%s: records %+v, want one with code %q", name, records, tc.code)
		}
	}
}

func TestNote(t *testing.T) {
	t.Parallel()
	_, records := invoke(t, func(ctx context.Context, _ *hostfuncs.Session, _ request) (result, error) {
		hostfuncs.Note(ctx, "web1", "abc")
		return result{}, nil
	})
	if len(records) != 1 || records[0].Target != "web1" || records[0].Command != "abc" {
		t.Errorf("records %+v, want target web1 and command abc", records)
	}
}

// The words that the host stores are those that host functions answer with, and
// those of the schema.
func TestCodes(t *testing.T) {
	t.Parallel()
	var doc struct {
		Properties map[string]struct{ Enum []string }
	}
	b, err := schemas.Files.ReadFile("hostfuncs/error.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range hostfuncs.Codes() {
		got = append(got, string(c))
	}
	if want := doc.Properties["code"].Enum; !slices.Equal(got, want) {
		t.Errorf("codes %v, and the schema has %v", got, want)
	}
	nouns := []automation.Code{
		automation.CodeDenied, automation.CodeBadRequest, automation.CodeUnreachable, automation.CodeTimeout, automation.CodeAuthFailed,
		automation.CodeHostKeyMismatch, automation.CodeHostKeyUnknown, automation.CodeAlgorithmMismatch, automation.CodeThrottled,
		automation.CodeBecomeFailed, automation.CodeQuota, automation.CodeProtocol, automation.CodeOutputLimit, automation.CodeCancelled, automation.CodeLost,
	}
	for i, c := range nouns {
		if i >= len(got) || got[i] != string(c) {
			t.Errorf("automation's code %s is not number %d of %v", c, i, got)
		}
	}
	if len(nouns) != len(got) {
		t.Errorf("%d codes here, %d in automation", len(got), len(nouns))
	}
	if string(hostfuncs.Before) != string(automation.PhaseBefore) || string(hostfuncs.After) != string(automation.PhaseAfter) {
		t.Error("the phases are other words than automation's")
	}
}

func TestRetryable(t *testing.T) {
	t.Parallel()
	passing := []hostfuncs.Code{hostfuncs.Unreachable, hostfuncs.Timeout, hostfuncs.Throttled, hostfuncs.Quota, hostfuncs.Lost}
	for _, c := range hostfuncs.Codes() {
		if got, want := hostfuncs.Errorf(c, hostfuncs.Before, "x").Retryable, slices.Contains(passing, c); got != want {
			t.Errorf("%s before: retryable %t, want %t", c, got, want)
		}
		if hostfuncs.Errorf(c, hostfuncs.After, "x").Retryable {
			t.Errorf("%s after: retryable", c)
		}
	}
}

func TestEnded(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the lease is lost"))
	plain, stop := context.WithCancel(t.Context())
	stop()
	timed, release := context.WithTimeoutCause(t.Context(), 0, errors.New("the item's time is over"))
	defer release()
	bare, free := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer free()
	for _, tc := range []struct {
		ctx  context.Context
		code hostfuncs.Code
		want string
	}{
		{cancelled, hostfuncs.Cancelled, "doing it: the lease is lost"},
		{plain, hostfuncs.Cancelled, "doing it: cancelled"},
		{timed, hostfuncs.Timeout, "doing it: the item's time is over"},
		{bare, hostfuncs.Timeout, "doing it: the attempt's time is over"},
	} {
		if e := hostfuncs.Ended(tc.ctx, hostfuncs.After, "doing %s", "it"); e.Code != tc.code || e.Message != tc.want || e.Phase != hostfuncs.After {
			t.Errorf("%s %q, want %s %q", e.Code, e.Message, tc.code, tc.want)
		}
	}
}

// The intent is committed once, and again only while it has failed.
func TestBegin(t *testing.T) {
	t.Parallel()
	calls, fail := 0, true
	s := &hostfuncs.Session{Intent: func(context.Context, string) error {
		if calls++; fail {
			return errors.New("the lease is over")
		}
		return nil
	}}
	var e *hostfuncs.Error
	if err := s.Begin(t.Context(), "h"); !errors.As(err, &e) || e.Phase != hostfuncs.Before || !strings.Contains(e.Message, "nothing was sent") {
		t.Errorf("a failed intent gives %v", err)
	}
	fail = false
	for range 3 {
		if err := s.Begin(t.Context(), "h"); err != nil {
			t.Error(err)
		}
	}
	if calls != 2 {
		t.Errorf("%d intents, want 2", calls)
	}
	if err := (&hostfuncs.Session{}).Begin(t.Context(), "h"); err != nil {
		t.Errorf("without an intent: %v", err)
	}
}
