package automation

// PromptAnswer is what a credential answers to a prompt of a server
// (keyboard-interactive, RFC 4256).
type PromptAnswer struct {
	// Prompt is what the prompt looks like: text in which * stands for anything,
	// without regard to case and to blanks at the ends.
	Prompt string
	// Visible: the answer may be given to a prompt that would show it, too.
	Visible bool
	// Text is the answer; empty: the credential's one-time code.
	Text Secret
}
