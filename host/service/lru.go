package service

import (
	"container/list"
	"sync"
)

// lru is a cache of the entries used last, bounded by their number and by the
// sum of their weights. It is safe for concurrent use.
type lru[K comparable, V any] struct {
	maxEntries int
	maxWeight  int

	mu      sync.Mutex
	order   *list.List // of *lruEntry[K, V]; the front was used last
	entries map[K]*list.Element
	weight  int
}

type lruEntry[K comparable, V any] struct {
	key    K
	value  V
	weight int
}

func newLRU[K comparable, V any](maxEntries, maxWeight int) *lru[K, V] {
	return &lru[K, V]{maxEntries: maxEntries, maxWeight: maxWeight, order: list.New(), entries: map[K]*list.Element{}}
}

// get returns the value of a key and makes it the one used last.
func (c *lru[K, V]) get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[key]; ok {
		c.order.MoveToFront(e)
		return e.Value.(*lruEntry[K, V]).value, true
	}
	var none V
	return none, false
}

// getOrPut returns the value that a key has, or stores value for it: of callers
// who come together, all get the same.
func (c *lru[K, V]) getOrPut(key K, value V, weight int) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[key]; ok {
		c.order.MoveToFront(e)
		return e.Value.(*lruEntry[K, V]).value
	}
	c.entries[key] = c.order.PushFront(&lruEntry[K, V]{key, value, weight})
	c.weight += weight
	c.shrink()
	return value
}

// weigh sets the weight of a key's entry, if it is still there.
func (c *lru[K, V]) weigh(key K, weight int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[key]; ok {
		entry := e.Value.(*lruEntry[K, V])
		c.weight += weight - entry.weight
		entry.weight = weight
		c.shrink()
	}
}

// remove drops a key's entry if drop says so of its value.
func (c *lru[K, V]) remove(key K, drop func(V) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[key]; ok && drop(e.Value.(*lruEntry[K, V]).value) {
		c.drop(e)
	}
}

// shrink drops what was not used for the longest time until the bounds hold;
// one entry stays, however heavy: somebody is using it.
func (c *lru[K, V]) shrink() {
	for c.order.Len() > 1 && (c.order.Len() > c.maxEntries || c.weight > c.maxWeight) {
		c.drop(c.order.Back())
	}
}

func (c *lru[K, V]) drop(e *list.Element) {
	entry := c.order.Remove(e).(*lruEntry[K, V])
	delete(c.entries, entry.key)
	c.weight -= entry.weight
}
