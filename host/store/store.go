// Package store holds the role interfaces of the durable store. sqlite and
// postgres implement them all; storetest is the suite that both pass.
//
// # Model
//
// The truth about runs is a log: entries of facts under a sequence number that
// grows by one in a shard, without gaps, in commit order. A writer takes its
// numbers from the shard's row inside its own transaction and holds that row
// until it commits; a reader that has seen number n has seen every number below
// it, and no late commit can be missed. Two kinds of writers add entries: an
// acceptor adds a run's first entry; everything after it comes from the shard's
// leader, conditional on its epoch. Control requests (a cancel) wait as commands,
// which the leader reads whole, turns into facts and removes in one commit.
//
// The record of a run (runs table) is what lists show: the leader writes it in
// the commit that changes it. Items are not stored: they are the fold of a
// run's entries.
//
// # Errors
//
// Every method returns *automation.Error values: not_found, conflict (a name that
// is taken, a stale version, a transition that does not exist, an object that is
// in use, a lost epoch: ErrFenced, a key used otherwise: ErrKeyReused), invalid (a
// limit out of range, a text that can't be stored), unavailable (the database is
// not there, full, or the caller has gone). Everything else is internal. When
// CanRetry is set nothing was stored; a write that is unavailable without it may
// have been stored: a leader takes its lead again and replays. Calls after Close
// are unavailable. Methods are safe for concurrent use.
//
// # Acts
//
// A change carries its Act, which is stored in the same commit, chained to the
// acts before it (VerifyAudit). Tenant (the object's), By, Action and At must be
// set; Object may be left to the store. With a Key, the change is made once: the
// same request again returns what it made, as it is now, and records nothing; a
// key belongs to a tenant, By and Action. A call that fails leaves its key free.
//
// # Times
//
// Stored times are UTC in whole microseconds (Moment); facts keep theirs as they are.
package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
)

// ErrFenced is in the tree of the error of a write whose epoch is not the
// current one: somebody else leads now, and nothing was written.
var ErrFenced = errors.New("the writer's epoch is over")

// ErrOutdated is in the tree of the error of a host that may not lead, as it does
// not know what a newer version has written.
var ErrOutdated = errors.New("a newer version has led")

// ErrKeyReused is in the tree of the conflict of an idempotency key that was
// used for another request.
var ErrKeyReused = errors.New("the idempotency key was used for another request")

// Batch is what the leader adds in one commit.
type Batch struct {
	Shard int
	// Host and Epoch: the leader that writes. The commit fails with ErrFenced
	// unless the shard's row still has them.
	Host  automation.HostID
	Epoch int64
	// Entries to add; Seq is set by Append, in the slice's order.
	Entries []automation.Entry
	// Accepted are runs to store in state queued, each with its first entry among
	// Entries: runs of sub-workflows, which nobody but the leader submits.
	Accepted []automation.Run
	// Runs whose record changes.
	Runs []automation.RunUpdate
	// Commands that the entries answer: removed.
	Commands []automation.CommandID
	// Buckets of rates that have changed; those with Tat 0 are removed.
	Buckets []automation.Bucket
	// Logs of attempts that ended.
	Logs []AttemptLogs
	// Deliveries to other hosts; Number is set by the store, in the slice's order.
	Deliveries []Delivery
	// Read is how far the reports of hosts have been read: these are removed, and
	// all of the host's earlier epochs.
	Read []Cursor
	// Approvals whose record changes, each once. One that is not pending any more
	// stays as it is.
	Approvals []automation.Approval
}

// Topic is what a waiter waits for. The leader's own commits wake readers of
// entries only, so that it does not wake itself.
type Topic string

// The topics.
const (
	TopicInbox   Topic = "inbox"   // runs accepted, commands put: the leader's news
	TopicEntries Topic = "entries" // entries of any kind added: a run's readers' news
	TopicReports Topic = "reports" // hosts have reported: the leader's news
	TopicHosts   Topic = "hosts"   // a host has come, drains or has left, or a leadership is free
	// TopicSettings: what the scheduler goes by has changed: limits, windows.
	TopicSettings Topic = "settings"
	// TopicQuestions: somebody has asked the leader something.
	TopicQuestions Topic = "questions"
	// TopicLines: attempts at work have logged something.
	TopicLines Topic = "lines"
	// TopicAll: there may be news of every topic. Nobody waits for it.
	TopicAll Topic = "all"
)

const hostTopic = "host:"

// HostTopic is the topic of what is delivered to a host.
func HostTopic(id automation.HostID) Topic { return Topic(hostTopic + string(id)) }

// Host returns the host that a HostTopic is of, and whether it is one.
func (t Topic) Host() (automation.HostID, bool) {
	id, ok := strings.CutPrefix(string(t), hostTopic)
	return automation.HostID(id), ok
}

// AttemptLogs is what one attempt logged.
type AttemptLogs struct {
	Tenant  automation.TenantID
	Attempt automation.AttemptKey
	Lines   []automation.LogLine
	// Live, in a Batch: chunks of it may be stored (LiveLogs); they are removed.
	Live bool
	// Chunk, in what was read: the lines are those of chunks up to this one, as the
	// whole log is not stored; 0: they are all that the attempt logged.
	Chunk int
}

// Log is the log of facts.
type Log interface {
	// Append commits a batch, all of it or nothing, and sets the Shard and Seq of
	// its entries. Updates of one run are made in their order; Started once set
	// stays; an ended state needs Ended, no other has it. An entry or an update of
	// a run that the shard does not have is not_found. Commands that are not there
	// and logs of an attempt that has some already are passed over. A commit under
	// way is not given up when ctx is.
	Append(ctx context.Context, b Batch) error
	// Replay calls yield with every entry of every open run of the shard, by
	// number, from one snapshot, and returns the shard's last number in it.
	Replay(ctx context.Context, shard int, yield func(automation.Entry) error) (int64, error)
	// Accepted returns the entries that acceptors added after a number (the first
	// entry of each new run), by number, at most limit.
	Accepted(ctx context.Context, shard int, after int64, limit int) ([]automation.Entry, error)
	// RunEntries returns a run's entries after a number, by number, at most limit;
	// not_found when the tenant has no such run.
	RunEntries(ctx context.Context, tenant automation.TenantID, run automation.RunID, after int64, limit int) ([]automation.Entry, error)
	// RunLogs returns what the attempts of a run logged, by step, item and attempt,
	// after the given key, at most limit attempts: of those whose whole log is not
	// stored what LiveLogs has.
	RunLogs(ctx context.Context, tenant automation.TenantID, run automation.RunID, after automation.AttemptKey, limit int) ([]AttemptLogs, error)
	// Wake returns a channel that receives (coalesced, capacity one) whenever the
	// topic may have news, by any process. It is a hint: a reader also looks from
	// time to time. stop gives the channel back.
	Wake(topic Topic) (c <-chan struct{}, stop func())
}

// RunQuery says which runs to list.
type RunQuery struct {
	State automation.RunState // "": of any state
	// Parent: the runs of sub-workflows that this run started; "": of any, or of none.
	Parent automation.RunID
	// Nested: without a Parent, also runs of sub-workflows.
	Nested bool
}

// Runs is the record of runs, and their acceptance.
type Runs interface {
	// Accept stores a run in state queued with its first entry (run_accepted), and
	// the act, in one commit; concurrent calls share commits, and one's fault is not
	// the others'. not_found when its plan is not stored, conflict when its ID is.
	// When act.Key was used before for the same request it returns the run of that
	// time and false.
	Accept(ctx context.Context, run automation.Run, act automation.Act) (automation.Run, bool, error)
	// Run returns one run.
	Run(ctx context.Context, tenant automation.TenantID, id automation.RunID) (automation.Run, error)
	// ListRuns returns the runs that q asks for, the newest first, without their outputs.
	ListRuns(ctx context.Context, tenant automation.TenantID, q RunQuery, page automation.Page) ([]automation.Run, error)
	// PutPlan stores a plan under its hash; storing it again changes nothing.
	PutPlan(ctx context.Context, tenant automation.TenantID, hash automation.Digest, plan []byte, at time.Time) error
	// Plan returns a stored plan.
	Plan(ctx context.Context, tenant automation.TenantID, hash automation.Digest) ([]byte, error)
	// PutCommand stores a command for the leader of the run's shard (c.Shard is not
	// looked at), with its act; not_found when the tenant has no such run.
	PutCommand(ctx context.Context, c automation.Command, act automation.Act) error
	// Commands returns the waiting commands of a shard, the oldest first, at most limit.
	Commands(ctx context.Context, shard int, limit int) ([]automation.Command, error)
}

// Leases is leadership and hosts. All times are the database's.
type Leases interface {
	// Lead takes or renews the leadership of a shard for ttl: it succeeds when
	// nobody holds it, its holder's time is up, or host holds it already. A take
	// raises the epoch by one; a renewal (epoch equal to the current one) does not.
	// It fails with ErrFenced when somebody else leads, and with ErrOutdated when a
	// leader before wrote facts of a later format than automation.FactsFormat.
	Lead(ctx context.Context, shard int, host automation.HostID, epoch int64, ttl time.Duration) (int64, error)
	// Resign gives the leadership back at once, if host still holds it at epoch.
	Resign(ctx context.Context, shard int, host automation.HostID, epoch int64) error
	// RegisterHost adds or renews the host's row (ID, Name, Version, Slots, Queues),
	// live, raises its epoch by one, and removes what was delivered to earlier ones.
	RegisterHost(ctx context.Context, h automation.Host) (automation.Host, error)
	// Heartbeat renews the host's row; ErrFenced when its epoch is over.
	Heartbeat(ctx context.Context, id automation.HostID, epoch int64, b automation.Beat) error
	// Hosts returns all hosts, by identifier.
	Hosts(ctx context.Context) ([]automation.Host, error)
	// ReapHost raises the epoch of a host whose row still has the given epoch, so
	// that nothing it writes counts any more, and makes it stopped or lost; what was
	// delivered to it is removed. Every report of that epoch can be read when it
	// returns. ErrFenced when the row has another epoch.
	ReapHost(ctx context.Context, id automation.HostID, epoch int64, state automation.HostState) error
}

// Queues is what waits in the task queues, as the leader last said: a projection
// for people, which no decision reads.
type Queues interface {
	// PutQueueLoads replaces what waits in the queues of a shard; loads of nothing
	// are left out. ErrFenced when host does not lead the shard at epoch.
	PutQueueLoads(ctx context.Context, shard int, host automation.HostID, epoch int64, loads []automation.QueueLoad) error
	// QueueLoads returns what waits in each queue, over all shards, by name.
	QueueLoads(ctx context.Context) ([]automation.QueueLoad, error)
}

// Assets is the stored inventory.
type Assets interface {
	// CreateAsset stores an asset; conflict when the name is taken. For a repeated
	// act.Key it returns the asset of that time and false.
	CreateAsset(ctx context.Context, a automation.Asset, act automation.Act) (automation.Asset, bool, error)
	// UpdateAsset replaces an asset whose Version is still a.Version and raises it;
	// ID, Tenant and Created stay.
	UpdateAsset(ctx context.Context, a automation.Asset, act automation.Act) (automation.Asset, error)
	DeleteAsset(ctx context.Context, tenant automation.TenantID, id automation.AssetID, act automation.Act) error
	Asset(ctx context.Context, tenant automation.TenantID, id automation.AssetID) (automation.Asset, error)
	// AssetByName returns the asset with a name; not_found without one.
	AssetByName(ctx context.Context, tenant automation.TenantID, name string) (automation.Asset, error)
	// ListAssets returns assets by name (Page.After is a name).
	ListAssets(ctx context.Context, tenant automation.TenantID, page automation.Page) ([]automation.Asset, error)
}

// Credentials is the stored, sealed credentials.
type Credentials interface {
	CreateCredential(ctx context.Context, c automation.Credential, act automation.Act) (automation.Credential, bool, error)
	// UpdateCredential replaces a credential whose Version is still c.Version - 1.
	// (The seal binds the new version, so the caller sets it.)
	UpdateCredential(ctx context.Context, c automation.Credential, act automation.Act) (automation.Credential, error)
	// DeleteCredential removes a credential; conflict while an asset has it.
	DeleteCredential(ctx context.Context, tenant automation.TenantID, id automation.CredentialID, act automation.Act) error
	Credential(ctx context.Context, tenant automation.TenantID, id automation.CredentialID) (automation.Credential, error)
	CredentialByName(ctx context.Context, tenant automation.TenantID, name string) (automation.Credential, error)
	// ListCredentials returns credentials by name (Page.After is a name), with Sealed.
	ListCredentials(ctx context.Context, tenant automation.TenantID, page automation.Page) ([]automation.Credential, error)
}

// Plugins is the stored plugins and their artifacts.
type Plugins interface {
	// CreatePlugin stores a plugin version with its artifact; conflict when the name
	// and version are taken by another digest. The same digest again returns the
	// stored one and false.
	CreatePlugin(ctx context.Context, p automation.Plugin, wasm []byte, act automation.Act) (automation.Plugin, bool, error)
	// UpdatePlugin changes State and Grants of a version whose RowNumber is still p.RowNumber.
	UpdatePlugin(ctx context.Context, p automation.Plugin, act automation.Act) (automation.Plugin, error)
	// Plugin returns the version with a digest.
	Plugin(ctx context.Context, tenant automation.TenantID, digest automation.Digest) (automation.Plugin, error)
	// ListPlugins returns plugin versions by name and creation; all of them: there are few.
	ListPlugins(ctx context.Context, tenant automation.TenantID) ([]automation.Plugin, error)
	// Artifact returns the bytes of a digest.
	Artifact(ctx context.Context, tenant automation.TenantID, digest automation.Digest) ([]byte, error)
}

// Tokens is the stored API tokens and the audit log.
type Tokens interface {
	CreateToken(ctx context.Context, t automation.Token, act automation.Act) (automation.Token, bool, error)
	// TokenByHash returns the token whose secret has this SHA-256, of any tenant.
	TokenByHash(ctx context.Context, hash []byte) (automation.Token, error)
	// RevokeToken sets Revoked to act.At, for good; conflict when it is set.
	RevokeToken(ctx context.Context, tenant automation.TenantID, id automation.TokenID, act automation.Act) error
	ListTokens(ctx context.Context, tenant automation.TenantID, page automation.Page) ([]automation.Token, error)
	// Audit returns audit entries after a sequence number, the oldest first.
	Audit(ctx context.Context, tenant automation.TenantID, after int64, limit int) ([]automation.AuditEntry, error)
	// AuditHead returns the number and the hash of the tenant's newest entry as the
	// head's own row has them (no other field is set), 0 and nil before the first;
	// VerifyAudit compares the log with it.
	AuditHead(ctx context.Context, tenant automation.TenantID) (automation.AuditEntry, error)
}

// Store is all roles over one database.
type Store interface {
	Log
	LiveLogs
	Runs
	Leases
	Deliveries
	Queues
	Assets
	Credentials
	Plugins
	Tokens
	Schedules
	Limits
	Bounds
	Fires
	Workflows
	Windows
	Triggers
	Webhooks
	Approvals
	Questions
	Retention
	// Ping reports whether the database answers.
	Ping(ctx context.Context) error
	// Close waits for calls under way and closes the database; again, it does nothing.
	Close() error
}
