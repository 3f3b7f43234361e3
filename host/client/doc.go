// Package client is the REST client that the command line uses: a method for
// every operation of the API, and a reader of a run's events that comes back
// where it broke off. It has the standard library and the nouns of automation
// alone; the nouns that callers need are named again here.
//
// # Errors
//
// An answer of 400 or more is a *StatusError; in its tree stand the *Error or
// Errors that the server sent, so that errors.As and CodeOf see the server's own
// code, places and suggestions. A server that can't be reached is an *Error with
// code unavailable.
//
// # Retries
//
// Reads, and creations (which always carry an Idempotency-Key: the caller's, or
// one made for the call), are sent again when the connection breaks or the server
// says 429 or 503, a bounded number of times with a jittered backoff. Everything
// else is sent once.
//
// A Client is safe for concurrent use.
package client
