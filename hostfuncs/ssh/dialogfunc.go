package ssh

import (
	"context"
	"strings"
	"time"

	"opsconductor.dev/hostfuncs"
)

// OpenRequest is the request of ssh_open (schemas/hostfuncs/ssh_open.json).
type OpenRequest struct {
	Target           string `json:"target,omitempty"`
	Credential       string `json:"credential,omitempty"`
	Platform         string `json:"platform,omitempty"`
	Prompt           string `json:"prompt,omitempty"`
	Privileged       bool   `json:"privileged,omitempty"`
	EnableCredential string `json:"enable_credential,omitempty"`
	MaxOutputBytes   int    `json:"max_output_bytes,omitempty"`
	TimeoutMS        int64  `json:"timeout_ms,omitempty"`
	Stream           bool   `json:"stream,omitempty"`
}

// OpenResult is the result of ssh_open.
type OpenResult struct {
	Target          string `json:"target"`
	Session         string `json:"session"`
	Prompt          string `json:"prompt"`
	Mode            string `json:"mode"`
	Output          string `json:"output"`
	OutputTruncated bool   `json:"output_truncated"`
}

// SendRequest is the request of ssh_send (schemas/hostfuncs/ssh_send.json).
type SendRequest struct {
	Session        string       `json:"session"`
	Mode           string       `json:"mode,omitempty"`
	Text           *string      `json:"text,omitempty"`
	Credential     string       `json:"credential,omitempty"`
	NoEnter        bool         `json:"no_enter,omitempty"`
	Expect         []string     `json:"expect,omitempty"`
	Answers        []SendAnswer `json:"answers,omitempty"`
	Closes         bool         `json:"closes,omitempty"`
	TimeoutMS      int64        `json:"timeout_ms,omitempty"`
	MaxOutputBytes int          `json:"max_output_bytes,omitempty"`
}

// SendAnswer is the answer to a question.
type SendAnswer struct {
	Question   string `json:"question"`
	Text       string `json:"text,omitempty"`
	Credential string `json:"credential,omitempty"`
}

// SendResult is the result of ssh_send.
type SendResult struct {
	Target          string `json:"target"`
	Output          string `json:"output"`
	OutputTruncated bool   `json:"output_truncated"`
	OutputBytes     int64  `json:"output_bytes"`
	Prompt          string `json:"prompt"`
	Mode            string `json:"mode"`
	Matched         *int   `json:"matched,omitempty"`
	Refused         string `json:"refused"`
	Closed          bool   `json:"closed"`
	DurationMS      int64  `json:"duration_ms"`
}

// CloseRequest is the request of ssh_close (schemas/hostfuncs/ssh_close.json).
type CloseRequest struct {
	Session string `json:"session"`
}

// CloseResult is the result of ssh_close.
type CloseResult struct {
	Closed bool `json:"closed"`
}

// openDialog is the host function ssh_open.
func (p *Pool) openDialog(ctx context.Context, s *hostfuncs.Session, req OpenRequest) (OpenResult, error) {
	const name = "ssh_open"
	var f faults
	f.call(req.Target, req.Credential, req.TimeoutMS)
	f.add(len(req.EnableCredential) > 253, "enable_credential is longer than 253 characters")
	f.add(req.MaxOutputBytes < 0 || req.MaxOutputBytes > maxOutput, "max_output_bytes is not between 0 and 67108864")
	c := DialogConfig{
		Platform: Platform(req.Platform), Prompt: req.Prompt, Privileged: req.Privileged,
		Timeout: time.Duration(req.TimeoutMS) * time.Millisecond, MaxOutput: outputCap(req.MaxOutputBytes, s.MaxOutput),
	}
	if err := c.Validate(); err != nil {
		f = append(f, err)
	}
	if err := f.err(name); err != nil {
		return OpenResult{}, err
	}
	e, err := target(ctx, s, name, req.Target, req.Credential)
	if err != nil {
		return OpenResult{}, err
	}
	if req.EnableCredential != "" {
		if c.Enable, err = password(ctx, s, name, e.Name, req.EnableCredential); err != nil {
			return OpenResult{}, err
		}
	}
	c.Redact, c.Slack = s.Redact, s.LongestSecret()
	if req.Stream {
		c.Live = told(s, "")
	}
	d, err := p.Open(ctx, e, c)
	if err != nil {
		return OpenResult{}, err
	}
	id, err := s.Keep(d)
	if err != nil {
		return OpenResult{}, err
	}
	return OpenResult{
		Target: e.Name, Session: id, Prompt: d.clean(d.prompt), Mode: string(d.platform.modes(d.prompt)),
		Output: plainText(d.Greeting.Bytes), OutputTruncated: d.Greeting.Truncated,
	}, nil
}

// password opens a credential for the text that it holds.
func password(ctx context.Context, s *hostfuncs.Session, function, target, credential string) (hostfuncs.Secret, error) {
	t, err := s.Broker.Target(ctx, s, function, target)
	if err != nil {
		return nil, err
	}
	c, err := s.Broker.Credential(ctx, s, function, t, credential)
	if err != nil {
		return nil, err
	}
	s.Opened(c.Secrets()...)
	if c.Password == nil {
		return nil, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "%s: credential %s has no password; name one of kind password", function, c.Name)
	}
	return c.Password, nil
}

// dialogOf returns the open dialog with a name.
func dialogOf(s *hostfuncs.Session, function, name string) (*Dialog, error) {
	d, ok := s.Kept(name).(*Dialog)
	if !ok {
		return nil, hostfuncs.Errorf(hostfuncs.BadRequest, hostfuncs.Before, "%s: the attempt has no open session of that name; use the one that ssh_open has returned, while it is open", function)
	}
	return d, nil
}

// sendDialog is the host function ssh_send.
func (p *Pool) sendDialog(ctx context.Context, s *hostfuncs.Session, req SendRequest) (SendResult, error) {
	const name = "ssh_send"
	in, err := req.input(s.MaxOutput)
	if err != nil {
		return SendResult{}, err
	}
	d, err := dialogOf(s, name, req.Session)
	if err != nil {
		return SendResult{}, err
	}
	e := d.Endpoint()
	// The session was opened by another function's grant, perhaps a while ago.
	if _, err := s.Broker.Target(ctx, s, name, e.Name); err != nil {
		return SendResult{}, err
	}
	hostfuncs.Note(ctx, e.Name, "")
	if req.Credential != "" {
		if in.Secret, err = password(ctx, s, name, e.Name, req.Credential); err != nil {
			return SendResult{}, err
		}
	}
	for i, a := range req.Answers {
		if a.Credential == "" {
			continue
		}
		if in.Answers[i].Secret, err = password(ctx, s, name, e.Name, a.Credential); err != nil {
			return SendResult{}, err
		}
	}
	in.Begin, in.slack = noted(s, e.Name), s.LongestSecret()
	r, err := d.Send(ctx, in)
	if d.over.Load() {
		s.Release(req.Session)
	}
	if err != nil {
		return SendResult{}, err
	}
	out := SendResult{
		Target: e.Name, OutputTruncated: r.Output.Truncated, OutputBytes: r.Output.Total, Prompt: r.Prompt, Mode: string(r.Mode),
		Refused: r.Refused, Closed: r.Closed, DurationMS: r.Duration.Milliseconds(),
	}
	out.Output = plainText(r.Output.Bytes)
	if r.Matched >= 0 {
		out.Matched = &r.Matched
	}
	return out, nil
}

// input checks a request against the schema's bounds and returns what is sent, with
// no secret so far.
func (r SendRequest) input(limit int) (Input, error) {
	var f faults
	f.add(len(r.Session) == 0 || len(r.Session) > 20, "session is not what ssh_open returned")
	f.call("", r.Credential, r.TimeoutMS)
	f.add(r.MaxOutputBytes < 0 || r.MaxOutputBytes > maxOutput, "max_output_bytes is not between 0 and 67108864")
	f.add(r.Text != nil && r.Credential != "", "give one of text and credential")
	in := Input{
		Mode: Mode(r.Mode), Silent: r.Text == nil && r.Credential == "", NoEnter: r.NoEnter, Expect: r.Expect, Closes: r.Closes,
		Timeout: time.Duration(r.TimeoutMS) * time.Millisecond, MaxOutput: outputCap(r.MaxOutputBytes, limit),
	}
	if r.Text != nil {
		in.Text = *r.Text
	}
	f.add(in.Silent && r.NoEnter, "no_enter belongs to text or credential")
	for _, a := range r.Answers {
		f.add(a.Text != "" && a.Credential != "" || len(a.Credential) > 253, "an answer has a text or a credential of at most 253 characters, not both")
		in.Answers = append(in.Answers, DialogAnswer{Question: a.Question, Text: a.Text})
	}
	if err := in.Validate(); err != nil {
		f = append(f, err)
	}
	return in, f.err("ssh_send")
}

// closeDialog is the host function ssh_close.
func (p *Pool) closeDialog(ctx context.Context, s *hostfuncs.Session, req CloseRequest) (CloseResult, error) {
	const name = "ssh_close"
	var f faults
	f.add(len(req.Session) == 0 || len(req.Session) > 20, "session is not what ssh_open returned")
	if err := f.err(name); err != nil {
		return CloseResult{}, err
	}
	d, ok := s.Kept(req.Session).(*Dialog)
	if !ok {
		return CloseResult{}, nil
	}
	hostfuncs.Note(ctx, d.Endpoint().Name, "")
	s.Release(req.Session)
	return CloseResult{Closed: true}, d.Close()
}

// plainText is an output as text: a screen's is UTF-8 but where redaction has cut it.
func plainText(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }
