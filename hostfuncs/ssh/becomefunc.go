package ssh

import (
	"context"

	"opsconductor.dev/hostfuncs"
)

// BecomeRequest is the member become of requests.
type BecomeRequest struct {
	Method     string `json:"method,omitempty"`
	User       string `json:"user,omitempty"`
	Credential string `json:"credential,omitempty"`
}

// plan returns what is asked for without the password, to be checked; nil: nothing.
func (r *BecomeRequest) plan(f *faults) *Become {
	if r == nil {
		return nil
	}
	f.add(len(r.Credential) > 253, "become: the credential is longer than 253 characters")
	return &Become{Method: BecomeMethod(r.Method), User: r.User}
}

// open returns what is asked for with the password of its credential. Without one,
// sudo and doas, which ask for the password of who has logged in, are given that.
func (r *BecomeRequest) open(ctx context.Context, s *hostfuncs.Session, function string, e Endpoint) (*Become, error) {
	if r == nil {
		return nil, nil //nolint:nilnil // nothing asked for is nobody to become
	}
	var f faults
	b := r.plan(&f)
	if r.Credential == "" {
		if b.method() != Su {
			b.Password = e.Credential.Password
		}
		return b, nil
	}
	t, err := s.Broker.Target(ctx, s, function, e.Name)
	if err != nil {
		return nil, err
	}
	c, err := s.Broker.Credential(ctx, s, function, t, r.Credential)
	if err != nil {
		return nil, err
	}
	s.Opened(c.Password, c.PrivateKey, c.Passphrase)
	if c.Password == nil {
		return nil, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "%s: become: credential %s has no password; name one of kind password", function, c.Name)
	}
	b.Password = c.Password
	return b, nil
}

// terminal returns the terminal that is asked for; nil: none.
func (r ExecRequest) terminal(f *faults) *Terminal {
	if !r.PTY {
		f.add(r.Rows != 0 || r.Cols != 0 || r.Term != "", "rows, cols and term belong to pty: true")
		return nil
	}
	return &Terminal{Rows: r.Rows, Cols: r.Cols, Term: r.Term}
}

// told returns who writes a command's output to the attempt's log as it comes; nil
// where there is no log.
func told(s *hostfuncs.Session, before string) *Live {
	if s.Log == nil {
		return nil
	}
	return &Live{Unfinished: s.Unfinished, Line: func(stream, text string) { s.Log("info", before+stream+": "+text) }}
}
