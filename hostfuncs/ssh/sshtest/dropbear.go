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
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	d.Port = l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // a TCP listener
	_ = l.Close()
	addr := net.JoinHostPort(d.Host, strconv.Itoa(d.Port))
	d.cmd = exec.CommandContext(ctx, bin, "-F", "-E", "-R", "-r", key, "-P", filepath.Join(dir, "dropbear.pid"), "-p", addr) //nolint:gosec // dropbear itself
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start dropbear: %w", err)
	}
	d.wait = sync.OnceValue(d.cmd.Wait)
	if err := awaitBanner(ctx, addr); err != nil {
		d.Stop()
		return nil, fmt.Errorf("dropbear on %s gives no banner: %w", addr, err)
	}
	return d, nil
}

// Stop ends it. It may be called more than once.
func (d *Dropbear) Stop() {
	_ = d.cmd.Process.Kill()
	_ = d.wait()
}

// awaitBanner waits for ten seconds for a server's banner.
func awaitBanner(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if greets(ctx, addr) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
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
