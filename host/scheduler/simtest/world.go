package simtest

import (
	"context"
	"fmt"
	"hash"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/scheduler/machine"
	"opsconductor.dev/host/store"
	"opsconductor.dev/host/store/memory"
)

// patience is how long runs may take to end once the faults are over: a clock that
// was set back has to come to where it was.
const patience = 45 * time.Minute

// world is one simulation.
type world struct {
	dice    dice
	begin   time.Time
	store   *memory.Store
	weather weather
	hosts   []*host
	client  *host
	ttl     time.Duration
	alone   bool
	limits  machine.Limits
	every   time.Duration // how often lines are stored while attempts are at work; 0: with the outcome
	over    chan struct{} // closed when the simulation is over
	all     sync.WaitGroup

	lasted time.Duration

	mu      sync.Mutex
	links   map[*host]*link // of the life that is
	commits int
	verbose func(string)
	sum     hash.Hash64
	counts  map[string]int
	faults  []string // what was violated
	checker
	ledger
	scribe
}

// Result is what came of a seed.
type Result struct {
	// Violations of what is promised; none is good.
	Violations []string
	// Trace is the hash of all calls of the store, in order, with their answers.
	Trace uint64
	// Counts say what happened, by kind.
	Counts map[string]int
	// Simulated is how much time went by.
	Simulated time.Duration
}

// Run plays a seed. It must be called in a testing/synctest bubble. trace, when set,
// is told of every call and every act.
func Run(seed uint64, trace func(string)) Result {
	d := dice(seed)
	r := d.rand("world")
	w := &world{
		dice: d, begin: time.Now(), over: make(chan struct{}), weather: randomWeather(r), verbose: trace, sum: fnv.New64a(),
		links: map[*host]*link{}, counts: map[string]int{}, checker: newChecker(), ledger: newLedger(), scribe: newScribe(),
	}
	w.ttl = pick(r, time.Second, 2*time.Second, 4*time.Second)
	w.limits = machine.Limits{PerTarget: r.IntN(3), PerNetworkDevice: r.IntN(2)}
	w.store = memory.New(memory.Config{Signal: w.signalAll})
	rules := randomLimits(r, w.begin)
	w.store.Set(rules, nil)
	w.rules = rules
	w.client = &host{w: w, name: "client"}
	n := 1 + r.IntN(4)
	w.alone = n == 1 && r.IntN(2) == 0
	w.weather.hops = w.faultsAtAll() && n > 2 && d.of("hops")%4 == 0
	if d.of("lines")%8 == 0 { // the others have the history that they had before there were lines
		w.every = between(d.of("every"), 40*time.Millisecond, 900*time.Millisecond)
	}
	for i := range n {
		w.hosts = append(w.hosts, w.newHost(i))
	}
	w.play()
	return Result{Violations: w.faults, Trace: w.sum.Sum64(), Counts: w.counts, Simulated: w.lasted}
}

// play lets the hosts live and the client ask, until all runs have ended.
func (w *world) play() {
	ctx, stop := context.WithCancel(context.Background())
	var lives sync.WaitGroup
	for _, h := range w.hosts {
		lives.Go(func() {
			sleep(between(w.dice.of("join"+h.name), time.Microsecond, 3*time.Second))
			h.live(ctx)
		})
	}
	c := newClient(w)
	c.submitAll()
	deadline := w.weather.until + patience
	for w.sinceBegin() < deadline && !w.violated() && (w.faulty() || !w.allEnded()) {
		c.operate()
	}
	if open := w.open(); len(open) > 0 && !w.violated() {
		w.violate("%d runs never end: %v", len(open), w.describe(open))
	}
	stop()
	lives.Wait()
	close(w.over)
	w.all.Wait()
	simulated := w.sinceBegin()
	sleep(time.Hour) // whatever still sleeps, an executor that was given up say, wakes and ends
	w.lasted = simulated
	if !w.violated() {
		w.atTheEnd()
	}
}

func (w *world) sinceBegin() time.Duration { return time.Since(w.begin) }

// faulty reports whether faults may begin; faultsAtAll, whether this seed has any.
func (w *world) faulty() bool { return w.sinceBegin() < w.weather.until }

func (w *world) faultsAtAll() bool {
	f := &w.weather
	return f.calls+f.deaf+f.commit > 0 || f.jumps || f.slows != nil
}

func (w *world) slow(now time.Duration) bool { return w.weather.slows.left(now) > 0 }

func (w *world) attach(h *host, l *link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.links[h] = l
}

// signalAll tells every host of news.
func (w *world) signalAll(topics store.Topics) {
	w.mu.Lock()
	links := slices.Collect(maps.Values(w.links))
	w.mu.Unlock()
	for _, l := range links {
		l.signal(topics)
	}
}

// note adds a call to the trace.
func (w *world) note(host, op string, n int, err error) {
	w.trace(fmt.Sprintf("%s %s %d %s", host, op, n, automation.CodeOf(err)))
}

func (w *world) trace(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.write(what)
}

func (w *world) write(what string) {
	line := fmt.Sprintf("%d %s", w.sinceBegin(), what)
	_, _ = w.sum.Write([]byte(line))
	if w.verbose != nil {
		w.verbose(line)
	}
}

// hit counts something that happened; excuse does so of a fault that may cost the
// knowledge of what an attempt did.
func (w *world) hit(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[kind]++
}

func (w *world) excuse(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[kind]++
	w.lastFault = w.sinceBegin()
}

func (w *world) violate(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broke(format, args...)
}

// broke is violate for who has the lock.
func (w *world) broke(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	w.write("VIOLATION " + what)
	if len(w.faults) < 20 {
		w.faults = append(w.faults, fmt.Sprintf("at %s: %s", w.sinceBegin(), what))
	}
}

func (w *world) violated() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.faults) > 0
}
