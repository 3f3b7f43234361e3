package workflow

import (
	"errors"
	"fmt"
	"time"

	"opsconductor.dev/host/workflow/expr"
)

// Limits bound what a definition may ask for. They are checked before a run is
// accepted.
type Limits struct {
	DefinitionBytes int `json:"definition_bytes"`
	InputBytes      int `json:"input_bytes"`
	Steps           int `json:"steps"`
	// Depth is the length of the longest path of steps that need each other.
	Depth int `json:"depth"`
	// Parallel is the number of steps that may run side by side: those that are
	// equally far from the beginning.
	Parallel int `json:"parallel"`
	// Iterations is the length of a list that a step loops over; one that is known at
	// run time only is reckoned as 1,000 long in the estimates before.
	Iterations int `json:"iterations"`
	Targets    int `json:"targets"`
	Attempts   int `json:"attempts"` // of an item
	// HostCalls is the estimate of a run's attempts that may call host functions.
	HostCalls int `json:"host_calls"`
	// Nesting is how deep sub-workflows may lie in each other; ChildRuns bounds the
	// estimate of the runs that the steps of a run may start, and theirs.
	Nesting   int `json:"nesting"`
	ChildRuns int `json:"child_runs"`
	// RunTimeout is the longest, and the default, time of a run.
	RunTimeout time.Duration `json:"run_timeout_ns"`
	// AttemptTimeout is the time of an attempt whose step and action say none.
	AttemptTimeout time.Duration `json:"attempt_timeout_ns"`
	// ExpressionCost bounds an expression, in CEL's units.
	ExpressionCost uint64 `json:"expression_cost"`
}

// reckoned is how long a list counts as that is known at run time only, where
// costs, attempts and child runs are estimated. Expressions are bounded at run
// time too, by what they have cost then.
func reckoned(iterations int) int { return min(iterations, 1_000) }

// DefaultLimits returns the limits of a deployment that sets none.
func DefaultLimits() Limits {
	return Limits{
		DefinitionBytes: 1 << 20,
		InputBytes:      256 << 10,
		Steps:           100,
		Depth:           20,
		Parallel:        100,
		Iterations:      10_000,
		Targets:         10_000,
		Attempts:        100,
		HostCalls:       1_000_000,
		Nesting:         5,
		ChildRuns:       10_000,
		RunTimeout:      24 * time.Hour,
		AttemptTimeout:  5 * time.Minute,
		ExpressionCost:  expr.DefaultCost,
	}
}

// Validate reports every limit that is not positive.
func (l Limits) Validate() error {
	var errs []error
	for name, v := range map[string]int64{
		"definition_bytes": int64(l.DefinitionBytes), "input_bytes": int64(l.InputBytes), "steps": int64(l.Steps),
		"depth": int64(l.Depth), "parallel": int64(l.Parallel), "iterations": int64(l.Iterations),
		"targets": int64(l.Targets), "nesting": int64(l.Nesting), "child_runs": int64(l.ChildRuns), "attempts": int64(l.Attempts), "host_calls": int64(l.HostCalls),
		"run_timeout": int64(l.RunTimeout), "attempt_timeout": int64(l.AttemptTimeout), "expression_cost": int64(min(l.ExpressionCost, 1<<62)),
	} {
		if v <= 0 {
			errs = append(errs, fmt.Errorf("limit %s must be more than 0", name))
		}
	}
	return errors.Join(errs...)
}
