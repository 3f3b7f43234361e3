package postgres

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// channel is what the processes over one database notify and listen on. A
// payload is the sender's name, the topics, and the hosts that something was
// delivered to: "0190… ie 0191… 0192…".
const channel = "opsconductor"

const (
	listenStatement = `LISTEN ` + channel
	notifyStatement = `SELECT pg_notify('` + channel + `', $1)`
)

// How long the listener waits before it connects again: doubled each time, with jitter.
const (
	reconnectFirst = 100 * time.Millisecond
	reconnectMost  = 10 * time.Second
)

// news is what the notifier has yet to tell the other processes.
type news struct {
	sender string

	mu      sync.Mutex
	topics  store.Topics
	pending chan struct{} // of capacity one: there are topics
}

func newNews() *news {
	return &news{sender: automation.NewID[string](), pending: make(chan struct{}, 1)}
}

func (n *news) add(topics store.Topics) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.topics = n.topics.And(topics)
	select {
	case n.pending <- struct{}{}:
	default:
	}
}

// take returns the payload of everything that was added since it was called last.
func (n *news) take() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	topics := n.topics
	n.topics = nil
	return n.sender + " " + written(topics)
}

// mostHosts is how many hosts one payload names; for more, everyone is woken
// (a payload has less than 8000 bytes).
const mostHosts = 128

// letters are what stands for the topics in a payload; a topic without one is a host's.
func letters() map[store.Topic]string {
	return map[store.Topic]string{
		store.TopicInbox: "i", store.TopicEntries: "e", store.TopicReports: "r", store.TopicHosts: "h",
		store.TopicSettings: "s", store.TopicQuestions: "q", store.TopicLines: "l", store.TopicAll: everyone,
	}
}

// everyone is the letter of store.TopicAll.
const everyone = "a"

// written is the text of topics: a letter each, then the hosts.
func written(topics store.Topics) string {
	var short, hosts strings.Builder
	named, letters := 0, letters()
	for _, t := range topics {
		if id, ok := t.Host(); ok {
			hosts.WriteString(" " + string(id))
			named++
		}
		short.WriteString(letters[t])
	}
	if named > mostHosts {
		return everyone
	}
	return short.String() + hosts.String()
}

// heard returns the topics of a payload; none of this process's own.
func (n *news) heard(payload string) store.Topics {
	sender, text, _ := strings.Cut(payload, " ")
	if sender == n.sender {
		return nil
	}
	short, hosts, _ := strings.Cut(text, " ")
	var topics store.Topics
	for topic, letter := range letters() {
		if strings.Contains(short, letter) {
			topics = append(topics, topic)
		}
	}
	for id := range strings.FieldsSeq(hosts) {
		topics = append(topics, store.HostTopic(automation.HostID(id)))
	}
	return topics
}

// spread wakes this process's waiters and has the notifier tell the others.
func (db *DB) spread(topics store.Topics) {
	if len(topics) == 0 {
		return
	}
	db.hub.Signal(topics)
	db.news.add(topics)
}

// notify tells the other processes what gathers, one NOTIFY at a time, outside
// of every other transaction. One that fails is lost: the others look by
// themselves from time to time.
func (db *DB) notify(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-db.news.pending:
			_, _ = db.pool.Exec(ctx, notifyStatement, db.news.take())
		}
	}
}

// listen passes on what other processes tell. While it can't hear them, and from
// time to time, it wakes everyone: there may be news.
func (db *DB) listen(ctx context.Context) {
	wait := reconnectFirst
	for ctx.Err() == nil {
		if db.hear(ctx) {
			wait = reconnectFirst
		}
		db.hub.Signal(store.Topics{store.TopicAll})
		again := time.NewTimer(jitter(wait))
		select {
		case <-ctx.Done():
		case <-again.C:
		}
		again.Stop()
		wait = min(2*wait, reconnectMost, db.config.Poll)
	}
}

// hear listens on a connection of its own until it breaks, and reports whether
// it ever stood.
func (db *DB) hear(ctx context.Context) bool {
	conn, err := pgx.ConnectConfig(ctx, db.direct)
	if err != nil {
		return false
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	if _, err := conn.Exec(ctx, listenStatement); err != nil {
		return false
	}
	db.hub.Signal(store.Topics{store.TopicAll}) // what came before it listened
	for {
		waiting, cancel := context.WithTimeout(ctx, jitter(db.config.Poll))
		n, err := conn.WaitForNotification(waiting)
		late := waiting.Err() != nil
		cancel()
		switch {
		case err == nil:
			db.hub.Signal(db.news.heard(n.Payload))
		case ctx.Err() != nil || !late || conn.IsClosed():
			return true
		default:
			db.hub.Signal(store.Topics{store.TopicAll})
		}
	}
}

// jitter returns a time between a half and the whole of d.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1) //nolint:gosec // no secret
}
