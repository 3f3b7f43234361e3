// Package postgres is the store on PostgreSQL (13 or newer): any number of host
// processes over one database.
//
// # Model
//
// Numbers of the log come from the shard's row: a commit takes them with one
// UPDATE, which for the leader is also the fence, and holds that row until it
// ends. So entries become visible in the order of their numbers, without gaps,
// and a reader that has seen number n will never find a lower one later. All
// commits lock in one order: idempotency keys, the tenant's audit head, objects,
// the shard's row.
//
// A commit of the leader is one round trip: all its statements in one pipeline,
// which PostgreSQL runs as one transaction. Accepting runs takes two, shared by
// all the callers that have gathered.
//
// # News
//
// After a commit the process wakes its own waiters at once and asks a single
// notifier to tell the other processes: what gathers while one NOTIFY is under
// way goes out with the next. Each process has one connection that listens; when
// it breaks it comes back after a jittered wait, and wakes everyone, since news
// may have been lost. A slow tick does the same for news that never came.
//
// # Failures
//
// Errors are told apart by SQLSTATE. unavailable with CanRetry: nothing was
// stored, try again. unavailable without it on a write: the connection broke, and
// whether the commit happened is not known; a leader takes its lead again and
// replays.
package postgres
