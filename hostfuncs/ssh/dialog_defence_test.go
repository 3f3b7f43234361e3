package ssh_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// The line by which a device refuses what it was sent may hold a secret, like all that
// it says.
func TestDialogRefusalIsRedacted(t *testing.T) {
	t.Parallel()
	dev := ios()
	dev.Outputs["bad"] = "% Invalid input: " + enableSecret + "\n"
	c, _ := newCLI(t, dev)
	if err := c.call("ssh_open", `{"platform":"ios","privileged":true,"enable_credential":"enable"}`, nil); err != nil {
		t.Fatal(err)
	}
	var r ssh.SendResult
	if err := c.call("ssh_send", `{"session":"1","text":"bad"}`, &r); err != nil || r.Refused != "% Invalid input: [redacted]" || r.Output != r.Refused {
		t.Errorf("%v %+v", err, r)
	}
	if all := strings.Join(c.all, "\n"); strings.Contains(all, enableSecret) {
		t.Errorf("the secret is in the answers: %s", strings.ReplaceAll(all, enableSecret, "<HERE>"))
	}
}

// targeted is a broker that grants a function on no target.
type targeted struct {
	hostfuncs.Broker

	denied string
}

func (b targeted) Target(ctx context.Context, s *hostfuncs.Session, function, name string) (hostfuncs.Target, error) {
	if function == b.denied {
		return hostfuncs.Target{}, hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before, "%s is not granted on target %q", function, name)
	}
	return b.Broker.Target(ctx, s, function, name)
}

// A session that was opened on a target is used by the grant of ssh_send on that
// target: one that is for others does not do.
func TestDialogNeedsTheGrantOnItsTarget(t *testing.T) {
	t.Parallel()
	c, f := newCLI(t, ios())
	if err := c.call("ssh_open", `{"platform":"ios"}`, nil); err != nil {
		t.Fatal(err)
	}
	before := len(f.Typed())
	c.s.Broker = targeted{c.b, "ssh_send"}
	if err := c.call("ssh_send", `{"session":"1","text":"show version"}`, nil); err == nil || err.Code != hostfuncs.Denied || err.Phase != hostfuncs.Before {
		t.Errorf("%+v", err)
	}
	if n := len(f.Typed()); n != before {
		t.Errorf("%d lines were sent all the same", n-before)
	}
	c.s.Broker = targeted{c.b, "ssh_open"}
	if err := c.call("ssh_send", `{"session":"1","text":"show version"}`, nil); err != nil {
		t.Errorf("with the grant: %+v", err)
	}
}

// Opening changes nothing on the other side, whatever it was that went wrong: each of
// its errors is of phase before.
func TestDialogOpeningIsBefore(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cut, hang string
		code      hostfuncs.Code
	}{
		"cut while the pager is turned off":    {cut: "terminal length 0", code: hostfuncs.Lost},
		"silent while the pager is turned off": {hang: "terminal width 511", code: hostfuncs.Timeout},
		"cut while it enables":                 {cut: "enable", code: hostfuncs.Lost},
		"silent while it enables":              {hang: "enable", code: hostfuncs.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dev := ios()
			dev.Cut, dev.Hang = tc.cut, tc.hang
			f := fake(t, sshtest.FakeConfig{Device: &dev})
			_, err := pool(t, ssh.Options{DialogQuiet: 50 * time.Millisecond}).Open(t.Context(), fakeEndpoint(f), ssh.DialogConfig{Platform: ssh.IOS, Privileged: true, Enable: secret(enableSecret), Timeout: 3 * time.Second})
			wantError(t, err, tc.code, hostfuncs.Before, "fake1")
			if typed := f.Typed(); !slices.Contains(typed, tc.cut+tc.hang) {
				t.Errorf("it did not come to that: %q", typed)
			}
		})
	}
}

// The way to another mode is no part of what was to be sent there: its errors are of
// phase before, and the text does not leave.
func TestDialogTheWayThereIsBefore(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"enable", "configure terminal"} {
		dev := ios()
		dev.Cut = step
		d, f := dialog(t, dev, ssh.DialogConfig{Platform: ssh.IOS, Enable: secret(enableSecret)})
		_, err := d.Send(t.Context(), ssh.Input{Mode: ssh.Configure, Text: "interface Ethernet1"})
		wantError(t, err, hostfuncs.Lost, hostfuncs.Before, "fake1")
		if typed := f.Typed(); typed[len(typed)-1] != step {
			t.Errorf("cut at %q: typed %q", step, typed)
		}
	}
}

// The intent is committed before the first byte leaves, also of what leads to the mode;
// when it can't be, nothing is sent.
func TestDialogBeginsBeforeItSends(t *testing.T) {
	t.Parallel()
	c, f := newCLI(t, ios())
	if err := c.call("ssh_open", `{"platform":"ios","enable_credential":"enable"}`, nil); err != nil {
		t.Fatal(err)
	}
	before := f.Typed()
	c.s.Intent = func(context.Context, string) error { return errors.New("the lease is over") }
	err := c.call("ssh_send", `{"session":"1","mode":"config","text":"interface Ethernet1"}`, nil)
	if err == nil || err.Code != hostfuncs.Cancelled || err.Phase != hostfuncs.Before || !strings.Contains(err.Message, "the lease is over") {
		t.Errorf("%+v", err)
	}
	if typed := f.Typed(); len(typed) != len(before) {
		t.Errorf("sent all the same: %q", typed[len(before):])
	}
	var then, hashes []string
	c.s.Intent = func(_ context.Context, hash string) error {
		then, hashes = f.Typed(), append(hashes, hash)
		return nil
	}
	for range 2 {
		if err := c.call("ssh_send", `{"session":"1","mode":"config","text":"interface Ethernet1"}`, nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(hashes) != 1 || len(hashes[0]) != 64 || len(then) != len(before) {
		t.Errorf("intents %q, when %d lines had been sent, want one when %d had", hashes, len(then), len(before))
	}
	if typed := f.Typed(); typed[len(typed)-1] != "interface Ethernet1" {
		t.Errorf("typed %q", typed)
	}
}

// What was closed is closed: whoever waited for the turn meanwhile is told that
// nothing was sent, and nothing is.
func TestDialogIsOver(t *testing.T) {
	t.Parallel()
	dev := ios()
	dev.Hang = "hang"
	d, f := dialog(t, dev, ssh.DialogConfig{Platform: ssh.IOS})
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := d.Send(t.Context(), ssh.Input{Text: "hang"})
		first <- err
	}()
	eventually(t, "the first line", func() bool { return slices.Contains(f.Typed(), "hang") })
	go func() {
		_, err := d.Send(t.Context(), ssh.Input{Text: "show version"})
		second <- err
	}()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	wantError(t, <-first, hostfuncs.Lost, hostfuncs.After, "fake1")
	wantError(t, <-second, hostfuncs.BadRequest, hostfuncs.Before, "the session is closed; open another one")
	_, err := d.Send(t.Context(), ssh.Input{Text: "show version"})
	wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "the session is closed; open another one")
	if slices.Contains(f.Typed(), "show version") {
		t.Errorf("sent all the same: %q", f.Typed())
	}
}

// After each error that leaves the other side in doubt, and after its own end, the
// attempt has no such session any more.
func TestDialogIsReleased(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		request string
		code    hostfuncs.Code // "": a result
	}{
		"cut":    {`"text":"cut"`, hostfuncs.Lost},
		"silent": {`"text":"hang","timeout_ms":300`, hostfuncs.Timeout},
		"closes": {`"text":"exit","closes":true`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dev := ios()
			dev.Cut, dev.Hang = "cut", "hang"
			c, _ := newCLI(t, dev)
			if err := c.call("ssh_open", `{"platform":"ios"}`, nil); err != nil {
				t.Fatal(err)
			}
			err := c.call("ssh_send", `{"session":"1",`+tc.request+`}`, nil)
			if err != nil != (tc.code != "") || err != nil && err.Code != tc.code {
				t.Errorf("%+v, want code %q", err, tc.code)
			}
			if err = c.call("ssh_send", `{"session":"1","text":"show version"}`, nil); err == nil || err.Code != hostfuncs.BadRequest || !strings.Contains(err.Message, "no open session") {
				t.Errorf("afterwards: %+v", err)
			}
		})
	}
}

// A device that takes long to its first prompt still gets the Enter by which the prompt
// is told from other lines: not all of them are spent on its silence.
func TestDialogWaitsForASlowDevice(t *testing.T) {
	t.Parallel()
	for name, dev := range map[string]sshtest.Device{
		"shows": {Wake: time.Second}, "mute": {Wake: time.Second, Mute: true}, "draws": {Wake: time.Second, Banner: "=-=-=-=-"},
	} {
		f := fake(t, sshtest.FakeConfig{Device: &dev})
		d, err := pool(t, ssh.Options{DialogQuiet: 10 * time.Millisecond}).Open(t.Context(), fakeEndpoint(f), ssh.DialogConfig{Timeout: 20 * time.Second})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if greeting := string(d.Greeting.Bytes); len(f.Typed()) == 0 || dev.Banner != "" && !strings.HasPrefix(greeting, dev.Banner) {
			t.Errorf("%s: opened before its prompt came, with greeting %q and %q sent", name, greeting, f.Typed())
		}
		if r := send(t, d, ssh.Input{Text: ""}); r.Prompt != "router1>" {
			t.Errorf("%s: prompt %q", name, r.Prompt)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
