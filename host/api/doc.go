// Package api is the REST edge of the host: it reads requests strictly, calls
// service/ and writes the answer. Nothing is decided here about who may do what
// to which object; that is service/'s, and the roles that operations declare here
// are a second fence in front of it that also keeps a body from being read for
// somebody who may not send it.
//
// # Operations
//
// Every route is one huma operation, registered by register with its access:
// public, any token, or a token of a role. An operation without an access stops
// the process when it is built. The OpenAPI document (docs/openapi.yaml, served at
// /openapi.json and /openapi.yaml) is made from the same values.
//
// # Requests
//
// Bodies are JSON unless the operation says otherwise, are read whole under a
// bound and a deadline before the handler runs, and are checked against the
// operation's schema: a field that is not there, a field given twice, a value of
// another type and text after the document are all refused, all at once, each
// with JSON Pointer, line and column, and never with the value itself. Query
// parameters that the operation does not have are refused too.
//
// # Errors
//
// Every error is an RFC 9457 problem with the members code, errors, suggestion,
// retryable and request_id. statusOf is the one place that knows which HTTP status
// a code has. The cause of an internal error goes to the log under the request's
// identifier, and not to the caller.
//
// # Events
//
// GET /v1/runs/{id}/events is a server-sent event stream. An event's id is
// "SEQ.INDEX": the sequence number of the log's entry that caused it, and its
// place among that entry's events. A snapshot (a run, a page of items) carries the
// sequence number that it reflects, so that snapshot, then events after its seq,
// is complete and without doubles. A reader that takes too long to take what is
// written to it is dropped; it comes back with Last-Event-ID and loses nothing,
// because events are replayed from the store.
package api
