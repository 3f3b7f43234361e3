package sshtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// FRR is FRRouting's bgpd behind an sshd on which each login gets vtysh, its command
// line. It has no peers, listens on no port of BGP and leaves the kernel's routes alone.
type FRR struct {
	*Server

	// Config is the file into which write memory puts the configuration.
	Config string

	cmd  *exec.Cmd
	wait func() error
	dir  string
}

var errNoFRR = errors.New("there is no FRRouting here: apt-get install frr")

// StartFRR starts FRRouting and an sshd on a free loopback port, and waits until both
// answer. They run until Stop, or until ctx is done, and need no rights beyond the
// user's own; but vtysh, which gives its file to FRRouting's user, saves for root only.
func StartFRR(ctx context.Context) (*FRR, error) {
	const bgpd = "/usr/lib/frr/bgpd"
	vtysh, err := exec.LookPath("vtysh")
	if err != nil {
		return nil, errNoFRR
	}
	if _, err := os.Stat(bgpd); err != nil {
		return nil, errNoFRR
	}
	f := &FRR{}
	if f.dir, err = os.MkdirTemp("", "frr"); err != nil { // a socket's path is short
		return nil, fmt.Errorf("make a folder for FRRouting: %w", err)
	}
	path := func(name string) string { return filepath.Join(f.dir, name) }
	f.Config = path("frr.conf")
	for _, name := range []string{"frr.conf", "vtysh.conf", "bgpd.conf"} {
		if err := os.WriteFile(path(name), nil, 0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("write the files of FRRouting: %w", err), f.Stop())
		}
	}
	f.cmd = exec.CommandContext(ctx, bgpd, "-S", "-Z", "-n", "-p", "0", "-P", "0", "-f", path("bgpd.conf"), "-i", path("bgpd.pid"), "--vty_socket", f.dir) //nolint:gosec // bgpd itself
	if err := f.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start bgpd: %w", err), f.Stop())
	}
	f.wait = sync.OnceValue(f.cmd.Wait)
	socket := path("bgpd.vty")
	if err := await(ctx, func(context.Context) bool { _, err := os.Stat(socket); return err == nil }); err != nil {
		return nil, errors.Join(fmt.Errorf("bgpd makes no socket %s: %w", socket, err), f.Stop())
	}
	shell := fmt.Sprintf("ForceCommand %s --vty_socket %s --config_dir %s -d bgpd", vtysh, f.dir, f.dir)
	if f.Server, err = Start(ctx, Config{Dir: f.dir, Options: []string{shell}}); err != nil {
		return nil, errors.Join(err, f.Stop())
	}
	return f, nil
}

// Stop ends both and removes their files. It may be called more than once.
func (f *FRR) Stop() error {
	if f.Server != nil {
		_ = f.Server.Stop()
	}
	if f.wait != nil {
		_ = f.cmd.Process.Kill()
		_ = f.wait()
	}
	return os.RemoveAll(f.dir)
}

// ServeFRR starts FRRouting that ends with the test. Only root's vtysh saves.
func ServeFRR(t Test) *FRR {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("vtysh saves a configuration for root only: run the tests as root")
	}
	f, err := StartFRR(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Stop() })
	return f
}
