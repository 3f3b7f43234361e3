package hostfuncs

import (
	"context"
	"errors"
	"fmt"
)

// Ended returns the error of a call whose ctx is done: timeout when a deadline
// passed, else cancelled, with the cause that ctx carries. format says what that
// means for the call.
func Ended(ctx context.Context, phase Phase, format string, args ...any) *Error {
	what := fmt.Sprintf(format, args...)
	cause := context.Cause(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(cause, context.DeadlineExceeded) {
		if cause == nil || errors.Is(cause, context.DeadlineExceeded) && cause.Error() == context.DeadlineExceeded.Error() {
			cause = errors.New("the attempt's time is over")
		}
		return Errorf(Timeout, phase, "%s: %w", what, cause)
	}
	if cause == nil || errors.Is(cause, context.Canceled) && cause.Error() == context.Canceled.Error() {
		cause = errors.New("cancelled")
	}
	return Errorf(Cancelled, phase, "%s: %w", what, cause)
}
