// Package service holds the use cases of OpsConductor, one file per noun. Every
// method does the same four things in the same order: it authorises the
// principal (deny by default, by the one table in authorise.go), validates all of
// the input and reports every problem at once, acts, and hands the audit record
// to the store in the call that makes the change, so that both are in one commit.
//
// The edges (REST, MCP, CLI) decode into the requests of this package and encode
// its answers; there is no HTTP here. All errors are *automation.Error or
// automation.Errors. Objects of another tenant are not_found, as if they did not
// exist. A Service is safe for concurrent use.
package service
