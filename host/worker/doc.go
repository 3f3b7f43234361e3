// Package worker executes leased attempts: it takes them from the scheduler,
// hands each to the Executor under its deadline, and reports the outcome.
package worker
