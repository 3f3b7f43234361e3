package store

import "sync"

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
	if topics == (Topics{}) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch, topic := range h.listeners {
		if topic == TopicInbox && !topics.Inbox || topic == TopicEntries && !topics.Entries {
			continue
		}
		select {
		case ch <- struct{}{}:
		default: // it has a signal that it has not taken yet
		}
	}
}

// Topics says which topics a commit has news for.
type Topics struct{ Inbox, Entries bool }

// And returns the topics of both.
func (t Topics) And(o Topics) Topics {
	return Topics{Inbox: t.Inbox || o.Inbox, Entries: t.Entries || o.Entries}
}
