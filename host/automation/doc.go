// Package automation holds the nouns of OpsConductor: identifiers, states and
// the one transition table, facts, the stored records, the one Error type and
// Secret. It imports the standard library alone, has no I/O and no clock, and
// every other room under host/ may import it.
//
// A value of this package is plain data: safe to copy, and safe for concurrent
// reads; nothing here locks.
package automation
