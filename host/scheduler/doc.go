// Package scheduler runs the loop around the machine: it reads facts, lets the
// machine decide, commits what was decided, and only then acts on it.
//
// # Model
//
// One leader a shard decides from memory. It takes the leadership, replays the
// entries of the open runs into a new machine, and then turns: gather what came
// in (runs accepted, commands, outcomes, intents, timers), fold it, grant what
// may run, commit it all in one transaction, hand the attempts to the worker.
// There is no timer between turns: a turn begins when the last one has committed
// and something has come in, so an idle loop costs one commit of latency and a
// busy one makes its batches larger.
//
// # Hosts
//
// Every loop is a host: it registers under an epoch, sends heartbeats and executes
// attempts. One of them leads; the others follow. The leader grants to every live
// host up to its free slots, the least loaded first. Its own attempts it starts
// itself; what is for another host (an attempt, a cancel, the answer to an intent)
// it delivers through the store, in the commit of the facts. A host that follows
// reports outcomes and intents through the store; the leader folds them in its next
// turn and removes them in that turn's commit.
//
// # Failures
//
// A commit that fails leaves the machine ahead of the store: the machine is
// thrown away and made anew by replay; the inputs of the failed turn are kept and
// folded again (what turns out to be in the store already is stale, and passed
// over). A commit that is fenced means that somebody else leads: this host goes on
// with what it has at work, as a follower. If it can't know whether its last commit
// granted it attempts, it ends its epoch and begins a new one.
//
// A host that is silent for two leases is reaped: its epoch is raised first, so that
// it can write nothing more; then what it has reported is read; then what it still
// has out is lost, and granted again unless it may have acted and must not twice. A
// host that finds its epoch over stops its attempts and registers again. A host
// that was not heard for one lease sends no intent, and without the leader's answer
// to its intent no attempt acts.
//
// A host that is told to stop says that it drains, gives back what has not begun,
// finishes the rest for a time, reports it and leaves. A leader does so too: it
// resigns first when another host is there to lead.
package scheduler
