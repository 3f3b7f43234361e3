//go:build !wasip1

package step

// Outside the sandbox there is no call to answer: Run fails, and host functions
// work through a Host alone.

const guestDone int32 = 1

func guestInput() []byte { return []byte("{}") }

func guestOutput([]byte) {}

func guestError([]byte) {}

func guestCall(func(uint64) uint64, []byte) []byte {
	return []byte(`{"error":{"code":"denied","message":"host functions exist in the sandbox alone; test the action with steptest","retryable":false,"phase":"before"}}`)
}
