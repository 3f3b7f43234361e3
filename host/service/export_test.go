package service

import (
	"context"

	"opsconductor.dev/host/store"
)

// MaxViews is the cache's bound, for tests.
const MaxViews = maxViews

// CachedViews returns how many views a service's cache holds.
func CachedViews(s *Service) int {
	s.views.mu.Lock()
	defer s.views.mu.Unlock()
	return len(s.views.entries)
}

// NewTicker returns a ticker's wait over a wake-up channel, for tests.
func NewTicker(wake <-chan struct{}) func(ctx context.Context, news bool) error {
	return newTicker(func(store.Topic) (<-chan struct{}, func()) { return wake, func() {} }).wait
}

// LRU is the cache, for tests.
type LRU = lru[string, int]

// NewLRU returns a cache, for tests.
func NewLRU(maxEntries, maxWeight int) *LRU { return newLRU[string, int](maxEntries, maxWeight) }

// Put stores a value with its weight.
func (c *lru[K, V]) Put(key K, value V, weight int) V { return c.getOrPut(key, value, weight) }

// Get returns a value.
func (c *lru[K, V]) Get(key K) (V, bool) { return c.get(key) }

// Weigh sets a weight.
func (c *lru[K, V]) Weigh(key K, weight int) { c.weigh(key, weight) }
