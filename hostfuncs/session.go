package hostfuncs

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// Session says for whom host functions are called: one attempt. It is made by
// the runner, used by one attempt only, and must not be copied. Safe for
// concurrent use once its fields are set.
type Session struct {
	Tenant   string
	Run      string
	Workflow string
	Step     string
	Item     int
	Attempt  int
	Plugin   string
	Action   string
	// Target is the item's own target; nil without one.
	Target *Target
	Broker Broker
	// Log takes a line that the plugin logged; level is debug, info, warn or error.
	Log func(level, message string)
	// Intent commits that the attempt is about to act, before the first byte that
	// may act leaves. nil: the attempt's effect does not need it.
	Intent func(ctx context.Context, commandHash string) error
	// Unsure is told of a part of a call after which nobody knows what the remote
	// side did, while the call as a whole has a result; nil: nobody is told.
	Unsure func(function string, e *Error)
	// Guard is set where what acts has to be run under a journal on the target; nil:
	// it need not be.
	Guard *Guard
	// MaxOutput caps what one call may return of a remote side's output, in bytes.
	MaxOutput int
	// Secrets is shared by the sessions of one host; nil: the session is by itself.
	Secrets *Secrets

	opened secrets
	begun  beginning
	kept   kept
}

// beginning remembers that the intent is committed.
type beginning struct {
	mu   sync.Mutex
	done bool
}

// Begin commits the intent, once a session: every function that acts calls it
// right before the first byte that may act leaves. When it fails nothing may be
// sent; the error is of phase before.
func (s *Session) Begin(ctx context.Context, commandHash string) error {
	if s.Intent == nil {
		return nil
	}
	s.begun.mu.Lock()
	defer s.begun.mu.Unlock()
	if s.begun.done {
		return nil
	}
	if err := s.Intent(ctx, commandHash); err != nil {
		return Errorf(Cancelled, Before, "the intent to act could not be recorded, so nothing was sent: %w", err)
	}
	s.begun.done = true
	return nil
}

// Doubt tells Unsure, where there is one.
func (s *Session) Doubt(function string, e *Error) {
	if s.Unsure != nil {
		s.Unsure(function, e)
	}
}

// Target is a machine that a host function may reach.
type Target struct {
	Name     string
	Address  string
	Port     int
	Protocol string // ssh, winrm or none
	OS       string
	// HostKeys are the pinned keys: type and base64, as in authorized_keys.
	HostKeys []string
	// Credential is the name of the target's own credential.
	Credential string
	// SSH says more of how it is reached over SSH.
	SSH SSHSettings
	// Jump: it is reached through jump hosts, which Broker.Route gives.
	Jump bool
	// Revision rises when what is known of the target changes.
	Revision int64
	// Origin is what the broker has read the target from, for its own Credential, so
	// that both are of one state; nobody else looks at it.
	Origin any
}

// Secret is bytes that print as redacted; Reveal gives them.
type Secret interface{ Reveal() []byte }

// Credential is an opened credential. It lives as long as the call needs it.
type Credential struct {
	Name     string
	Version  int64  // a new version is a new connection
	Kind     string // password, ssh_key or ssh_agent
	Username string
	// Password, or PrivateKey (PEM) with Passphrase; nil where there is none.
	Password   Secret
	PrivateKey Secret
	Passphrase Secret
	// Certificate is the user certificate of the private key (of the agent's key):
	// type and base64, as in the file that ssh-keygen -s writes; "": none.
	Certificate string
	// PublicKey names the agent's key to log in with: its fingerprint ("SHA256:…"),
	// or its type and base64. "": each that the agent has, in its order.
	PublicKey string
	// OneTimeSeed is the seed of one-time codes (RFC 6238) in base32, or an otpauth URI.
	OneTimeSeed Secret
	// Answers are tried in order on each prompt, before Password and OneTimeSeed are.
	Answers []Answer
}

// Secrets returns all secret parts of the credential, for Session.Opened.
func (c Credential) Secrets() []Secret {
	out := []Secret{c.Password, c.PrivateKey, c.Passphrase, c.OneTimeSeed}
	for _, a := range c.Answers {
		out = append(out, a.Text)
	}
	return out
}

// Broker decides what a session may do. Its errors are *Error; a denial names
// the grant that is missing and the call that would add it. Safe for concurrent use.
type Broker interface {
	// Granted checks that the plugin was granted the function at all. Func.Invoke
	// asks it before anything else of a call happens.
	Granted(ctx context.Context, s *Session, function string) error
	// Target returns the target with a name ("": the session's own) if the plugin
	// was granted the function on it.
	Target(ctx context.Context, s *Session, function, name string) (Target, error)
	// Credential returns the credential with a name ("": the target's own) if it is
	// bound to the target and the protocol, and granted.
	Credential(ctx context.Context, s *Session, function string, t Target, name string) (Credential, error)
	// Address checks that the function may reach an address that a host name was
	// resolved to: called for every address before it is dialled. The zero address
	// stands for whatever a jump host resolves the name to.
	Address(ctx context.Context, s *Session, function, host string, addr netip.Addr) error
	// Route returns the jump hosts on the way to a target, the first of which is
	// dialled from here; none for a target without Target.Jump. The operator's
	// configuration of the target is the leave to use them, no grant is needed.
	Route(ctx context.Context, s *Session, t Target) ([]Hop, error)
	// LearnHostKeys is the Learn of a target. It is called while no byte of a
	// credential has been sent yet (FirstUse), or in the background (rotation), also
	// when the call that opened the connection is over.
	LearnHostKeys(ctx context.Context, s *Session, t Target, keys HostKeys) (pinned []string, err error)
	// Record keeps the audit record of a call that has ended.
	Record(ctx context.Context, s *Session, r Record)
}

// Record is what a call did.
type Record struct {
	Function string
	Target   string
	Started  time.Time
	Wall     time.Duration
	Code     Code // "": no error
	// Command is the SHA-256 of what was run, hexadecimal; "" where nothing was.
	Command string
}
