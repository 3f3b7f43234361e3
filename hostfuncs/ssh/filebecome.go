package ssh

import (
	"context"

	"opsconductor.dev/hostfuncs"
)

// filePlace is where a request for files leads, and as whom.
type filePlace struct {
	target, credential string
	become             *BecomeRequest
}

func (r PutRequest) place() filePlace    { return filePlace{r.Target, r.Credential, r.Become} }
func (r GetRequest) place() filePlace    { return filePlace{r.Target, r.Credential, r.Become} }
func (r StatRequest) place() filePlace   { return filePlace{r.Target, r.Credential, r.Become} }
func (r ListRequest) place() filePlace   { return filePlace{r.Target, r.Credential, r.Become} }
func (r MkdirRequest) place() filePlace  { return filePlace{r.Target, r.Credential, r.Become} }
func (r RemoveRequest) place() filePlace { return filePlace{r.Target, r.Credential, r.Become} }
func (r ChmodRequest) place() filePlace  { return filePlace{r.Target, r.Credential, r.Become} }

// become adds what is wrong with who is to be become; the password is not looked at.
func (f *faults) become(r *BecomeRequest) {
	if b := r.plan(f); b != nil {
		*f = append(*f, b.validate()...)
	}
}

// fileTarget returns the endpoint that a call for files is about, as whom it asks for.
// Without a credential for it doas is given no password, as it would want a terminal.
func fileTarget(ctx context.Context, s *hostfuncs.Session, function string, at filePlace) (Endpoint, error) {
	e, err := target(ctx, s, function, at.target, at.credential)
	if err != nil {
		return Endpoint{}, err
	}
	b, err := at.become.open(ctx, s, function, e)
	if err != nil {
		return Endpoint{}, err
	}
	if b != nil && at.become.Credential == "" && b.terminal() {
		b.Password = nil
	}
	return e.As(b), nil
}
