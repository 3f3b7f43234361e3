package main

import "opsconductor.dev/sdk/go/step"

// FolderInput is what files.folder takes.
type FolderInput struct {
	Path     string  `json:"path"`
	Parents  bool    `json:"parents,omitempty"`
	Mode     string  `json:"mode,omitempty"`
	Become   *Become `json:"become,omitempty"`
	TimeoutS float64 `json:"timeout_s,omitempty"`
}

// Changed is what actions give that only say whether they changed something.
type Changed struct {
	Changed bool `json:"changed"`
}

// Folder makes a folder.
func Folder(c *step.Context, in FolderInput) (Changed, error) {
	r, err := c.SSHMkdir(step.SSHMkdirRequest{Path: in.Path, Parents: in.Parents, Mode: in.Mode, Become: (*step.SSHMkdirBecome)(in.Become), TimeoutMS: step.Milliseconds(in.TimeoutS)})
	return Changed{r.Changed}, err
}

// RemoveInput is what files.remove takes.
type RemoveInput struct {
	Path       string  `json:"path"`
	Recursive  bool    `json:"recursive,omitempty"`
	MaxEntries int     `json:"max_entries,omitempty"`
	Become     *Become `json:"become,omitempty"`
	TimeoutS   float64 `json:"timeout_s,omitempty"`
}

// RemoveOutput is what files.remove gives.
type RemoveOutput struct {
	Changed bool `json:"changed"`
	Removed int  `json:"removed"`
}

// Remove takes a file or folder away.
func Remove(c *step.Context, in RemoveInput) (RemoveOutput, error) {
	r, err := c.SSHRemove(step.SSHRemoveRequest{Path: in.Path, Recursive: in.Recursive, MaxEntries: in.MaxEntries, Become: (*step.SSHRemoveBecome)(in.Become), TimeoutMS: step.Milliseconds(in.TimeoutS)})
	return RemoveOutput{Changed: r.Changed, Removed: r.Removed}, err
}

// ModeInput is what files.mode takes.
type ModeInput struct {
	Path     string  `json:"path"`
	Mode     string  `json:"mode,omitempty"`
	Owner    string  `json:"owner,omitempty"`
	Become   *Become `json:"become,omitempty"`
	TimeoutS float64 `json:"timeout_s,omitempty"`
}

// ModeOutput is what files.mode gives.
type ModeOutput struct {
	Changed bool   `json:"changed"`
	Mode    string `json:"mode"`
	UID     int    `json:"uid"`
	GID     int    `json:"gid"`
}

// Mode sets mode and owner of what is there.
func Mode(c *step.Context, in ModeInput) (ModeOutput, error) {
	r, err := c.SSHChmod(step.SSHChmodRequest{Path: in.Path, Mode: in.Mode, Owner: in.Owner, Become: (*step.SSHChmodBecome)(in.Become), TimeoutMS: step.Milliseconds(in.TimeoutS)})
	return ModeOutput{Changed: r.Changed, Mode: r.Mode, UID: r.Uid, GID: r.Gid}, err
}
