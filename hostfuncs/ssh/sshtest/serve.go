package sshtest

import (
	"context"
	"os"
	"time"
)

// Test is what a test gives to what runs until its end.
type Test interface {
	T
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Skip(args ...any)
	Cleanup(f func())
	TempDir() string
	Context() context.Context
}

// Serve starts a real sshd, in a folder of its own, that ends with the test.
func Serve(t Test, c Config) *Server {
	t.Helper()
	c.Dir = t.TempDir()
	s, err := Start(context.WithoutCancel(t.Context()), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	return s
}

// User makes a user of this machine that goes with the test, and lets sudo do what
// the rules say, in which $USER is its name. Only root can.
func User(t Test, shell string, rules ...string) Account {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("users of this machine can be made by root only: run the tests as root")
	}
	a, err := NewAccount(t.Context(), shell)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Remove(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("remove a user: %v", err)
		}
	})
	if len(rules) == 0 {
		return a
	}
	for i := range rules {
		rules[i] = os.Expand(rules[i], func(string) string { return a.Name })
	}
	remove, err := Sudoers(rules...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remove)
	return a
}

// ServeFake starts a server in process that ends with the test.
func ServeFake(t Test, c FakeConfig) *Fake {
	t.Helper()
	f, err := StartFake(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return f
}

// Eventually polls until a condition holds, for 20 s at the most.
func Eventually(t Test, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("20 s, and still not: %s", what)
		case <-tick.C:
		}
	}
}
