// Package memory is the scheduler's part of the store in memory: what a simulation
// runs on. It promises what sqlite and postgres do (a test in host/store holds the
// three to the same random histories), and keeps stored forms as bytes, so that
// nothing is shared with its callers and what does not survive storing is lost here
// too.
//
// Every call is one step of one lock: it happens at one moment, whole or not at all.
// What a database adds to that (calls that take time, that fail, that happen and are
// not heard of) is for whoever stands between the store and its caller. The store
// never waits and starts no goroutine; its clock is its owner's.
package memory
