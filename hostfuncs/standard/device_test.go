package standard_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/hostfunctest"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// devices starts what the functions for interactive sessions are tried against.
func (p *peers) devices(t *testing.T) {
	t.Helper()
	for _, d := range []struct {
		fake   **sshtest.Fake
		device sshtest.Device
	}{
		{&p.cli, sshtest.Device{
			Banner: "welcome " + password + "\n" + strings.Repeat(strings.Repeat("=", 79)+"\n", 100), Hang: "hang",
			Outputs: map[string]string{"show": "hello\n", "leak": "it is " + password + "\n", "flood": strings.Repeat("flood\n", 20_000)},
			Page:    1 << 20,
		}},
		{&p.mute, sshtest.Device{Silent: true}},
	} {
		f, err := sshtest.StartFake(sshtest.FakeConfig{Password: password, Device: &d.device})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(f.Stop)
		*d.fake = f
	}
}

// opened returns a session in which a dialog is open already; the broker knows
// nothing of that.
func (p *peers) opened() (*hostfuncs.Session, *hostfunctest.Broker) {
	s, fresh := p.session()
	_, opening := p.session()
	s.Broker = opening
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, f := range p.set.Functions() {
		if f.Name == "ssh_open" {
			if answer := f.Invoke(ctx, s, []byte(`{"target":"cli1"}`)); !strings.Contains(string(answer), `"session":"1"`) {
				panic("ssh_open: " + string(answer))
			}
		}
	}
	s.Broker = fresh
	return s, fresh
}
