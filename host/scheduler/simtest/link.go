package simtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler"
	"opsconductor.dev/host/store"
)

// link is one life of a host's way to the store, with all that can happen on it.
type link struct {
	*world
	host *host
	life int

	mu        sync.Mutex
	calls     map[string]int // by operation
	dead      bool
	died      chan struct{} // closed when the host's life is over
	listeners map[*listener]struct{}
}

var _ scheduler.Store = (*link)(nil)

// listener is a waiter for a topic.
type listener struct {
	topic   store.Topic
	c       chan struct{}
	pending bool
	n       int
}

func (w *world) link(h *host, life int) *link {
	return &link{world: w, host: h, life: life, calls: map[string]int{}, died: make(chan struct{}), listeners: map[*listener]struct{}{}}
}

// die ends the life: nothing that it still does reaches anybody.
func (l *link) die() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.dead {
		l.dead = true
		close(l.died)
	}
}

func (l *link) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

func (l *link) number(op string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[op]++
	return l.calls[op]
}

// opLead is the call that takes and renews the leadership.
const opLead = "lead"

var errDead = &automation.Error{Code: automation.CodeUnavailable, Message: "this host is dead", Err: errors.New("dead")}

func unavailable(what string, retry bool) error {
	return &automation.Error{Code: automation.CodeUnavailable, Message: "the database is not there: " + what, CanRetry: retry}
}

// pass lets time go by on the link; a host that is stopped stands still, and what
// stood on it goes on one after the other (h says when).
func (l *link) pass(d time.Duration, h uint64) {
	sleep(d)
	for i := uint64(0); ; i++ {
		wait := l.host.stopped.left(l.sinceBegin())
		if wait == 0 {
			return
		}
		l.excuse("stopped")
		sleep(wait + between(mix(h+i), 1, time.Millisecond))
	}
}

// ask is a call that changes nothing: it may be given up.
func (l *link) ask(ctx context.Context, op string, read func() error) error {
	if ctx.Err() != nil {
		return unavailable("given up", true)
	}
	return l.call(op, false, read)
}

// call does one call of the store in its time, with its faults: do is what happens
// in the store, at one moment.
func (l *link) call(op string, writes bool, do func() error) error {
	n := l.number(op)
	name := l.host.name + op
	h := l.dice.of(name, l.life, n)
	l.pass(l.latency(h), h)
	f := l.faultOf(name, op, writes, l.life, n)
	if cut, why := l.cutFrom(op); cut > 0 {
		l.excuse(why)
		if !chance(h, 400) { // refused at once, or after a while
			l.pass(min(cut, between(mix(h), time.Millisecond, 3*time.Second)), h+4)
			return unavailable("no route to it", true)
		}
		l.pass(cut+between(mix(h+3), 1, time.Millisecond), h+3) // it arrives when the way is free again
	}
	if l.isDead() {
		return errDead
	}
	switch f {
	case faultBefore:
		l.pass(between(mix(h+1), time.Microsecond, time.Second), h+5)
		return unavailable("the connection was refused", chance(h, 500))
	case faultDieBefore:
		l.host.crash(l)
		return errDead
	case faultNone, faultLost, faultDieAfter:
	}
	err := do()
	l.note(l.host.name, op, n, err)
	if f == faultDieAfter {
		l.host.crash(l)
		return errDead
	}
	l.pass(l.latency(mix(h+2)), h+2)
	switch {
	case l.isDead():
		return errDead
	case f == faultLost && err == nil:
		if chance(mix(h+6), 300) { // it was lost because the way is cut
			l.cutUntil(l.sinceBegin() + between(mix(h+7), time.Second, 12*time.Second))
		}
		return unavailable("the answer was lost", false)
	}
	return err
}

// cutFor returns how long the host can't reach the store; 0: it can.
func (l *link) cutFor() time.Duration {
	l.world.mu.Lock()
	defer l.world.mu.Unlock()
	return max(l.host.cut.left(l.sinceBegin()), l.host.lost-l.sinceBegin(), 0)
}

// cutFrom returns how long a call can't get through, and why.
func (l *link) cutFrom(op string) (cut time.Duration, why string) {
	if cut := l.cutFor(); cut > 0 {
		return cut, "partition"
	}
	if op == opLead {
		return l.host.unled.left(l.sinceBegin()), "leadership not renewed"
	}
	return 0, ""
}

func (l *link) cutUntil(at time.Duration) {
	l.world.mu.Lock()
	defer l.world.mu.Unlock()
	l.host.lost = at
}

// latency is how long a half of a call takes.
func (l *link) latency(h uint64) time.Duration {
	most := 2 * time.Millisecond
	if l.slow(l.sinceBegin()) {
		most = 900 * time.Millisecond
	}
	return between(h, 20*time.Microsecond, most)
}

// signal tells a life's waiters of a topic: at once, late, or never.
func (l *link) signal(topics store.Topics) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return
	}
	for w := range l.listeners {
		if w.pending || !slices.Contains(topics, w.topic) {
			continue
		}
		w.n++
		h := l.dice.of("wake"+l.host.name+string(w.topic), l.life, w.n)
		if l.faulty() && chance(h, l.weather.deaf) || l.cutFor() > 0 {
			l.hit("wake-up lost")
			continue
		}
		delay := between(h, time.Microsecond, 3*time.Millisecond)
		if l.faulty() && chance(mix(h), 30) {
			l.hit("wake-up late")
			delay += between(mix(h), time.Millisecond, 3*time.Second)
		}
		w.pending = true
		time.AfterFunc(delay, func() {
			l.pass(0, h)
			l.mu.Lock()
			defer l.mu.Unlock()
			w.pending = false
			select {
			case w.c <- struct{}{}:
			default:
			}
		})
	}
}

// Wake returns a channel that hears of a topic.
func (l *link) Wake(topic store.Topic) (<-chan struct{}, func()) {
	w := &listener{topic: topic, c: make(chan struct{}, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listeners[w] = struct{}{}
	return w.c, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.listeners, w)
	}
}

// get is ask with an answer.
func get[T any](ctx context.Context, l *link, op string, read func() (T, error)) (out T, err error) {
	err = l.ask(ctx, op, func() (err error) { out, err = read(); return err })
	if err != nil {
		var none T
		return none, err
	}
	return out, nil
}

// put is a call that changes something, with an answer.
func put[T any](l *link, op string, change func() (T, error)) (out T, err error) {
	err = l.call(op, true, func() (err error) { out, err = change(); return err })
	if err != nil {
		var none T
		return none, err
	}
	return out, nil
}

func (l *link) Append(ctx context.Context, b store.Batch) error {
	return l.call("append", true, func() error {
		err := l.store.Append(ctx, b)
		if err == nil {
			body, _ := json.Marshal(b.Entries)
			l.trace(string(body))
			l.committed(&b)
		}
		return err
	})
}

func (l *link) Replay(ctx context.Context, shard int, yield func(automation.Entry) error) (int64, error) {
	type all struct {
		entries []automation.Entry
		last    int64
	}
	got, err := get(ctx, l, "replay", func() (a all, err error) {
		a.last, err = l.store.Replay(ctx, shard, func(e automation.Entry) error {
			a.entries = append(a.entries, e)
			return nil
		})
		return a, err
	})
	for i := 0; err == nil && i < len(got.entries); i++ {
		err = yield(got.entries[i])
	}
	return got.last, err
}

func (l *link) Accepted(ctx context.Context, shard int, after int64, limit int) ([]automation.Entry, error) {
	return get(ctx, l, "accepted", func() ([]automation.Entry, error) { return l.store.Accepted(ctx, shard, after, limit) })
}

func (l *link) RunEntries(ctx context.Context, tenant automation.TenantID, run automation.RunID, after int64, limit int) ([]automation.Entry, error) {
	return get(ctx, l, "entries", func() ([]automation.Entry, error) { return l.store.RunEntries(ctx, tenant, run, after, limit) })
}

func (l *link) RunLogs(ctx context.Context, tenant automation.TenantID, run automation.RunID, after automation.AttemptKey, limit int) ([]store.AttemptLogs, error) {
	return get(ctx, l, "logs", func() ([]store.AttemptLogs, error) { return l.store.RunLogs(ctx, tenant, run, after, limit) })
}

func (l *link) LogsSince(ctx context.Context, tenant automation.TenantID, run automation.RunID, marks []store.LogMark, limit int) ([]store.AttemptLogs, error) {
	return get(ctx, l, "since", func() ([]store.AttemptLogs, error) { return l.store.LogsSince(ctx, tenant, run, marks, limit) })
}

func (l *link) PutLiveLogs(ctx context.Context, host automation.HostID, epoch int64, chunks []store.LiveLog) error {
	return l.call("lines", true, func() error { return l.store.PutLiveLogs(ctx, host, epoch, chunks) })
}

func (l *link) Accept(ctx context.Context, run automation.Run, act automation.Act) (automation.Run, bool, error) {
	created := false
	out, err := put(l, "accept", func() (out automation.Run, err error) {
		out, created, err = l.store.Accept(ctx, run, act)
		if err == nil && created {
			l.accepted(run, out)
		}
		return out, err
	})
	return out, created, err
}

func (l *link) Run(ctx context.Context, tenant automation.TenantID, id automation.RunID) (automation.Run, error) {
	return get(ctx, l, "run", func() (automation.Run, error) { return l.store.Run(ctx, tenant, id) })
}

func (l *link) ListRuns(ctx context.Context, tenant automation.TenantID, q store.RunQuery, page automation.Page) ([]automation.Run, error) {
	return get(ctx, l, "list", func() ([]automation.Run, error) { return l.store.ListRuns(ctx, tenant, q, page) })
}

func (l *link) PutPlan(ctx context.Context, tenant automation.TenantID, hash automation.Digest, plan []byte, at time.Time) error {
	return l.call("plan", true, func() error { return l.store.PutPlan(ctx, tenant, hash, plan, at) })
}

func (l *link) Plan(ctx context.Context, tenant automation.TenantID, hash automation.Digest) ([]byte, error) {
	return get(ctx, l, "plan", func() ([]byte, error) { return l.store.Plan(ctx, tenant, hash) })
}

func (l *link) PutCommand(ctx context.Context, c automation.Command, act automation.Act) error {
	return l.call("command", true, func() error { return l.store.PutCommand(ctx, c, act) })
}

func (l *link) Commands(ctx context.Context, shard, limit int) ([]automation.Command, error) {
	return get(ctx, l, "commands", func() ([]automation.Command, error) { return l.store.Commands(ctx, shard, limit) })
}

func (l *link) Lead(ctx context.Context, shard int, id automation.HostID, epoch int64, ttl time.Duration) (int64, error) {
	return put(l, opLead, func() (int64, error) {
		got, err := l.store.Lead(ctx, shard, id, epoch, ttl)
		if err == nil {
			l.led(id, got)
		}
		return got, err
	})
}

func (l *link) Resign(ctx context.Context, shard int, id automation.HostID, epoch int64) error {
	return l.call("resign", true, func() error { return l.store.Resign(ctx, shard, id, epoch) })
}

func (l *link) RegisterHost(ctx context.Context, h automation.Host) (automation.Host, error) {
	return put(l, "register", func() (automation.Host, error) { return l.store.RegisterHost(ctx, h) })
}

func (l *link) Heartbeat(ctx context.Context, id automation.HostID, epoch int64, b automation.Beat) error {
	return l.call("heartbeat", true, func() error { return l.store.Heartbeat(ctx, id, epoch, b) })
}

func (l *link) Hosts(ctx context.Context) ([]automation.Host, error) {
	return get(ctx, l, "hosts", func() ([]automation.Host, error) { return l.store.Hosts(ctx) })
}

func (l *link) ReapHost(ctx context.Context, id automation.HostID, epoch int64, state automation.HostState) error {
	return l.call("reap", true, func() error { return l.store.ReapHost(ctx, id, epoch, state) })
}

func (l *link) PutQueueLoads(ctx context.Context, shard int, id automation.HostID, epoch int64, loads []automation.QueueLoad) error {
	return l.call("loads", true, func() error { return l.store.PutQueueLoads(ctx, shard, id, epoch, loads) })
}

func (l *link) QueueLoads(ctx context.Context) ([]automation.QueueLoad, error) {
	return get(ctx, l, "read loads", func() ([]automation.QueueLoad, error) { return l.store.QueueLoads(ctx) })
}

func (l *link) Deliveries(ctx context.Context, shard int, to store.Cursor, limit int) ([]store.Delivery, error) {
	return get(ctx, l, "deliveries", func() ([]store.Delivery, error) { return l.store.Deliveries(ctx, shard, to, limit) })
}

func (l *link) PutReports(ctx context.Context, shard int, taken store.Cursor, reports []store.Report) error {
	return l.call("report", true, func() error {
		err := l.store.PutReports(ctx, shard, taken, reports)
		l.trace(fmt.Sprint(len(reports)))
		return err
	})
}

// Reports returns what hosts have reported; now and then some of it a second time.
func (l *link) Reports(ctx context.Context, shard int, after []store.Cursor, limit int) ([]store.Report, error) {
	list, err := get(ctx, l, "reports", func() ([]store.Report, error) { return l.store.Reports(ctx, shard, after, limit) })
	if n := len(list); err == nil && n > 0 && n < limit && l.faulty() && chance(l.dice.of("again"+l.host.name, l.life, l.number("again")), 60) {
		l.hit("reports read twice")
		list = append(list, list[n-1])
	}
	return list, err
}

func (l *link) AllWindows(ctx context.Context) ([]automation.Window, error) {
	return get(ctx, l, "windows", func() ([]automation.Window, error) { return l.store.AllWindows(ctx) })
}

func (l *link) AllLimits(ctx context.Context) ([]automation.Limit, error) {
	return get(ctx, l, "limits", func() ([]automation.Limit, error) { return l.store.AllLimits(ctx) })
}

func (l *link) Buckets(ctx context.Context, shard int) ([]automation.Bucket, error) {
	return get(ctx, l, "buckets", func() ([]automation.Bucket, error) { return l.store.Buckets(ctx, shard) })
}

func (l *link) Ask(ctx context.Context, q store.Question) error {
	return l.call("ask", true, func() error { return l.store.Ask(ctx, q) })
}

func (l *link) Asked(ctx context.Context, shard, limit int) ([]store.Question, error) {
	return get(ctx, l, "asked", func() ([]store.Question, error) { return l.store.Asked(ctx, shard, limit) })
}

func (l *link) PutAnswer(ctx context.Context, id automation.QuestionID, answer []byte) error {
	return l.call("answer", true, func() error { return l.store.PutAnswer(ctx, id, answer) })
}

func (l *link) Answer(ctx context.Context, tenant automation.TenantID, id automation.QuestionID) ([]byte, error) {
	return get(ctx, l, "read answer", func() ([]byte, error) { return l.store.Answer(ctx, tenant, id) })
}
