package ssh

import (
	"testing"
	"time"
)

// Code returns the one-time code of a seed at a time.
func Code(t *testing.T, seed string, at time.Time) string {
	t.Helper()
	o, err := parseOneTime(seed)
	if err != nil {
		t.Fatal(err)
	}
	return o.at(at.Unix() / int64(o.period/time.Second))
}

// CheckSeed returns what is wrong with a seed.
func CheckSeed(seed string) error {
	_, err := parseOneTime(seed)
	return err
}

// AlgorithmsOf returns all algorithms of a profile.
func AlgorithmsOf(p Profile) []string {
	t := p.table()
	out := append(append(append([]string{}, t.kex...), t.ciphers...), t.macs...)
	return append(append(out, t.hostKeys...), p.certificates()...)
}

// Announced is how many keys of an announcement a server is asked to prove.
func Announced(e Endpoint, payload []byte) (int, error) {
	t, err := newTrust(e)
	if err != nil {
		return 0, err
	}
	return len(newKeys(payload, t)), nil
}

// Codes is how many servers' last one-time codes the pool remembers.
func (p *Pool) Codes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.codes)
}
