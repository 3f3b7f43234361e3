// Package machine decides what runs next. It is a pure fold: facts go in, and
// the state that follows from them, and the decisions that follow from the
// state, come out. It has no clock (every fact brings its time), no I/O, no
// goroutines and no randomness (jitter is a hash of the attempt's name), so
// that the state is always the fold of the stored facts, recovery is a replay,
// and a test can walk millions of histories.
//
// # Model
//
// A run has steps, a step has items, an item has attempts. A step opens when
// every step that it needs has ended: it is skipped when one of those did not
// succeed or its condition is false, else its fan-out is evaluated and its items
// become ready. Grant gives ready items to a host, taking every limit that an
// item counts against together, or lets it wait for the one that has no room. An
// attempt's end frees the limits and lets in what waits for them.
//
// # Waiting
//
// What waits stands in lines: one for each task queue, one for each limit and
// queue. In a line stand the lanes of runs (a run's items of one priority), each at
// its rank: the time of its last start, or since when its first item is ready, less a
// minute for each step of priority. A lane has flows: the items of a step that
// count against the same limits, which move from line to line as one. A flow that is
// let in from a limit's line either uses the room or hands it on when it leaves its
// queue's line. Items count as ready all that time: Why says what they wait for.
//
// # Use
//
// Replay folds a stored entry. Handle folds a new fact, Advance fires timers,
// Grant hands out work; these three record what they fold, and Take returns
// what must be committed before any of it is acted on. When that commit fails
// the machine is ahead of the store and must be thrown away.
//
// A Machine is not safe for concurrent use: one goroutine owns it.
package machine
