package main

import (
	"strconv"
	"strings"

	"opsconductor.dev/sdk/go/step"
)

// ConfigureInput is what network.configure takes.
type ConfigureInput struct {
	Platform         string   `json:"platform"`
	Lines            []string `json:"lines"`
	Save             bool     `json:"save,omitempty"`
	Replies          []Reply  `json:"replies,omitempty"`
	EnableCredential string   `json:"enable_credential,omitempty"`
	Prompt           string   `json:"prompt,omitempty"`
	LineTimeoutS     float64  `json:"line_timeout_s,omitempty"`
	Stream           bool     `json:"stream,omitempty"`
}

// Reply is what is said to a question of the device's.
type Reply struct {
	Question string `json:"question"`
	Text     string `json:"text,omitempty"`
}

// ConfigureOutput is what network.configure gives.
type ConfigureOutput struct {
	Lines int    `json:"lines"`
	Said  []Said `json:"said"`
	Saved bool   `json:"saved"`
}

// Said is what the device said to a line that it took; most say nothing.
type Said struct {
	Line   int    `json:"line"` // from 1
	Output string `json:"output"`
}

// finishing is how long a commit or a save may take, in milliseconds.
const finishing = 300_000

// Configure sends lines of configuration, one after the other, until the device does
// not take one.
func Configure(c *step.Context, in ConfigureInput) (ConfigureOutput, error) {
	p := platformOf(in.Platform)
	var f faults
	for i, line := range in.Lines {
		f.add("lines/"+strconv.Itoa(i), p.unfit(line))
	}
	if err := f.err(); err != nil {
		return ConfigureOutput{}, err
	}
	// Privileged at once: a wrong password is an error of the opening, before anything was asked for.
	s, err := open(c, step.SSHOpenRequest{
		Platform: in.Platform, Prompt: in.Prompt, Privileged: true, EnableCredential: in.EnableCredential, Stream: in.Stream,
	})
	if err != nil {
		return ConfigureOutput{}, err
	}
	defer s.close()
	ch := change{session: s, platform: p, in: in, out: ConfigureOutput{Said: []Said{}}}
	if err := ch.begin(); err != nil {
		return ConfigureOutput{}, err
	}
	for i := range in.Lines {
		if err := ch.line(i); err != nil {
			return ConfigureOutput{}, err
		}
	}
	if err := ch.finish(); err != nil {
		return ConfigureOutput{}, err
	}
	ch.out.Lines = len(in.Lines)
	return ch.out, nil
}

// change is a configuration on its way to a device.
type change struct {
	session

	platform platform
	in       ConfigureInput
	out      ConfigureOutput
}

// begin enters the configuration where a candidate is edited, alone: what others
// have not committed is not committed with it.
func (ch *change) begin() error {
	if ch.platform.begin == "" {
		return nil
	}
	r, err := ch.send(step.SSHSendRequest{Mode: "privileged", Text: ch.platform.begin})
	place := strconv.Quote(ch.platform.begin)
	switch {
	case err != nil:
		return within(place, err, "; nothing was changed")
	case r.Refused != "":
		return refused(place, r.Refused, "; nothing was changed")
	case r.Mode != config:
		return refused(place, "its prompt is not that of a configuration", "; nothing was changed")
	}
	return nil
}

// config is the mode in which lines are taken.
const config = "config"

// line sends a line.
func (ch *change) line(i int) error {
	request := step.SSHSendRequest{Text: ch.in.Lines[i], TimeoutMS: step.Milliseconds(ch.in.LineTimeoutS)}
	if ch.platform.begin == "" {
		request.Mode = config
	}
	r, err := ch.ask(request)
	place := ch.place(i)
	switch {
	case err != nil:
		return within(place, err, ch.before(i))
	case r.Refused != "":
		return refused(place, r.Refused, ch.undo(i))
	case r.Matched != nil:
		return question(place, r.Prompt, ch.before(i))
	case r.Mode != config && (ch.platform.begin != "" || i+1 < len(ch.in.Lines)):
		return failed("left_configuration", place+": it left the configuration, so no further line was sent; leave it out"+ch.before(i+1))
	}
	if r.Output != "" {
		ch.out.Said = append(ch.out.Said, Said{Line: i + 1, Output: r.Output})
	}
	return nil
}

// ask sends a line that the device may have a question about.
func (ch *change) ask(r step.SSHSendRequest) (step.SSHSendResult, error) {
	r.Expect = questions()
	for _, reply := range ch.in.Replies {
		r.Answers = append(r.Answers, step.SSHSendAnswer{Question: reply.Question, Text: reply.Text})
	}
	return ch.send(r)
}

// questions are the ends of lines on which a device waits for an answer.
func questions() []string {
	return []string{
		`\[[^\[\]]{0,60}\] ?[?:] ?$`, // a default: "[512]: "
		`(?i)[\[(](confirm|y/n|yes/no|yes,no|yes/no/cancel)[\])][?: ]*([\[(]\w{0,8}[\])])?[?: ]*$`,
		`(?i)password[^:\n]{0,40}: ?$`,
	}
}

// place names a line by its number and first word: the rest may be a secret.
func (ch *change) place(i int) string {
	word, rest, _ := strings.Cut(strings.TrimSpace(ch.in.Lines[i]), " ")
	if rest != "" {
		word += " …"
	}
	return "line " + strconv.Itoa(i+1) + " of " + strconv.Itoa(len(ch.in.Lines)) + " (" + word + ")"
}

// before says what became of the first n lines.
func (ch *change) before(n int) string {
	switch {
	case ch.platform.begin != "":
		return "; nothing was committed"
	case n == 0:
		return "; no line was taken"
	}
	return "; the lines before that (" + strconv.Itoa(n) + ") are in force, and nothing was saved"
}

// undo discards a candidate after n lines, and says what became of them.
func (ch *change) undo(n int) string {
	if ch.platform.begin == "" {
		return ch.before(n)
	}
	r, err := ch.send(step.SSHSendRequest{Text: ch.platform.discard})
	if err != nil || r.Refused != "" {
		return ch.before(n) + ", but the device did not say that it discarded the candidate"
	}
	return ch.before(n) + ", and the candidate was discarded"
}

// finish commits a candidate, or saves what runs where that is asked for.
func (ch *change) finish() error {
	p, request := ch.platform, step.SSHSendRequest{TimeoutMS: finishing}
	switch {
	case p.begin != "":
		request.Text = "commit"
	case ch.in.Save:
		request.Mode, request.Text = "privileged", p.save
	default:
		return nil
	}
	r, err := ch.ask(request)
	rest := "; all lines are in force, and were not saved"
	if p.begin != "" {
		rest = ""
	}
	switch {
	case err != nil:
		return within(request.Text, err, rest)
	case r.Refused != "" && p.begin != "":
		return refused(request.Text, r.Refused+shortened(r.Output), ch.undo(0))
	case r.Refused != "":
		return refused(request.Text, r.Refused, rest)
	case r.Matched != nil:
		return question(request.Text, r.Prompt, rest)
	case !strings.Contains(strings.ToLower(r.Output), p.finished):
		return failed("not_confirmed", request.Text+": the device did not say that it is done"+shortened(r.Output)+rest)
	}
	ch.out.Saved = true
	return nil
}
