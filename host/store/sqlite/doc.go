// Package sqlite is the store on a SQLite file: one process, no service.
//
// # Model
//
// One connection writes, a few read. Writers queue in a group: each flush is one
// transaction (one fsync) that takes everything that has gathered while the last
// one was under way, each caller's part in a savepoint of its own, so that one
// caller's conflict leaves the others alone. The writer is alone with the file
// while it commits, so sequence numbers are taken, and seen, in commit order.
// Readers see a snapshot of the last commit (WAL) and never wait for a writer.
//
// # Failures
//
// A commit is on the disk when the call returns (synchronous=FULL). A second
// process is refused by a lock on PATH.lock, which the kernel gives back
// however this process ends. A full disk or an I/O error fails the whole flush,
// nothing of it is stored, and the error's code is unavailable.
package sqlite
