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
// # Failures
//
// A commit that fails leaves the machine ahead of the store: the machine is
// thrown away and made anew by replay; the inputs of the failed turn are kept and
// folded again (what turns out to be in the store already is stale, and passed
// over). A commit that is fenced means that somebody else leads: the attempts at
// work are stopped and the loop tries to lead again. An attempt that the store
// says is out, and that this host does not have, was lost with its host.
package scheduler
