package hostfuncs

import "context"

// SSHSettings say how a target is reached over SSH, beyond its address, its host
// keys and its credential. The zero value trusts pinned keys alone.
type SSHSettings struct {
	// Profile is which algorithms may be used: modern, compatible or legacy; "" is
	// compatible.
	Profile string
	// Authorities are public keys (type and base64) whose host certificates are taken.
	Authorities []string
	// Revoked is what is never taken, whatever else trusts it: public keys (type and
	// base64) of hosts and of authorities, fingerprints ("SHA256:…") of either, and
	// serial numbers of certificates ("serial:7").
	Revoked []string
	// KRL is a key revocation list of OpenSSH (PROTOCOL.krl): what it revokes of hosts,
	// authorities, users' keys and certificates is never taken; empty: there is none.
	KRL []byte
	// FirstUse: a target without pinned keys and authorities is taken with the key
	// that it shows first, which Broker.LearnHostKeys stores.
	FirstUse bool
	// Rotate: keys that a target proves to have, over a connection that was trusted
	// by a pinned key, are given to Broker.LearnHostKeys.
	Rotate bool
}

// Hop is a jump host on the way to a target: where it is, as whom to log in
// there, and which of its addresses may be dialled.
type Hop struct {
	Target     Target
	Credential Credential
	Check      Check
}

// HostKeys are host keys that a target has shown, to be stored with it.
type HostKeys struct {
	// Keys are types and base64. By FirstUse the one key that the target showed;
	// else keys that it proved to have over a trusted connection.
	Keys     []string
	FirstUse bool
}

// Learn stores host keys and returns what is pinned from then on: with FirstUse
// that is somebody else's first key where that was faster.
type Learn func(ctx context.Context, keys HostKeys) (pinned []string, err error)

// Answer is what a credential answers to a prompt of a server
// (keyboard-interactive, RFC 4256).
type Answer struct {
	// Prompt is what the prompt looks like: text in which * stands for anything,
	// without regard to case and to blanks at the ends.
	Prompt string
	// Visible: the answer may be given to a prompt that would show it. Else only
	// hidden prompts get it.
	Visible bool
	// Text is the answer; nil: the credential's one-time code.
	Text Secret
}
