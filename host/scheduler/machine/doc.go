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
// item counts against together, or parks the item on the one that blocks. An
// attempt's end frees the limits and wakes what was parked on them.
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
