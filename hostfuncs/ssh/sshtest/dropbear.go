package sshtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Dropbear is a dropbear that runs.
type Dropbear struct {
	Host    string
	Port    int
	HostKey string // type and base64

	cmd  *exec.Cmd
	wait func() error
}

// ErrNoDropbear says what to install.
var ErrNoDropbear = errors.New("there is no dropbear here: apt-get install dropbear-bin")

// StartDropbear starts a dropbear on a free loopback port, with its host key in dir,
// and waits until it answers. It runs until Stop, or until ctx is done. Users of the
// machine log in with their password when it is started by root.
func StartDropbear(ctx context.Context, dir string) (*Dropbear, error) {
	bin, err := exec.LookPath("dropbear")
	if err != nil {
		if bin, err = exec.LookPath("/usr/sbin/dropbear"); err != nil {
			return nil, ErrNoDropbear
		}
	}
	key := filepath.Join(dir, "dropbear_host_key")
	out, err := exec.CommandContext(ctx, "dropbearkey", "-t", "ed25519", "-f", key).Output() //nolint:gosec // a path of the test
	if err != nil {
		return nil, fmt.Errorf("dropbearkey: %w", err)
	}
	d := &Dropbear{Host: "127.0.0.1"}
	for l := range strings.Lines(string(out)) {
		if f := strings.Fields(l); len(f) > 1 && f[0] == "ssh-ed25519" {
			d.HostKey = f[0] + " " + f[1]
		}
	}
	for range 5 { // the port may be taken between finding and binding it
		if err = d.start(ctx, bin, "-F", "-E", "-R", "-r", key, "-P", filepath.Join(dir, "dropbear.pid")); err == nil {
			return d, nil
		}
	}
	return nil, err
}

// start starts it on a free port and waits until it answers with its own key.
func (d *Dropbear) start(ctx context.Context, bin string, args ...string) error {
	var err error
	if d.Port, err = freePort(d.Host); err != nil {
		return err
	}
	addr := net.JoinHostPort(d.Host, strconv.Itoa(d.Port))
	d.cmd = exec.CommandContext(ctx, bin, append(args, "-p", addr)...)
	if err := d.cmd.Start(); err != nil {
		return fmt.Errorf("start dropbear: %w", err)
	}
	d.wait = sync.OnceValue(d.cmd.Wait)
	if err = awaitBanner(ctx, addr); err == nil {
		err = d.answers(addr)
	}
	if err != nil {
		d.Stop()
		return fmt.Errorf("dropbear on %s: %w", addr, err)
	}
	return nil
}

// answers reports what keeps the server on an address from being this one.
func (d *Dropbear) answers(addr string) error {
	var got string
	_, err := ssh.Dial("tcp", addr, &ssh.ClientConfig{HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error {
		got = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))
		return errors.New("that is all")
	}, HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}, Timeout: 10 * time.Second})
	if got != d.HostKey {
		return fmt.Errorf("what answers has the key %q and not %q: %w", got, d.HostKey, err)
	}
	return nil
}

// Stop ends it. It may be called more than once.
func (d *Dropbear) Stop() {
	_ = d.cmd.Process.Kill()
	_ = d.wait()
}

// freePort returns a port of a host that nobody listens on: somebody else may take it.
func freePort(host string) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil //nolint:forcetypeassert // a TCP listener
}

// awaitBanner waits for ten seconds for a server's banner.
func awaitBanner(ctx context.Context, addr string) error {
	return await(ctx, func(ctx context.Context) bool { return greets(ctx, addr) })
}

// await polls for ten seconds until something holds.
func await(ctx context.Context, holds func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func greets(ctx context.Context, addr string) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	b := make([]byte, 4)
	n, _ := conn.Read(b)
	return string(b[:n]) == "SSH-"
}
