// Command files is the built-in plugin files: files and folders on targets that are
// reached by SSH, by SFTP and without a shell. What is so already is not done again,
// so every action may be tried again.
package main

import "opsconductor.dev/sdk/go/step"

func main() {}

// Become says as which other user something is done to files.
type Become struct {
	Method     string `json:"method,omitempty"`
	User       string `json:"user,omitempty"`
	Credential string `json:"credential,omitempty"`
}

// PutInput is what files.put takes.
type PutInput struct {
	Path          string  `json:"path"`
	Content       string  `json:"content,omitempty"`
	ContentBase64 []byte  `json:"content_base64,omitempty"`
	Mode          string  `json:"mode,omitempty"`
	Owner         string  `json:"owner,omitempty"`
	Become        *Become `json:"become,omitempty"`
	TimeoutS      float64 `json:"timeout_s,omitempty"`
}

// PutOutput is what files.put gives.
type PutOutput struct {
	Changed bool   `json:"changed"`
	Size    int    `json:"size"`
	SHA256  string `json:"sha256"`
	Mode    string `json:"mode"`
	UID     *int   `json:"uid,omitempty"`
	GID     *int   `json:"gid,omitempty"`
	Atomic  bool   `json:"atomic"`
}

// Put makes a file have a content.
func Put(c *step.Context, in PutInput) (PutOutput, error) {
	r, err := c.SSHPut(step.SSHPutRequest{
		Path: in.Path, Content: in.Content, ContentBase64: in.ContentBase64, Mode: in.Mode, Owner: in.Owner, Become: (*step.SSHPutBecome)(in.Become), TimeoutMS: step.Milliseconds(in.TimeoutS),
	})
	if err != nil {
		return PutOutput{}, err
	}
	return PutOutput{Changed: r.Changed, Size: r.Size, SHA256: r.Sha256, Mode: r.Mode, UID: r.Uid, GID: r.Gid, Atomic: r.Atomic}, nil
}

// GetInput is what files.get takes.
type GetInput struct {
	Path     string  `json:"path"`
	MaxBytes int     `json:"max_bytes,omitempty"`
	Become   *Become `json:"become,omitempty"`
	TimeoutS float64 `json:"timeout_s,omitempty"`
}

// GetOutput is what files.get gives.
type GetOutput struct {
	Content       string `json:"content"`
	ContentBase64 []byte `json:"content_base64,omitempty"`
	Size          int    `json:"size"`
	SHA256        string `json:"sha256"`
	Mode          string `json:"mode"`
	Redacted      bool   `json:"redacted"`
}

// Get reads a whole file.
func Get(c *step.Context, in GetInput) (GetOutput, error) {
	r, err := c.SSHGet(step.SSHGetRequest{Path: in.Path, MaxBytes: in.MaxBytes, Become: (*step.SSHGetBecome)(in.Become), TimeoutMS: step.Milliseconds(in.TimeoutS)})
	if err != nil {
		return GetOutput{}, err
	}
	return GetOutput{Content: r.Content, ContentBase64: r.ContentBase64, Size: r.Size, SHA256: r.Sha256, Mode: r.Mode, Redacted: r.Redacted}, nil
}

// StatInput is what files.stat takes.
type StatInput struct {
	Path     string  `json:"path"`
	Follow   bool    `json:"follow,omitempty"`
	Become   *Become `json:"become,omitempty"`
	TimeoutS float64 `json:"timeout_s,omitempty"`
}

// StatOutput is what files.stat gives. Without a file the rest is "" or 0.
type StatOutput struct {
	Exists   bool   `json:"exists"`
	Type     string `json:"type"`
	Size     int    `json:"size"`
	Mode     string `json:"mode"`
	UID      int    `json:"uid"`
	GID      int    `json:"gid"`
	Modified string `json:"modified"`
	Link     string `json:"link"`
}

// Stat says what is at a path.
func Stat(c *step.Context, in StatInput) (StatOutput, error) {
	r, err := c.SSHStat(step.SSHStatRequest{Path: in.Path, Follow: in.Follow, Become: (*step.SSHStatBecome)(in.Become), TimeoutMS: step.Milliseconds(in.TimeoutS)})
	if err != nil {
		return StatOutput{}, err
	}
	f := r.File
	return StatOutput{Exists: r.Exists, Type: f.Type, Size: f.Size, Mode: f.Mode, UID: f.Uid, GID: f.Gid, Modified: f.Modified, Link: f.Link}, nil
}

// ListInput is what files.list takes.
type ListInput struct {
	Path     string  `json:"path"`
	Limit    int     `json:"limit,omitempty"`
	Become   *Become `json:"become,omitempty"`
	TimeoutS float64 `json:"timeout_s,omitempty"`
}

// ListOutput is what files.list gives.
type ListOutput struct {
	Entries   []Entry `json:"entries"`
	Truncated bool    `json:"truncated"`
}

// Entry is a file in a folder.
type Entry struct {
	Name       string `json:"name"`
	NameBase64 []byte `json:"name_base64,omitempty"`
	Type       string `json:"type"`
	Size       int    `json:"size"`
	Mode       string `json:"mode"`
	UID        int    `json:"uid"`
	GID        int    `json:"gid"`
	Modified   string `json:"modified"`
}

// List says what is in a folder.
func List(c *step.Context, in ListInput) (ListOutput, error) {
	r, err := c.SSHList(step.SSHListRequest{Path: in.Path, Limit: in.Limit, Become: (*step.SSHListBecome)(in.Become), TimeoutMS: step.Milliseconds(in.TimeoutS)})
	if err != nil {
		return ListOutput{}, err
	}
	out := ListOutput{Entries: make([]Entry, len(r.Entries)), Truncated: r.Truncated}
	for i, e := range r.Entries {
		out.Entries[i] = Entry{Name: e.Name, NameBase64: e.NameBase64, Type: e.Type, Size: e.Size, Mode: e.Mode, UID: e.Uid, GID: e.Gid, Modified: e.Modified}
	}
	return out, nil
}
