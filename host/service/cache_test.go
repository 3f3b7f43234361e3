package service_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

func TestLRU(t *testing.T) {
	t.Parallel()
	has := func(c *service.LRU, key string, want bool) {
		t.Helper()
		if _, ok := c.Get(key); ok != want {
			t.Errorf("%s: got %v; want %v", key, ok, want)
		}
	}
	c := service.NewLRU(3, 100)
	for _, key := range []string{"a", "b", "c"} {
		c.Put(key, 1, 10)
	}
	has(c, "a", true) // used last now
	c.Put("d", 1, 10)
	has(c, "b", false)
	has(c, "a", true)
	if got := c.Put("a", 2, 10); got != 1 {
		t.Errorf("got %d; want the value that was there", got)
	}
	c.Weigh("d", 85) // 105 with a and c: c was not used for the longest time
	has(c, "c", false)
	has(c, "a", true)
	c.Weigh("a", 1000) // too heavy alone: what was used last stays
	has(c, "d", false)
	has(c, "a", true)
	c.Put("e", 1, 1)
	has(c, "a", false)
	has(c, "e", true)
	c.Weigh("gone", 1000)
	has(c, "e", true)
}

func TestTicker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{}, 1)
		wait := service.NewTicker(wake)
		took := func(news bool) time.Duration {
			began := time.Now()
			if err := wait(t.Context(), news); err != nil {
				t.Error(err)
			}
			return time.Since(began)
		}
		for range 20 { // without a wake-up: the jittered poll
			if d := took(false); d < 500*time.Millisecond || d > 1500*time.Millisecond {
				t.Errorf("without a wake-up: got %s; want 0.5 to 1.5 s", d)
			}
		}
		wake <- struct{}{}
		if d := took(true); d != 5*time.Millisecond {
			t.Errorf("after news: got %s; want the shortest gap", d)
		}
		var longest time.Duration
		for range 10 { // a busy log without news of one's own: less and less often
			wake <- struct{}{}
			longest = max(longest, took(false))
		}
		if longest != 100*time.Millisecond {
			t.Errorf("a busy log: got %s; want the longest gap", longest)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := wait(ctx, false); automation.CodeOf(err) != automation.CodeTimeout || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v; want timeout", err)
		}
	})
}
