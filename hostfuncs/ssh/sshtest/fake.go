package sshtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// Phase is a point in a connection's life at which a Fake can misbehave.
type Phase string

// The phases, in order.
const (
	Banner  Phase = "banner"
	Kex     Phase = "kex"
	Auth    Phase = "auth"
	Channel Phase = "channel"
	Exec    Phase = "exec"    // the answer to the exec request
	Running Phase = "running" // after the exec request was granted

	Terminal  Phase = "terminal"  // the answer to the request for a terminal
	Subsystem Phase = "subsystem" // the answer to the request for SFTP
)

// FakeConfig says how a Fake behaves. The zero value serves user "tester" with
// password "correct horse" and runs commands by /bin/sh.
type FakeConfig struct {
	// Stall: fall silent at a phase. Close: close the connection there.
	Stall, Close Phase
	// Shut: close the session at Terminal, Subsystem or Exec, and keep the connection.
	// Refuse: say no there.
	Shut, Refuse Phase
	// Password "" is "correct horse".
	Password string
	// Interactive: ask for the password by keyboard-interactive only, by these
	// prompts; the first is answered with the password.
	Interactive []string
	// Visible: what is typed at those prompts would be shown.
	Visible bool
	// Asks: in place of the password, these are asked by keyboard-interactive.
	Asks []Ask
	// FirstKey is a public key that has to come before the Asks (partial success).
	FirstKey string
	// Both: ask for the password by either method.
	Both bool
	// Announce is sent as the host keys that the server says to have
	// (hostkeys-00@openssh.com); asked for proof it signs by its one host key.
	Announce []byte
	// Keys: take public keys only, and none that is offered.
	Keys bool
	// HostKey is a PEM private key; "": a fresh one.
	HostKey string
	// Greeting is sent in place of everything else.
	Greeting string
	// Drop closes this many connections before their banner.
	Drop int
	// Flood sends output without end in place of running the command.
	Flood bool
	// Quick answers each command at once as one that wrote nothing and exited with
	// code 0, without a shell: what is measured then is the connection.
	Quick bool
	// NoExit closes a session without a word of how its command ended.
	NoExit bool
	// Ends says how a command ended in place of the server; nil: as it did.
	Ends func(ssh.Channel)
	// Hangs is called once a command has ended, and its end was told, with its session and
	// a way to write to the TCP connection. The connection is ended then. nil: the session
	// is closed, and nothing else.
	Hangs func(ssh.Channel, io.Writer)
	// Storm sends this many requests of each kind, and openings of channels, before each command.
	Storm int
	// Mute says nothing more on a connection whose command has ended.
	Mute bool
	// Env is the environment of commands; nil: the test's.
	Env []string
	// Crypto are the algorithms; zero: x/crypto's own.
	Crypto ssh.Config
	// RefuseSessions answers every opening of a session with a refusal.
	RefuseSessions bool
	// Sessions is how many a connection takes in all; 0: any number.
	Sessions int
	// SFTP says how the sftp subsystem behaves; nil: there is none.
	SFTP *SFTP
	// Device is a command line that a terminal's shell is; nil: there is none.
	Device *Device
}

// Fake is an SSH server in process.
type Fake struct {
	Addr    string
	Host    string
	Port    int
	HostKey string // type and base64

	conf     FakeConfig
	listener net.Listener
	stop     context.CancelFunc
	wg       sync.WaitGroup

	accepted  atomic.Int64
	execs     atomic.Int64
	stalls    atomic.Int64
	proofs    atomic.Int64
	shells    atomic.Int64
	mu        sync.Mutex
	passwords []string
	typed     []string
	dropped   int
}

// Password is what a Fake takes when its settings name no other.
const Password = "correct horse"

// StartFake starts an SSH server in process on a free loopback port.
func StartFake(c FakeConfig) (*Fake, error) {
	if c.Password == "" {
		c.Password = Password
	}
	if c.HostKey == "" {
		c.HostKey = NewKey()
	}
	signer, err := ssh.ParsePrivateKey([]byte(c.HostKey))
	if err != nil {
		return nil, fmt.Errorf("read the fake server's host key: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &Fake{Addr: l.Addr().String(), Host: "127.0.0.1", conf: c, listener: l, stop: stop}
	f.Port = l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // a TCP listener
	f.HostKey, err = PublicKey(c.HostKey)
	if err != nil {
		return nil, err
	}
	f.wg.Go(func() { f.accept(ctx, signer) })
	return f, nil
}

// Stop closes the server and its connections and waits for them.
func (f *Fake) Stop() {
	f.stop()
	_ = f.listener.Close()
	f.wg.Wait()
}

// Accepted returns how many TCP connections came.
func (f *Fake) Accepted() int { return int(f.accepted.Load()) }

// Execs returns how many exec requests came.
func (f *Fake) Execs() int { return int(f.execs.Load()) }

// Passwords returns the passwords that clients have sent.
func (f *Fake) Passwords() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.passwords...)
}

func (f *Fake) accept(ctx context.Context, signer ssh.Signer) {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.accepted.Add(1)
		f.wg.Go(func() {
			defer func() { _ = conn.Close() }()
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			f.serve(ctx, conn, signer)
		})
	}
}

// at misbehaves when its time has come, and returns whether to go on.
func (f *Fake) at(ctx context.Context, p Phase, conn net.Conn) bool {
	switch p {
	case f.conf.Stall:
		<-ctx.Done()
		return false
	case f.conf.Close:
		_ = conn.Close()
		return false
	}
	return true
}

func (f *Fake) serve(ctx context.Context, wire net.Conn, signer ssh.Signer) {
	conn := &muted{Conn: wire}
	f.mu.Lock()
	drop := f.dropped < f.conf.Drop
	if drop {
		f.dropped++
	}
	f.mu.Unlock()
	if drop || !f.at(ctx, Banner, conn) {
		return
	}
	if f.conf.Greeting != "" {
		_, _ = io.WriteString(conn, f.conf.Greeting)
		_, _ = io.Copy(io.Discard, conn)
		return
	}
	if f.conf.Stall == Kex || f.conf.Close == Kex {
		_, _ = io.WriteString(conn, "SSH-2.0-Fake\r\n")
		f.at(ctx, Kex, conn)
		return
	}
	sc, chans, reqs, err := ssh.NewServerConn(conn, f.config(ctx, conn, signer))
	if err != nil {
		return
	}
	defer func() { _ = sc.Close() }()
	f.wg.Go(func() {
		if f.conf.Announce != nil {
			_, _, _ = sc.SendRequest("hostkeys-00@openssh.com", false, f.conf.Announce)
		}
		for r := range reqs {
			if r.Type == "hostkeys-prove-00@openssh.com" {
				f.proofs.Add(1)
				_ = r.Reply(true, f.lie(signer, sc.SessionID()))
				continue
			}
			if f.conf.Stall != Running && r.WantReply {
				_ = r.Reply(false, nil)
			}
		}
	})
	taken := 0
	for nc := range chans {
		if !f.at(ctx, Channel, conn) {
			return
		}
		if taken++; f.conf.RefuseSessions || f.conf.Sessions > 0 && taken > f.conf.Sessions {
			_ = nc.Reject(ssh.Prohibited, "no sessions here")
			continue
		}
		ch, requests, err := nc.Accept()
		if err != nil {
			return
		}
		f.wg.Go(func() { f.session(ctx, conn, sc, ch, requests) })
	}
}

func (f *Fake) config(ctx context.Context, conn net.Conn, signer ssh.Signer) *ssh.ServerConfig {
	c := &ssh.ServerConfig{Config: f.conf.Crypto, MaxAuthTries: 20}
	check := func(password string) error {
		f.mu.Lock()
		f.passwords = append(f.passwords, password)
		f.mu.Unlock()
		if !f.at(ctx, Auth, conn) || password != f.conf.Password {
			return errors.New("wrong password")
		}
		return nil
	}
	switch {
	case f.conf.FirstKey != "":
		f.twoSteps(c)
	case len(f.conf.Asks) > 0:
		c.KeyboardInteractiveCallback = f.ask
	case f.conf.Both:
		c.PasswordCallback = func(_ ssh.ConnMetadata, pass []byte) (*ssh.Permissions, error) { return nil, check(string(pass)) }
		c.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(answers) == 0 {
				return nil, errors.New("no answer")
			}
			return nil, check(answers[0])
		}
	case f.conf.Keys:
		c.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
			return nil, errors.New("not this key")
		}
	case len(f.conf.Interactive) > 0:
		c.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			echo := make([]bool, len(f.conf.Interactive))
			for i := range echo {
				echo[i] = f.conf.Visible
			}
			answers, err := ask("", "", f.conf.Interactive, echo)
			if err != nil || len(answers) == 0 {
				return nil, errors.New("no answer")
			}
			return nil, check(answers[0])
		}
	default:
		c.PasswordCallback = func(_ ssh.ConnMetadata, pass []byte) (*ssh.Permissions, error) {
			return nil, check(string(pass))
		}
	}
	c.AddHostKey(signer)
	return c
}

// session serves one session channel. Commands run in the test's own process
// group: this server, unlike OpenSSH, makes no group of its own for them.
func (f *Fake) session(ctx context.Context, conn *muted, sc ssh.Conn, ch ssh.Channel, requests <-chan *ssh.Request) {
	defer func() { _ = ch.Close() }()
	for r := range requests {
		if done, refused := f.asked(ctx, conn, r); done {
			return
		} else if refused {
			continue
		}
		if r.Type == "subsystem" && f.conf.SFTP != nil {
			_ = r.Reply(true, nil)
			f.wg.Go(func() { ssh.DiscardRequests(requests) })
			f.sftp(ctx, ch)
			return
		}
		if r.Type == "pty-req" && f.conf.Device != nil {
			_ = r.Reply(true, nil)
			continue
		}
		if r.Type == "shell" && f.conf.Device != nil {
			_ = r.Reply(true, nil)
			f.wg.Go(func() { ssh.DiscardRequests(requests) })
			f.shells.Add(1)
			f.serveDevice(ctx, ch, func() { _ = conn.Close() })
			return
		}
		if r.Type != "exec" {
			_ = r.Reply(false, nil)
			continue
		}
		_ = r.Reply(true, nil)
		if !f.at(ctx, Running, conn) {
			return
		}
		var m struct{ Command string }
		if ssh.Unmarshal(r.Payload, &m) != nil {
			return
		}
		f.wg.Go(func() { ssh.DiscardRequests(requests) })
		switch {
		case f.conf.Flood:
			f.flood(ch)
			return
		case f.conf.Quick:
			quick(ch, m.Command)
			return
		}
		f.storm(sc, ch, r)
		f.command(ctx, ch, m.Command)
		if f.conf.Hangs != nil {
			f.conf.Hangs(ch, conn)
			conn.hangUp()
		}
		conn.mute.Store(f.conf.Mute)
		return
	}
}

func (f *Fake) command(ctx context.Context, ch ssh.Channel, text string) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", text) //nolint:gosec // what an SSH server does
	cmd.Stdout, cmd.Stderr, cmd.Env = ch, ch.Stderr(), f.conf.Env
	in, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	f.wg.Go(func() {
		_, _ = io.Copy(in, ch)
		_ = in.Close()
	})
	err = cmd.Run()
	switch {
	case f.conf.Ends != nil:
		f.conf.Ends(ch)
		return
	case f.conf.NoExit:
		return
	}
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		if ws, ok := ee.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			name := strings.TrimPrefix(signalName(ws.Signal()), "SIG")
			_, _ = ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Signal  string
				Core    bool
				Message string
				Lang    string
			}{name, false, "", ""}))
			return
		}
	}
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(max(0, cmd.ProcessState.ExitCode()))})) //nolint:gosec // 0 to 255
}
