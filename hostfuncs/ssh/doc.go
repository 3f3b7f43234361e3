// Package ssh runs commands on machines over SSH (RFC 4251 to 4254), and reads and
// writes their files over SFTP, as a typed Go API (Pool) and as host functions
// (Functions).
//
// # Connections
//
// A Pool keeps authenticated connections by tenant, server, way there, what is
// trusted and version of the credential; those of an older state are closed. Up to Options.SessionsPerConn sessions share one; then
// another is opened, up to Options.ConnsPerTarget. A server that refuses a session
// that it has room for elsewhere (MaxSessions) teaches the pool a lower number.
// Not more than Options.DialsPerServer connections to one server are
// unauthenticated at a time, and fewer after the server has dropped one
// (MaxStartups); a drop before the banner is tried again with jitter.
//
// # Trust
//
// Nothing of a credential is sent before the host key is taken: a pinned one; a
// certificate of an authority for the endpoint's address or name; or the first one,
// where the endpoint allows that and Endpoint.Learn has stored it. What is revoked
// (keys, fingerprints, serial numbers; a KRL of OpenSSH) is never taken, and a
// credential's key that the KRL revokes is never offered. The algorithms
// asked for are those of what is trusted, within the endpoint's Profile. Keys that a
// pinned server proves to have (hostkeys-00@openssh.com) are given to Learn where the
// endpoint asks for it; they are added, never taken away.
//
// A connection makes at most five offers: the certificate, keys, the password, once,
// and answers to prompts. What a server takes in part is gone on from. A one-time
// code is sent to a server at most once by this process.
//
// # Jump hosts
//
// The way to an endpoint may lead through up to MaxHops servers (Endpoint.Via), each
// verified and logged in to by itself, over connections that all endpoints behind it
// share. A literal address is checked before it is dialled from there; a name is
// resolved by the last jump host, so that the check is asked about the zero address:
// what answers must have the endpoint's host key all the same.
//
// # Deadlines
//
// Each phase has its own: resolve, connect, handshake (banner, key exchange and
// authentication, under a deadline on the connection), opening a channel, starting
// the command, a shell that has to be ready, silence of the command, the whole call;
// an error of code timeout names it. No wait trusts the server: where the server's
// answer does not come the connection is closed, which ends the wait.
//
// # Starting and stopping
//
// The command is started through /bin/sh, which first writes a line with a nonce,
// its process id and its process group to standard error (taken out of the output
// again) and then turns into the command by exec, so exit code, signals and the
// three streams are the command's own. An account's bash does the same by itself where
// it comes to the same. Where the server did not make it the leader of a process
// group, setsid does. When the call is cancelled or its time is over, a second
// session sends TERM and, after Options.KillGrace, KILL to that group, and looks
// whether it is gone: the error says "killed" only then. Processes that leave the
// group (daemons) are not reached.
//
// A command in a terminal, or as another user, is started in two stages: a shell
// says by a line with the nonce that it is ready, and only then it is sent anything
// but a password. In a terminal there is one stream, without echo; standard input
// is a pipe all the same, since a terminal changes bytes.
//
// # Another user
//
// sudo, doas or su start the shell. A password is sent once, when the program asks:
// sudo by a prompt that has the nonce, doas and su, which read it from a terminal,
// as the last thing they have said. When the program asks again, or for anything
// else, or ends without starting the shell, the error is become_failed with a cause
// (BecomeError), and the command has not run, because its text was not sent. What
// runs as another user is killed by a second session that becomes that user too.
//
// A server that closes a session without a word of how the command ended, on a
// connection that goes on, gives a result with neither exit code nor signal.
//
// A command that ends while a process that it started in the background holds its
// output open is given Options.DrainGrace for the rest of the output, and again as
// long as something comes, Options.DrainMost in all.
//
// Where the connection ends after the command and before its output, Result.Cut says so,
// and both outputs are marked. The end of a connection is kept from x/crypto until what
// came before it has been gone through, half a second at the most (tail), since x/crypto
// ends a session's streams alike when the server does and when the connection is lost.
//
// # Files
//
// Each call opens an SFTP session on a connection of the pool. A server that owes
// an answer and is silent for Options.FileTimeout, or sends far more than was asked
// for, is left. A file is written beside its place under an unguessable name,
// for its owner alone from the first moment, flushed where the server can (fsync),
// compared (a long one by the server's sha256sum where there is one, else read back),
// and then renamed over what is there (posix-rename); a
// server without that extension has the old file moved aside first, and back when
// the second rename fails. What was begun is removed on any failure, also when the
// call is cancelled; the error says whether it was. Reading does not change a
// target, so its errors are of phase before and may be tried again.
//
// Where a server has no SFTP, Get and Put go by scp; the other calls say that it is
// missing.
//
// # Dialogs
//
// A Dialog is a terminal with a program that prompts. Its prompt is the line that
// comes again after Enter; from then on a line is the prompt when it is that name, in
// any mode, and what was sent has been shown before, or nothing has come for
// Options.DialogQuiet. A new name is believed after twice that, where it looks like a
// prompt. A pager that waits all the same is answered with a blank. A password is sent
// once, to a question that the platform's command for a mode leads to, and is not part of
// what is looked for, hashed or passed on. An exchange that ends without a prompt
// (deadline, cancel, lost connection, flood) closes the dialog, because nobody knows what
// the next line would be sent to.
package ssh
