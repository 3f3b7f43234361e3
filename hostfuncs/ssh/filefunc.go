package ssh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"opsconductor.dev/hostfuncs"
)

// PutRequest is the request of ssh_put (schemas/hostfuncs/ssh_put.json).
type PutRequest struct {
	Target        string         `json:"target,omitempty"`
	Credential    string         `json:"credential,omitempty"`
	Path          string         `json:"path"`
	Content       string         `json:"content,omitempty"`
	ContentBase64 []byte         `json:"content_base64,omitempty"`
	Mode          string         `json:"mode,omitempty"`
	Owner         string         `json:"owner,omitempty"`
	Become        *BecomeRequest `json:"become,omitempty"`
	TimeoutMS     int64          `json:"timeout_ms,omitempty"`
}

// PutResult is the result of ssh_put.
type PutResult struct {
	Target  string  `json:"target"`
	Path    string  `json:"path"`
	Size    int64   `json:"size"`
	SHA256  string  `json:"sha256"`
	Mode    string  `json:"mode"`
	UID     *uint32 `json:"uid,omitempty"`
	GID     *uint32 `json:"gid,omitempty"`
	Changed bool    `json:"changed"`
	Atomic  bool    `json:"atomic"`
}

// GetRequest is the request of ssh_get (schemas/hostfuncs/ssh_get.json).
type GetRequest struct {
	Target     string         `json:"target,omitempty"`
	Credential string         `json:"credential,omitempty"`
	Path       string         `json:"path"`
	MaxBytes   int            `json:"max_bytes,omitempty"`
	Become     *BecomeRequest `json:"become,omitempty"`
	TimeoutMS  int64          `json:"timeout_ms,omitempty"`
}

// GetResult is the result of ssh_get.
type GetResult struct {
	Target        string  `json:"target"`
	Path          string  `json:"path"`
	Content       string  `json:"content"`
	ContentBase64 []byte  `json:"content_base64,omitempty"`
	Size          int64   `json:"size"`
	SHA256        string  `json:"sha256"`
	Mode          string  `json:"mode"`
	UID           *uint32 `json:"uid,omitempty"`
	GID           *uint32 `json:"gid,omitempty"`
	Modified      string  `json:"modified,omitempty"`
	Redacted      bool    `json:"redacted"`
}

// StatRequest is the request of ssh_stat (schemas/hostfuncs/ssh_stat.json).
type StatRequest struct {
	Target     string         `json:"target,omitempty"`
	Credential string         `json:"credential,omitempty"`
	Path       string         `json:"path"`
	Follow     bool           `json:"follow,omitempty"`
	Become     *BecomeRequest `json:"become,omitempty"`
	TimeoutMS  int64          `json:"timeout_ms,omitempty"`
}

// StatResult is the result of ssh_stat.
type StatResult struct {
	Target string     `json:"target"`
	Path   string     `json:"path"`
	Exists bool       `json:"exists"`
	File   *FileEntry `json:"file,omitempty"`
}

// ListRequest is the request of ssh_list (schemas/hostfuncs/ssh_list.json).
type ListRequest struct {
	Target     string         `json:"target,omitempty"`
	Credential string         `json:"credential,omitempty"`
	Path       string         `json:"path"`
	Limit      int            `json:"limit,omitempty"`
	Become     *BecomeRequest `json:"become,omitempty"`
	TimeoutMS  int64          `json:"timeout_ms,omitempty"`
}

// ListResult is the result of ssh_list.
type ListResult struct {
	Target    string      `json:"target"`
	Path      string      `json:"path"`
	Entries   []FileEntry `json:"entries"`
	Truncated bool        `json:"truncated"`
}

// FileEntry is one file in a result.
type FileEntry struct {
	Name       string `json:"name"`
	NameBase64 []byte `json:"name_base64,omitempty"`
	Type       string `json:"type"`
	Size       int64  `json:"size"`
	Mode       string `json:"mode"`
	UID        uint32 `json:"uid"`
	GID        uint32 `json:"gid"`
	Modified   string `json:"modified"`
	Link       string `json:"link,omitempty"`
	LinkBase64 []byte `json:"link_base64,omitempty"`
}

// defaultEntries is how many entries ssh_list returns when nobody says.
const defaultEntries = 1000

// file checks what the requests of all functions for files have.
func (f *faults) file(at filePlace, path string, timeoutMS int64) {
	f.call(at.target, at.credential, timeoutMS)
	f.become(at.become)
	if err := checkPath(path); err != nil {
		*f = append(*f, err)
	}
}

// mode reads octal permission bits; nil for "".
func (f *faults) mode(text string) *uint32 {
	mode, err := parseMode(text)
	f.add(err != nil, "mode is not three or four octal digits, like 0644")
	return mode
}

// owner reads uid, uid:gid or :gid; nil for what is left out.
func (f *faults) owner(text string) (uid, gid *uint32) {
	uid, gid, err := parseOwner(text)
	f.add(err != nil, "owner is not a number of a user, a colon and one of a group, like 0:0, 1000 or :100")
	return uid, gid
}

// bounded gives a call its own timeout; 0: it has none.
func bounded(ctx context.Context, ms int64) (context.Context, context.CancelFunc) {
	if ms <= 0 {
		return context.WithCancel(ctx)
	}
	d := time.Duration(ms) * time.Millisecond
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("the call's timeout of %s is over", d))
}

// put is the host function ssh_put.
func (p *Pool) put(ctx context.Context, s *hostfuncs.Session, req PutRequest) (PutResult, error) {
	const name = "ssh_put"
	w, err := req.file()
	if err != nil {
		return PutResult{}, err
	}
	e, err := fileTarget(ctx, s, name, req.place())
	if err != nil {
		return PutResult{}, err
	}
	ctx, cancel := bounded(ctx, req.TimeoutMS)
	defer cancel()
	w.Begin = noted(s, e.Name)
	out, err := p.Put(ctx, e, w)
	if err != nil {
		return PutResult{}, err
	}
	return PutResult{
		Target: e.Name, Path: s.RedactString(req.Path), Size: out.Size, SHA256: out.SHA256, Mode: octal(out.Mode),
		UID: out.UID, GID: out.GID, Changed: out.Changed, Atomic: out.Atomic,
	}, nil
}

// file checks a request against the schema's bounds and returns what to write.
func (r PutRequest) file() (Put, error) {
	var f faults
	f.file(r.place(), r.Path, r.TimeoutMS)
	f.add(r.Content != "" && len(r.ContentBase64) > 0, "give one of content and content_base64")
	w := Put{Path: r.Path, Content: []byte(r.Content)}
	if len(r.ContentBase64) > 0 {
		w.Content = r.ContentBase64
	}
	w.Mode = f.mode(r.Mode)
	w.UID, w.GID = f.owner(r.Owner)
	return w, f.err("ssh_put")
}

// parseMode reads octal permission bits; nil for "".
func parseMode(text string) (*uint32, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no mode is none
	}
	if len(text) < 3 || len(text) > 4 {
		return nil, errors.New("not three or four digits")
	}
	n, err := strconv.ParseUint(text, 8, 32)
	mode := uint32(n) //nolint:gosec // four octal digits
	return &mode, err //nolint:wrapcheck // the caller words it
}

// parseOwner reads uid, uid:gid or :gid; nil for what is left out.
func parseOwner(text string) (uid, gid *uint32, err error) {
	user, group, _ := strings.Cut(text, ":")
	for _, part := range []struct {
		text string
		to   **uint32
	}{{user, &uid}, {group, &gid}} {
		if part.text == "" {
			continue
		}
		n, err := strconv.ParseUint(part.text, 10, 32)
		if err != nil {
			return nil, nil, err //nolint:wrapcheck // the caller words it
		}
		id := uint32(n) //nolint:gosec // parsed as 32 bits
		*part.to = &id
	}
	return uid, gid, nil
}

func octal(mode uint32) string { return fmt.Sprintf("%04o", mode) }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// get is the host function ssh_get.
func (p *Pool) get(ctx context.Context, s *hostfuncs.Session, req GetRequest) (GetResult, error) {
	const name = "ssh_get"
	var f faults
	f.file(req.place(), req.Path, req.TimeoutMS)
	f.add(req.MaxBytes < 0 || req.MaxBytes > maxOutput, "max_bytes is not between 0 and 67108864")
	if err := f.err(name); err != nil {
		return GetResult{}, err
	}
	e, err := fileTarget(ctx, s, name, req.place())
	if err != nil {
		return GetResult{}, err
	}
	ctx, cancel := bounded(ctx, req.TimeoutMS)
	defer cancel()
	file, err := p.Get(ctx, e, req.Path, outputCap(req.MaxBytes, s.MaxOutput))
	if err != nil {
		return GetResult{}, err
	}
	out := GetResult{
		Target: e.Name, Path: s.RedactString(req.Path), Size: int64(len(file.Content)), SHA256: file.SHA256,
		Mode: octal(file.Mode),
	}
	if !file.OverSCP {
		out.UID, out.GID, out.Modified = &file.UID, &file.GID, stamp(file.Modified)
	}
	content := s.Redact(file.Content)
	out.Redacted = string(content) != string(file.Content)
	out.Content, out.ContentBase64 = textOrBytes(content)
	return out, nil
}

// stat is the host function ssh_stat.
func (p *Pool) stat(ctx context.Context, s *hostfuncs.Session, req StatRequest) (StatResult, error) {
	const name = "ssh_stat"
	var f faults
	f.file(req.place(), req.Path, req.TimeoutMS)
	if err := f.err(name); err != nil {
		return StatResult{}, err
	}
	e, err := fileTarget(ctx, s, name, req.place())
	if err != nil {
		return StatResult{}, err
	}
	ctx, cancel := bounded(ctx, req.TimeoutMS)
	defer cancel()
	info, err := p.Stat(ctx, e, req.Path, req.Follow)
	if err != nil {
		return StatResult{}, err
	}
	out := StatResult{Target: e.Name, Path: s.RedactString(req.Path), Exists: info != nil}
	if info != nil {
		entry := newFileEntry(s, *info)
		out.File = &entry
	}
	return out, nil
}

// list is the host function ssh_list.
func (p *Pool) list(ctx context.Context, s *hostfuncs.Session, req ListRequest) (ListResult, error) {
	const name = "ssh_list"
	var f faults
	f.file(req.place(), req.Path, req.TimeoutMS)
	f.add(req.Limit < 0 || req.Limit > maxEntries, "limit is not between 0 and 10000")
	if err := f.err(name); err != nil {
		return ListResult{}, err
	}
	if req.Limit == 0 {
		req.Limit = defaultEntries
	}
	e, err := fileTarget(ctx, s, name, req.place())
	if err != nil {
		return ListResult{}, err
	}
	ctx, cancel := bounded(ctx, req.TimeoutMS)
	defer cancel()
	listing, err := p.List(ctx, e, req.Path, req.Limit)
	if err != nil {
		return ListResult{}, err
	}
	out := ListResult{Target: e.Name, Path: s.RedactString(req.Path), Entries: []FileEntry{}, Truncated: listing.Truncated}
	room := outputCap(0, s.MaxOutput)
	for _, info := range listing.Entries {
		entry := newFileEntry(s, info)
		b, _ := json.Marshal(entry) // strings, bytes and numbers always can be written
		if room -= len(b) + 1; room < 0 {
			out.Truncated = true
			break
		}
		out.Entries = append(out.Entries, entry)
	}
	return out, nil
}

func newFileEntry(s *hostfuncs.Session, info FileInfo) FileEntry {
	out := FileEntry{Type: string(info.Type), Size: info.Size, Mode: octal(info.Mode), UID: info.UID, GID: info.GID, Modified: stamp(info.Modified)}
	out.Name, out.NameBase64 = textOrBytes(s.Redact([]byte(info.Name)))
	out.Link, out.LinkBase64 = textOrBytes(s.Redact([]byte(info.Link)))
	return out
}
