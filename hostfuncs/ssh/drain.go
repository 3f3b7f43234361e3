package ssh

import (
	"context"
	"time"

	"opsconductor.dev/hostfuncs"
)

// drain waits for the rest of the output and for the server to close the channel,
// as long as something comes: on a slow way much of it may come after the word that
// the command has ended. A background process that holds the output open is not
// waited for: then the server gives a sign of life, and nothing has come before it.
// When ctx is done nothing is waited for for longer than DrainGrace.
func (s *session) drain(ctx context.Context) {
	most := time.NewTimer(s.pool.opt.DrainMost)
	defer most.Stop()
	defer context.AfterFunc(ctx, func() { most.Reset(min(s.pool.opt.DrainGrace, s.pool.opt.DrainMost)) })()
	grace := time.NewTicker(s.pool.opt.DrainGrace)
	defer grace.Stop()
	came, sign := s.came.Load(), (<-chan struct{})(nil)
	for over := false; !over; {
		select {
		case <-s.drained:
			over = true
		case <-most.C:
			s.cut = true
			return
		case <-grace.C:
			if sign != nil && s.came.Load() == came {
				s.cut = true // nobody answers there
				return
			}
			if sign = nil; s.came.Load() == came {
				sign = s.sign()
			}
			came = s.came.Load()
		case <-sign:
			if s.came.Load() == came {
				return
			}
			sign = nil
		}
	}
	select {
	case <-s.gone:
	case <-grace.C:
	case <-most.C:
	}
}

// sign asks the server for a sign of life. It comes behind what the server has sent
// before; what is returned is closed then.
func (s *session) sign() <-chan struct{} {
	answered := make(chan struct{})
	s.pool.wg.Go(func() {
		if s.conn.ping() == nil {
			close(answered)
		}
	})
	return answered
}

// isCut reports whether there is more of the output of a command that has ended, or may
// be, and does not come: the connection has ended before the server had said that it was
// all, or it was not waited for any longer. Called after drain.
func (s *session) isCut() bool {
	if s.cmd.follows {
		return false
	}
	ended, torn := s.conn.wire.tail.gone()
	return s.cut || torn || ended && !s.whole.Load()
}

// unheard is the error of a session that ended with its connection before the wrapper's
// line had come.
func (s *session) unheard() *hostfuncs.Error {
	return hostfuncs.Errorf(hostfuncs.Lost, hostfuncs.After,
		"%s: the connection was lost %s after the command was sent, when the session had ended (%s) and before anything had come of what it wrote: whether the command ran is not known%s", s.endpoint.place(), seconds(time.Since(s.started)), s.exit, s.conn.because())
}
