package step

// Milliseconds turns the seconds of an action's input into the milliseconds of a
// host function's request. It rounds up, so that a limit that is given never
// becomes none.
func Milliseconds(seconds float64) int {
	ms := int(seconds * 1000)
	if float64(ms) < seconds*1000 {
		ms++
	}
	return ms
}
