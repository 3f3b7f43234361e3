package hostfuncs_test

import (
	"errors"
	"testing"

	"opsconductor.dev/hostfuncs"
)

type closer struct{ closed int }

func (c *closer) Close() error { c.closed++; return nil }

func TestKeep(t *testing.T) {
	t.Parallel()
	var s hostfuncs.Session
	var all []*closer
	for i := range 8 {
		c := &closer{}
		all = append(all, c)
		if name, err := s.Keep(c); err != nil || s.Kept(name) != c {
			t.Fatalf("number %d: %q %v", i, name, err)
		}
	}
	ninth := &closer{}
	var e *hostfuncs.Error
	if _, err := s.Keep(ninth); !errors.As(err, &e) || e.Code != hostfuncs.Quota || e.Phase != hostfuncs.Before || ninth.closed != 1 {
		t.Errorf("a ninth: %v, closed %d times", err, ninth.closed)
	}
	if c := s.Release("3"); c != all[2] || s.Kept("3") != nil || all[2].closed != 0 {
		t.Errorf("released %v, kept %v", c, s.Kept("3"))
	}
	if name, err := s.Keep(&closer{}); err != nil || name != "9" {
		t.Errorf("after a release: %q %v; want a name that was not used", name, err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	for i, c := range all {
		if want := 1; i != 2 && c.closed != want {
			t.Errorf("number %d was closed %d times", i, c.closed)
		}
	}
	late := &closer{}
	if _, err := s.Keep(late); !errors.As(err, &e) || e.Code != hostfuncs.Cancelled || late.closed != 1 {
		t.Errorf("after the end: %v, closed %d times", err, late.closed)
	}
}
