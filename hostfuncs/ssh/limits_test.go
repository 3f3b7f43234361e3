package ssh_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// A jump host that does not say whether it reaches the target is waited for as long as
// a TCP connection may take.
func TestJumpNoAnswer(t *testing.T) {
	t.Parallel()
	defer inTime(t)()
	hop := fakeEndpoint(fake(t, sshtest.FakeConfig{Stall: sshtest.Channel}))
	hop.Name = "bastion1"
	e := fakeEndpoint(fake(t, sshtest.FakeConfig{}))
	e.Via = []ssh.Endpoint{hop}
	o := quick()
	o.DialTimeout = 300 * time.Millisecond
	_, err := pool(t, o).Exec(t.Context(), e, truth)
	wantError(t, err, hostfuncs.Timeout, hostfuncs.Before, "the jump host bastion1", "did not reach "+fmt.Sprintf("127.0.0.1:%d", e.Port)+" within 300ms")
}

// Who waits for a place on the connections to a jump host does so for as long as
// connecting may take.
func TestTunnelNoPlace(t *testing.T) {
	t.Parallel()
	defer inTime(t)()
	_, e := hop(t, "bastion1")
	o := quick()
	o.ConnectTimeout, o.DialTimeout, o.TunnelsPerConn, o.ConnsPerTarget = 2*time.Second, 300*time.Millisecond, 1, 1
	p := pool(t, o)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c, err := p.Dial(t.Context(), e, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = p.Dial(ctx, e, "tcp", l.Addr().String())
	wantError(t, err, hostfuncs.Timeout, hostfuncs.Before, "waiting for a connection to bastion1", "no connection from the jump host bastion1", "in time")
	_ = c.Close()
}

// A server that is silent when it is asked for a file's hash is left.
func TestHashNoAnswer(t *testing.T) {
	t.Parallel()
	defer inTime(t)()
	o := quick()
	o.StartTimeout = 300 * time.Millisecond
	f := fake(t, sshtest.FakeConfig{SFTP: &sshtest.SFTP{}, Stall: sshtest.Exec})
	sum, err := pool(t, o).RemoteSum(t.Context(), fakeEndpoint(f), "/etc/passwd")
	if sum != "" || f.Execs() != 1 {
		t.Errorf("%q (%v) after %d requests, want none after one", sum, err, f.Execs())
	}
}

// Of the keys that a server announces the first 16 are looked at.
func TestAnnouncedKeys(t *testing.T) {
	t.Parallel()
	var payload []byte
	for n := range 40 {
		key, _, _, _, err := xssh.ParseAuthorizedKey([]byte(mustPublic(t, sshtest.NewKey())))
		if err != nil {
			t.Fatal(err)
		}
		payload = append(payload, xssh.Marshal(struct{ Key []byte }{key.Marshal()})...)
		if got, err := ssh.Announced(ssh.Endpoint{Name: "web1", HostKeys: []string{mustPublic(t, sshtest.NewKey())}}, payload); err != nil || got != min(n+1, 16) {
			t.Errorf("of %d keys %d are looked at (%v), want %d", n+1, got, err, min(n+1, 16))
		}
	}
}
