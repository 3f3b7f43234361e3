package memory

import (
	"maps"
	"slices"
	"sync"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

// Config is what a Store needs.
type Config struct {
	// Now is the database's clock; nil is time.Now.
	Now func() time.Time
	// Signal is told of the topics that a commit has news for, after the commit; it
	// must not call the store. nil: the store's own waiters alone are.
	Signal func(store.Topics)
}

// Store is the store. It is safe for concurrent use.
type Store struct {
	cfg Config
	hub store.Hub

	mu        sync.Mutex
	shards    map[int]*shard
	hosts     map[automation.HostID]*automation.Host // Age and Leads are not set
	plans     map[planKey][]byte
	runs      map[automation.RunID]*run
	keys      map[actKey]act
	commands  []automation.Command
	questions []question
	limits    []automation.Limit
	windows   []automation.Window
	number    int64 // the last delivery's
}

var (
	_ store.Log        = (*Store)(nil)
	_ store.LiveLogs   = (*Store)(nil)
	_ store.Runs       = (*Store)(nil)
	_ store.Leases     = (*Store)(nil)
	_ store.Deliveries = (*Store)(nil)
	_ store.Queues     = (*Store)(nil)
	_ store.Bounds     = (*Store)(nil)
	_ store.Questions  = (*Store)(nil)
	_ store.Approvals  = (*Store)(nil)
)

// shard is one shard's row, and what belongs to its leader.
type shard struct {
	seq        int64
	leader     automation.HostID
	epoch      int64
	until      time.Time
	buckets    map[string]int64
	deliveries []store.Delivery
	reports    map[automation.HostID][]report // by epoch and number
	loads      []automation.QueueLoad
}

// run is a run's record and its entries.
type run struct {
	record    automation.Run
	entries   []entry
	logs      map[automation.AttemptKey]stored
	live      map[automation.AttemptKey][]chunk // by number
	approvals map[[2]int]automation.Approval
}

// entry is an entry in its stored form.
type entry struct {
	seq      int64
	acceptor bool // an acceptor added it
	body     []byte
}

type stored struct {
	tenant   automation.TenantID
	encoding int
	body     []byte
}

type planKey struct {
	tenant automation.TenantID
	hash   automation.Digest
}

// New returns an empty store.
func New(cfg Config) *Store {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Store{
		cfg: cfg, shards: map[int]*shard{}, hosts: map[automation.HostID]*automation.Host{}, plans: map[planKey][]byte{},
		runs: map[automation.RunID]*run{}, keys: map[actKey]act{},
	}
}

func (s *Store) now() time.Time { return store.Moment(s.cfg.Now()) }

// write makes a change and then tells of it.
func (s *Store) write(topics store.Topics, change func() error) error {
	err := s.locked(change)
	if err != nil || len(topics) == 0 {
		return err
	}
	s.hub.Signal(topics)
	if s.cfg.Signal != nil {
		s.cfg.Signal(topics)
	}
	return nil
}

func (s *Store) locked(do func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return do()
}

// Wake returns a channel that receives after each commit with news of the topic.
func (s *Store) Wake(topic store.Topic) (c <-chan struct{}, stop func()) { return s.hub.Listen(topic) }

// shard returns a shard's row, made when it is missing.
func (s *Store) shard(n int) *shard {
	sh := s.shards[n]
	if sh == nil {
		sh = &shard{buckets: map[string]int64{}, reports: map[automation.HostID][]report{}}
		s.shards[n] = sh
	}
	return sh
}

// leads reports whether a host leads a shard at an epoch: the fence.
func (s *Store) leads(n int, host automation.HostID, epoch int64) bool {
	sh := s.shards[n]
	return sh != nil && sh.leader == host && sh.epoch == epoch
}

// Leader returns who holds the leadership of a shard, and at which epoch; "" nobody.
func (s *Store) Leader(n int) (automation.HostID, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shard(n)
	return sh.leader, sh.epoch
}

// actKey names an idempotency key; act is what was made with it.
type actKey struct {
	tenant          automation.TenantID
	by, action, key string
}

type act struct {
	object  string
	request automation.Digest
}

// act notes an act, and returns the object that its key was used for before.
func (s *Store) act(a automation.Act, object string) (earlier string, repeated bool, err error) {
	if a.Key == "" {
		return "", false, nil
	}
	before, ok := s.keys[actKey{a.Tenant, a.By, a.Action, a.Key}]
	if ok && before.request != a.Request {
		return "", false, store.KeyReused()
	}
	return before.object, ok, nil
}

// acted keeps the key of an act that was made.
func (s *Store) acted(a automation.Act, object string) {
	if a.Key != "" {
		s.keys[actKey{a.Tenant, a.By, a.Action, a.Key}] = act{object, a.Request}
	}
}

// Set replaces the limits and the maintenance windows that count.
func (s *Store) Set(limits []automation.Limit, windows []automation.Window) {
	_ = s.write(store.Topics{store.TopicSettings}, func() error {
		s.limits, s.windows = slices.Clone(limits), slices.Clone(windows)
		return nil
	})
}

func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
