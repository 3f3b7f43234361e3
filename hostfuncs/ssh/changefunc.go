package ssh

import (
	"context"

	"opsconductor.dev/hostfuncs"
)

// MkdirRequest is the request of ssh_mkdir (schemas/hostfuncs/ssh_mkdir.json).
type MkdirRequest struct {
	Target     string         `json:"target,omitempty"`
	Credential string         `json:"credential,omitempty"`
	Path       string         `json:"path"`
	Parents    bool           `json:"parents,omitempty"`
	Mode       string         `json:"mode,omitempty"`
	Become     *BecomeRequest `json:"become,omitempty"`
	TimeoutMS  int64          `json:"timeout_ms,omitempty"`
}

// MkdirResult is the result of ssh_mkdir.
type MkdirResult struct {
	Target  string `json:"target"`
	Path    string `json:"path"`
	Changed bool   `json:"changed"`
}

// RemoveRequest is the request of ssh_remove (schemas/hostfuncs/ssh_remove.json).
type RemoveRequest struct {
	Target     string         `json:"target,omitempty"`
	Credential string         `json:"credential,omitempty"`
	Path       string         `json:"path"`
	Recursive  bool           `json:"recursive,omitempty"`
	MaxEntries int            `json:"max_entries,omitempty"`
	Become     *BecomeRequest `json:"become,omitempty"`
	TimeoutMS  int64          `json:"timeout_ms,omitempty"`
}

// RemoveResult is the result of ssh_remove.
type RemoveResult struct {
	Target  string `json:"target"`
	Path    string `json:"path"`
	Removed int    `json:"removed"`
	Changed bool   `json:"changed"`
}

// ChmodRequest is the request of ssh_chmod (schemas/hostfuncs/ssh_chmod.json).
type ChmodRequest struct {
	Target     string         `json:"target,omitempty"`
	Credential string         `json:"credential,omitempty"`
	Path       string         `json:"path"`
	Mode       string         `json:"mode,omitempty"`
	Owner      string         `json:"owner,omitempty"`
	Become     *BecomeRequest `json:"become,omitempty"`
	TimeoutMS  int64          `json:"timeout_ms,omitempty"`
}

// ChmodResult is the result of ssh_chmod.
type ChmodResult struct {
	Target  string `json:"target"`
	Path    string `json:"path"`
	Mode    string `json:"mode"`
	UID     uint32 `json:"uid"`
	GID     uint32 `json:"gid"`
	Changed bool   `json:"changed"`
}

// mkdir is the host function ssh_mkdir.
func (p *Pool) mkdir(ctx context.Context, s *hostfuncs.Session, req MkdirRequest) (MkdirResult, error) {
	const name = "ssh_mkdir"
	var f faults
	f.file(req.place(), req.Path, req.TimeoutMS)
	mode := f.mode(req.Mode)
	if err := f.err(name); err != nil {
		return MkdirResult{}, err
	}
	e, err := fileTarget(ctx, s, name, req.place())
	if err != nil {
		return MkdirResult{}, err
	}
	ctx, cancel := bounded(ctx, req.TimeoutMS)
	defer cancel()
	changed, err := p.Mkdir(ctx, e, Mkdir{Path: req.Path, Parents: req.Parents, Mode: mode, Begin: noted(s, e.Name)})
	if err != nil {
		return MkdirResult{}, err
	}
	return MkdirResult{Target: e.Name, Path: s.RedactString(req.Path), Changed: changed}, nil
}

// remove is the host function ssh_remove.
func (p *Pool) remove(ctx context.Context, s *hostfuncs.Session, req RemoveRequest) (RemoveResult, error) {
	const name = "ssh_remove"
	var f faults
	f.file(req.place(), req.Path, req.TimeoutMS)
	f.add(req.MaxEntries < 0 || req.MaxEntries > maxEntries, "max_entries is not between 0 and 10000")
	if err := f.err(name); err != nil {
		return RemoveResult{}, err
	}
	e, err := fileTarget(ctx, s, name, req.place())
	if err != nil {
		return RemoveResult{}, err
	}
	ctx, cancel := bounded(ctx, req.TimeoutMS)
	defer cancel()
	n, err := p.Remove(ctx, e, Remove{Path: req.Path, Recursive: req.Recursive, Most: req.MaxEntries, Begin: noted(s, e.Name)})
	if err != nil {
		return RemoveResult{}, err
	}
	return RemoveResult{Target: e.Name, Path: s.RedactString(req.Path), Removed: n, Changed: n > 0}, nil
}

// chmod is the host function ssh_chmod.
func (p *Pool) chmod(ctx context.Context, s *hostfuncs.Session, req ChmodRequest) (ChmodResult, error) {
	const name = "ssh_chmod"
	var f faults
	f.file(req.place(), req.Path, req.TimeoutMS)
	c := Chmod{Path: req.Path, Mode: f.mode(req.Mode)}
	c.UID, c.GID = f.owner(req.Owner)
	if err := f.err(name); err != nil {
		return ChmodResult{}, err
	}
	e, err := fileTarget(ctx, s, name, req.place())
	if err != nil {
		return ChmodResult{}, err
	}
	ctx, cancel := bounded(ctx, req.TimeoutMS)
	defer cancel()
	c.Begin = noted(s, e.Name)
	now, changed, err := p.Chmod(ctx, e, c)
	if err != nil {
		return ChmodResult{}, err
	}
	return ChmodResult{Target: e.Name, Path: s.RedactString(req.Path), Mode: octal(now.Mode), UID: now.UID, GID: now.GID, Changed: changed}, nil
}
