package scheduler

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"opsconductor.dev/host/automation"
)

// queueGap is the shortest time between two writes of what waits in the queues.
const queueGap = time.Second

// queues is what the leader last said of the task queues.
type queues struct {
	said    map[string]int // nil: nothing yet under this epoch
	at      time.Time
	without map[string]int // those that wait without a live host
}

// sayQueues writes what waits in each task queue when it has changed, at most once
// in queueGap, and warns of queues that no live host serves. It is for people: a
// failure is logged, and the next turn tries again.
func (t *turn) sayQueues(ctx context.Context) {
	now := time.Now()
	if now.Sub(t.queues.at) < queueGap {
		return
	}
	t.queues.at = now
	l := t.loop
	waiting := t.m.Waiting()
	t.warnOfQueues(waiting)
	if t.queues.said != nil && maps.Equal(t.queues.said, waiting) {
		return
	}
	loads := make([]automation.QueueLoad, 0, len(waiting))
	for queue, n := range waiting {
		loads = append(loads, automation.QueueLoad{Queue: queue, Waiting: n})
	}
	if err := l.cfg.Store.PutQueueLoads(ctx, l.cfg.Shard, t.me.host.ID, t.epoch, loads); err != nil {
		l.cfg.Log.Warn("say what waits in the task queues", slog.Any("error", err))
		return
	}
	t.queues.said = waiting
}

func (t *turn) warnOfQueues(waiting map[string]int) {
	without := map[string]int{}
	for queue, n := range waiting {
		served := func(p *peer) bool { return p.live() && p.host.Serves(queue) && p.host.Age < 2*t.loop.cfg.TTL }
		if !slices.ContainsFunc(t.peers.order, served) {
			without[queue] = n
		}
	}
	for queue, n := range without {
		if t.queues.without[queue] == 0 {
			t.loop.cfg.Log.Warn("a task queue has no live worker", slog.String("queue", queue), slog.Int("waiting", n))
		}
	}
	for queue := range t.queues.without {
		if without[queue] == 0 {
			t.loop.cfg.Log.Info("a task queue has a live worker again, or nothing waits in it", slog.String("queue", queue))
		}
	}
	t.queues.without = without
	if mt := t.loop.cfg.Metrics; mt != nil {
		mt.QueuesWithoutWorker(without)
	}
}
