package sshtest

import (
	"errors"
	"slices"
	"strings"

	"opsconductor.dev/hostfuncs"
)

// T is what a check needs of a test.
type T interface {
	Helper()
	Errorf(format string, args ...any)
}

// WantError checks an error's code and phase, that it may be tried again when the
// two say so, that it says that the command was stopped when it was, and that its
// message has some words.
func WantError(t T, err error, code hostfuncs.Code, phase hostfuncs.Phase, words ...string) {
	t.Helper()
	var e *hostfuncs.Error
	if !errors.As(err, &e) {
		t.Errorf("error is %v (%T), want code %s", err, err, code)
		return
	}
	if e.Code != code || e.Phase != phase {
		t.Errorf("code %s phase %s, want %s %s: %s", e.Code, e.Phase, code, phase, e.Message)
	}
	passes := slices.Contains([]hostfuncs.Code{hostfuncs.Unreachable, hostfuncs.Timeout, hostfuncs.Throttled, hostfuncs.Quota, hostfuncs.Lost}, e.Code)
	if want := passes && e.Phase == hostfuncs.Before; e.Retryable != want {
		t.Errorf("code %s phase %s retryable %t, want %t", e.Code, e.Phase, e.Retryable, want)
	}
	stopped := strings.Contains(e.Message, "with its process group; it is confirmed dead") || strings.Contains(e.Message, "Nothing was changed")
	if stopped != e.Stopped {
		t.Errorf("stopped is %t, and the message says %q", e.Stopped, e.Message)
	}
	for _, w := range words {
		if !strings.Contains(e.Message, w) {
			t.Errorf("message %q does not have %q", e.Message, w)
		}
	}
}
