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
	if topics.None() {
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

// Topics says which topics a commit has news for.
type Topics struct {
	Inbox, Entries, Reports, Hosts, Settings, Questions bool
	// To are the hosts that something was delivered to.
	To []automation.HostID
	// All: there may be news for everyone.
	All bool
}

// And returns the topics of both.
func (t Topics) And(o Topics) Topics {
	sum := Topics{
		Inbox: t.Inbox || o.Inbox, Entries: t.Entries || o.Entries, Reports: t.Reports || o.Reports,
		Hosts: t.Hosts || o.Hosts, Settings: t.Settings || o.Settings, Questions: t.Questions || o.Questions, All: t.All || o.All, To: t.To,
	}
	for _, id := range o.To {
		if !slices.Contains(sum.To, id) {
			sum.To = append(slices.Clip(sum.To), id)
		}
	}
	return sum
}

// None reports whether there is no news.
func (t Topics) None() bool {
	return !t.Inbox && !t.Entries && !t.Reports && !t.Hosts && !t.Settings && !t.Questions && !t.All && len(t.To) == 0
}

func (t Topics) has(topic Topic) bool {
	switch topic {
	case TopicInbox:
		return t.All || t.Inbox
	case TopicEntries:
		return t.All || t.Entries
	case TopicReports:
		return t.All || t.Reports
	case TopicHosts:
		return t.All || t.Hosts
	case TopicSettings:
		return t.All || t.Settings
	case TopicQuestions:
		return t.All || t.Questions
	}
	return t.All || slices.ContainsFunc(t.To, func(id automation.HostID) bool { return topic == HostTopic(id) })
}

// TopicsOf returns the topics that the change of an act has news for: what the
// scheduler goes by is its settings.
func TopicsOf(act automation.Act) Topics {
	noun, _, _ := strings.Cut(act.Action, ".")
	return Topics{Settings: noun == "window" || noun == "limit"}
}
