// Package workflow turns bytes into a Workflow and a Workflow into a Plan, and
// evaluates a plan's expressions while its run goes on. It is pure: no clock, no
// I/O, no log, and the same input gives the same output.
package workflow
