// Package simtest runs the scheduler's real code (loop, machine, members, workers) on
// many simulated hosts against the store in memory, under a simulated clock and
// faults that a seed chooses, and checks what comes of it against a ledger that the
// simulated targets keep.
//
// # Model
//
// A seed is one history: its hosts, its runs, what their attempts do, its faults.
// It plays in a testing/synctest bubble, so that a minute takes milliseconds and
// nothing waits for real. Every call of the store takes some time, of a length that
// is a hash of the seed, the host, the call and its number; so does every wake-up and
// every act of an attempt. Two things of one history therefore hardly ever happen at
// the same nanosecond, what runs at one moment is one chain of causes, and the same
// seed gives the same history: every call, in order, with its answer, goes into a
// hash, and a test holds two plays of a seed to the same one.
//
// # Faults
//
// A host dies before or after any commit, at any time, and comes back later, or stops
// as by SIGTERM. A commit is made and its answer lost; or not made. A host can't reach
// the store for a time; what it had sent then fails, or arrives when the time is over.
// Its calls for the leadership alone do not get through, so that it loses the lead and
// is a host as before.
// A host is stopped past its lease and goes on (SIGSTOP). Clocks jump. Wake-ups are
// late or lost. The store is slow. Reports are read twice. Executors end late, or
// never, or can't say what they did.
//
// # Checks
//
// At each commit and each act, see checker.go and ledger.go. When the faults are over,
// every run that was accepted must end.
package simtest
