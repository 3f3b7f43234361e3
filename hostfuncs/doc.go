// Package hostfuncs holds the contract of host functions: the functions that the
// host gives to plugins. A Func takes a JSON request and answers in an envelope,
// {"ok": …} or {"error": {"code", "message", "retryable", "phase"}}, by the
// schemas in schemas/hostfuncs. A Session says for whom a call is made; its
// Broker decides what is allowed and hands out targets and credentials.
//
// The packages below hold one protocol each, as a typed Go API that can be used
// and tested without Wasm. Nothing here imports host/.
package hostfuncs
