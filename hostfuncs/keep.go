package hostfuncs

import (
	"errors"
	"io"
	"strconv"
	"sync"
)

// kept is what stays open between the calls of a session.
type kept struct {
	mu     sync.Mutex
	last   int
	open   map[string]io.Closer
	closed bool
}

// maxKept is how much one session may keep open at a time.
const maxKept = 8

// Keep lets something that a call has opened live until Close, or until Release. It
// returns its name within the session. When the session keeps eight already, or is
// over, c is closed and the error is of phase before.
func (s *Session) Keep(c io.Closer) (string, error) {
	k := &s.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.closed:
		return "", errors.Join(Errorf(Cancelled, Before, "the attempt is over, so nothing more is opened for it"), c.Close())
	case len(k.open) >= maxKept:
		return "", errors.Join(Errorf(Quota, Before, "the attempt has %d sessions open, which is the most; close one first", maxKept), c.Close())
	case k.open == nil:
		k.open = map[string]io.Closer{}
	}
	k.last++
	name := strconv.Itoa(k.last)
	k.open[name] = c
	return name, nil
}

// Kept returns what Keep has given a name; nil where there is no such thing (any more).
func (s *Session) Kept(name string) io.Closer {
	s.kept.mu.Lock()
	defer s.kept.mu.Unlock()
	return s.kept.open[name]
}

// Release takes a thing out of what the session keeps; nil where there is no such
// thing. It is the caller's to close.
func (s *Session) Release(name string) io.Closer {
	s.kept.mu.Lock()
	defer s.kept.mu.Unlock()
	c := s.kept.open[name]
	delete(s.kept.open, name)
	return c
}

// Close closes all that the session keeps. Who made the session calls it when the
// attempt is over; more than once does no harm.
func (s *Session) Close() error {
	k := &s.kept
	k.mu.Lock()
	open := k.open
	k.open, k.closed = nil, true
	k.mu.Unlock()
	var errs []error
	for _, c := range open {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
