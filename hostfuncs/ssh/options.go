package ssh

import (
	"time"

	"opsconductor.dev/hostfuncs"
)

// Options are a Pool's settings; a zero field takes its default.
type Options struct {
	SessionsPerConn int // sessions in flight on one connection: 5
	ConnsPerTarget  int // connections to one target with one credential: 32
	DialsPerServer  int // unauthenticated connections to one server: 8
	TunnelsPerConn  int // connections through one connection to a jump host: 64
	MaxIdle         int // idle connections kept in all, about 64 KB each; the longest idle go first: 512

	ResolveTimeout   time.Duration // 5 s
	DialTimeout      time.Duration // TCP: 10 s
	HandshakeTimeout time.Duration // banner, key exchange and authentication of one try: 15 s
	ConnectTimeout   time.Duration // all of the above, with tries and waits: 30 s
	OpenTimeout      time.Duration // the answer to opening a channel: 10 s
	StartTimeout     time.Duration // the answer to starting a command: 15 s
	BecomeTimeout    time.Duration // until a shell as the other user, or in a terminal, is ready: 30 s
	FileTimeout      time.Duration // silence of a server that owes an SFTP answer: 30 s
	KeepAlive        time.Duration // silence after which a connection is asked for a sign of life, and has as long again to give it: 15 s
	IdleTimeout      time.Duration // an unused connection is closed: 60 s
	MaxAge           time.Duration // a connection takes no new session after it: who logged in by what has since expired, or was locked out there, is asked again: 60 min
	DrainGrace       time.Duration // silence in which the rest of the output may come after the command has ended: 1 s
	DrainMost        time.Duration // all that the rest of the output may take, however steadily it comes: 30 s
	KillGrace        time.Duration // between TERM and KILL: 2 s
	DialogQuiet      time.Duration // silence after which a line that looks like a prompt is taken for one: 500 ms

	// Discard is how many bytes of a stream are read and thrown away beyond what
	// is kept, before the command is killed: 64 MiB.
	Discard int64
	Dialer  hostfuncs.Dialer

	// Reattach is for how long a target that a guarded command was handed to, and
	// that is not there any more, is looked for: 2 min.
	Reattach time.Duration
	// Journals is where a target keeps the journals of guarded commands: a path in an
	// existing folder, to which a hyphen and the account's number are added:
	// /var/tmp/opsconductor.
	Journals string

	// Agent is the socket of the SSH agent that credentials of kind ssh_agent use; "":
	// there is none.
	Agent string
	// Now is the clock of one-time codes, and of how old is what is known of a target
	// of many; nil: time.Now.
	Now func() time.Time
}

// lookEvery is how often a connection is looked after.
func (o Options) lookEvery() time.Duration {
	return min(o.KeepAlive, max(min(o.IdleTimeout, o.MaxAge)/2, time.Millisecond))
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.ResolveTimeout, 5 * time.Second},
		{&o.DialTimeout, 10 * time.Second},
		{&o.HandshakeTimeout, 15 * time.Second},
		{&o.ConnectTimeout, 30 * time.Second},
		{&o.OpenTimeout, 10 * time.Second},
		{&o.StartTimeout, 15 * time.Second},
		{&o.BecomeTimeout, 30 * time.Second},
		{&o.FileTimeout, 30 * time.Second},
		{&o.KeepAlive, 15 * time.Second},
		{&o.IdleTimeout, 60 * time.Second},
		{&o.MaxAge, time.Hour},
		{&o.DrainGrace, time.Second},
		{&o.DrainMost, 30 * time.Second},
		{&o.KillGrace, 2 * time.Second},
		{&o.Reattach, 2 * time.Minute},
		{&o.DialogQuiet, 500 * time.Millisecond},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&o.SessionsPerConn, 5}, {&o.ConnsPerTarget, 32}, {&o.DialsPerServer, 8}, {&o.TunnelsPerConn, 64}, {&o.MaxIdle, 512}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Journals == "" {
		o.Journals = "/var/tmp/opsconductor"
	}
	if o.Discard <= 0 {
		o.Discard = 64 << 20
	}
	return o
}
