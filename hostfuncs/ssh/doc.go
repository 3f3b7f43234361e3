// Package ssh runs commands on machines over SSH (RFC 4251 to 4254), and reads and
// writes their files over SFTP, as a typed Go API (Pool) and as host functions
// (Functions).
//
// # Connections
//
// A Pool keeps authenticated connections by tenant, server, pinned host keys and
// version of the credential. Up to Options.SessionsPerConn sessions share one; then
// another is opened, up to Options.ConnsPerTarget. A server that refuses a session
// that it has room for elsewhere (MaxSessions) teaches the pool a lower number.
// Not more than Options.DialsPerServer connections to one server are
// unauthenticated at a time, and fewer after the server has dropped one
// (MaxStartups); a drop before the banner is tried again with jitter.
//
// # Deadlines
//
// Each phase has its own: resolve, connect, handshake (banner, key exchange and
// authentication, under a deadline on the connection), opening a channel, starting
// the command, the whole call. No wait trusts the server: where the server's
// answer does not come the connection is closed, which ends the wait.
//
// # Starting and stopping
//
// The command is started through /bin/sh, which first writes a line with a nonce,
// its process id and its process group to standard error (taken out of the output
// again) and then turns into the command by exec, so exit code, signals and the
// three streams are the command's own. Where the server did not make it the leader of a process
// group, setsid does. When the call is cancelled or its time is over, a second
// session sends TERM and, after Options.KillGrace, KILL to that group, and looks
// whether it is gone: the error says "killed" only then. Processes that leave the
// group (daemons) are not reached.
//
// A command that ends while a process that it started in the background holds its
// output open is given Options.DrainGrace for the rest of the output.
//
// # Files
//
// Each call opens an SFTP session on a connection of the pool. A server that owes
// an answer and is silent for Options.FileTimeout, or sends far more than was asked
// for, is left. A file is written beside its place under an unguessable name,
// for its owner alone from the first moment, flushed where the server can (fsync),
// read back and compared, and then renamed over what is there (posix-rename); a
// server without that extension has the old file moved aside first, and back when
// the second rename fails. What was begun is removed on any failure, also when the
// call is cancelled; the error says whether it was. Reading does not change a
// target, so its errors are of phase before and may be tried again.
package ssh
