// Package interop runs the SSH functions against servers as they are met: OpenSSH
// in many configurations, dropbear, servers that stall, flood, lie or close at each
// phase, file servers whose names lead elsewhere, chains of jump hosts whose middle
// dies, and thousands of servers of which some hang.
//
// It is a matrix: each row is a peer in one configuration with the exact outcome
// that has to come of it, a result or an error's code, phase, leave to try again
// and words. `make interop` runs all rows and prints how many passed. Features have
// tests of their own beside their code; a row here says only that the peer and the
// feature go together.
//
// There is no code outside the tests.
package interop
