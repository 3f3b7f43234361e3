package simtest

import (
	"math/rand/v2"
	"time"
)

// dice draws what a seed decides: the same name always gives the same number, in
// whatever order the numbers are asked for.
type dice uint64

// of returns the number with a name.
func (d dice) of(name string, n ...int) uint64 {
	h := uint64(d) ^ 0x9e3779b97f4a7c15
	for i := range len(name) {
		h = mix(h ^ uint64(name[i]))
	}
	for _, v := range n {
		h = mix(h ^ uint64(v)) //nolint:gosec // any bits do
	}
	return h
}

// mix is the finalizer of SplitMix64.
func mix(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// rand returns a generator of its own for a name.
func (d dice) rand(name string, n ...int) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(d), d.of(name, n...))) //nolint:gosec // no secret
}

// between returns a time from least to most, to the nanosecond.
func between(h uint64, least, most time.Duration) time.Duration {
	return least + time.Duration(h%uint64(most-least)) //nolint:gosec // both are positive
}

// sleep lets simulated time go by: what else is there to do happens first.
func sleep(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // a bubble's clock is injected
}

// chance reports whether a number falls into n of 1000.
func chance(h uint64, n int) bool { return h>>20%1000 < uint64(n) } //nolint:gosec // n is positive
