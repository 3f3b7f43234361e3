package ssh

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"opsconductor.dev/hostfuncs"
)

// prompts answers what a server asks by keyboard-interactive (RFC 4256).
type prompts struct {
	answers  []hostfuncs.Answer
	given    []bool // by index of answers
	password string
	spent    bool // the password was given already
	code     func() (string, error)
	coded    bool

	complaint string // the prompt that nothing answers
}

func (p *Pool) newPrompts(ctx context.Context, e Endpoint, extend func(func() error) error) (*prompts, error) {
	out := &prompts{
		answers: e.Credential.Answers, given: make([]bool, len(e.Credential.Answers)), password: string(reveal(e.Credential.Password)),
	}
	seed := reveal(e.Credential.OneTimeSeed)
	if len(seed) == 0 {
		return out, nil
	}
	o, err := parseOneTime(string(seed))
	if err != nil {
		return nil, err
	}
	out.code = func() (string, error) { return p.oneTimeCode(ctx, e, o, extend) }
	return out, nil
}

// any reports whether the credential could answer a prompt.
func (p *prompts) any() bool { return p.password != "" || len(p.answers) > 0 || p.code != nil }

// maxPrompts bounds what a server may ask in one go.
const maxPrompts = 16

// answer is x/crypto's KeyboardInteractiveChallenge. An answer that was given
// once is not given again: who asks twice did not take it.
func (p *prompts) answer(_, _ string, questions []string, echos []bool) ([]string, error) {
	if len(questions) > maxPrompts {
		p.complaint = fmt.Sprintf("it asks %d questions at once", len(questions))
		return nil, errors.New(p.complaint)
	}
	out := make([]string, 0, len(questions))
	for i, q := range questions {
		a, err := p.one(q, echos[i], len(questions))
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

func (p *prompts) one(question string, visible bool, of int) (string, error) {
	q := strings.ToLower(strings.TrimSpace(question))
	for i, a := range p.answers {
		if p.given[i] || visible && !a.Visible || !like(a.Prompt, q) {
			continue
		}
		p.given[i] = true
		if a.Text == nil {
			return p.oneTime(question)
		}
		return string(a.Text.Reveal()), nil
	}
	switch {
	case renewal(q):
		p.complaint = fmt.Sprintf("it asks %.80q: the password has expired, and its change is not this host's to make", question)
	case p.code != nil && !p.coded && asksCode(q):
		return p.oneTime(question)
	case p.password != "" && !p.spent && !visible && (of == 1 && p.code == nil && len(p.answers) == 0 || strings.Contains(q, "password")):
		p.spent = true
		return p.password, nil
	default:
		p.complaint = fmt.Sprintf("it asks %.80q, and the credential has no answer to that, or gave it already", question)
		if visible {
			p.complaint += " (the prompt would show it)"
		}
	}
	return "", errors.New(p.complaint)
}

func (p *prompts) oneTime(question string) (string, error) {
	if p.code == nil || p.coded {
		p.complaint = fmt.Sprintf("it asks %.80q, and the credential has no one-time code, or gave it already", question)
		return "", errors.New(p.complaint)
	}
	p.coded = true
	return p.code()
}

// like reports whether a prompt in lower case fits a pattern.
func like(pattern, prompt string) bool {
	// path.Match's other special characters are none here, and its separator neither.
	plain := strings.NewReplacer(`\`, `\\`, "[", `\[`, "?", `\?`, "/", "\x00")
	ok, err := path.Match(plain.Replace(strings.ToLower(strings.TrimSpace(pattern))), strings.ReplaceAll(prompt, "/", "\x00"))
	return err == nil && ok
}

// renewal reports whether a prompt asks for a new password.
func renewal(q string) bool {
	for _, word := range []string{"new password", "new unix password", "retype", "re-enter", "(current)", "current password"} {
		if strings.Contains(q, word) {
			return true
		}
	}
	return false
}

// asksCode reports whether a prompt asks for a one-time code, in the words of
// what is in use.
func asksCode(q string) bool {
	for _, word := range []string{"verification code", "one-time", "otp", "passcode", "token", "authenticator", "2fa", "mfa", "security code"} {
		if strings.Contains(q, word) {
			return true
		}
	}
	return false
}
