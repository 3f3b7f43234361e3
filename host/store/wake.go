package store

import (
	"slices"
	"strings"
	"sync"

	"opsconductor.dev/host/automation"
)

// Hub tells any number of listeners that a topic may have news. The zero value
// is ready; it is safe for concurrent use.
type Hub struct {
	mu        sync.Mutex
	listeners map[chan struct{}]Topic
}

// Listen returns a channel of capacity one that receives after every Signal of
// the topic, coalesced, and the function that gives it back. The channel is
// never closed; stop may be called more than once.
func (h *Hub) Listen(topic Topic) (c <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners == nil {
		h.listeners = map[chan struct{}]Topic{}
	}
	h.listeners[ch] = topic
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.listeners, ch)
	}
}

// Signal wakes every listener of the topics. It never blocks.
func (h *Hub) Signal(topics Topics) {
	if len(topics) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch, topic := range h.listeners {
		if !topics.has(topic) {
			continue
		}
		select {
		case ch <- struct{}{}:
		default: // it has a signal that it has not taken yet
		}
	}
}

// Topics are the topics that a commit has news for, in no order; nil: none.
type Topics []Topic

// And returns the topics of both, each once.
func (t Topics) And(o Topics) Topics {
	sum := slices.Clip(t)
	for _, topic := range o {
		if !slices.Contains(sum, topic) {
			sum = append(sum, topic)
		}
	}
	return sum
}

func (t Topics) has(topic Topic) bool {
	return slices.Contains(t, topic) || slices.Contains(t, TopicAll)
}

// TopicsOf returns the topics that the change of an act has news for: what the
// scheduler goes by is its settings.
func TopicsOf(act automation.Act) Topics {
	if noun, _, _ := strings.Cut(act.Action, "."); noun == "window" || noun == "limit" {
		return Topics{TopicSettings}
	}
	return nil
}
