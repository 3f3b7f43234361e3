package ssh_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

const enableSecret = "tr0ub4dor-enable"

// ios is a device like Cisco's, with answers.
func ios() sshtest.Device {
	var long strings.Builder
	for i := range 60 {
		fmt.Fprintf(&long, "interface Ethernet%d is up\n", i)
	}
	return sshtest.Device{
		Banner: "\n*** Authorized users only: ask the NOC> ***\n\n", Enable: enableSecret,
		Outputs: map[string]string{"show version": "Cisco IOS Software, Version 15.2\nrouter1 uptime is 1 day\n", "show interfaces": long.String(), "leak": "the secret is " + enableSecret + "\n"},
	}
}

// dialog opens a dialog with a fake device.
func dialog(t *testing.T, dev sshtest.Device, c ssh.DialogConfig) (*ssh.Dialog, *sshtest.Fake) {
	t.Helper()
	f := fake(t, sshtest.FakeConfig{Device: &dev})
	d, err := pool(t, ssh.Options{DialogQuiet: 200 * time.Millisecond, Discard: 1 << 20}).Open(t.Context(), fakeEndpoint(f), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d, f
}

func send(t *testing.T, d *ssh.Dialog, in ssh.Input) ssh.Reply {
	t.Helper()
	r, err := d.Send(t.Context(), in)
	if err != nil {
		t.Fatalf("Send(%q): %v", in.Text, err)
	}
	return r
}

func TestDialogOnFakeDevices(t *testing.T) {
	t.Parallel()
	variants := map[string]func(*sshtest.Device){
		"plain":          func(*sshtest.Device) {},
		"stubborn pager": func(d *sshtest.Device) { d.Stubborn = true },
		"slow echo":      func(d *sshtest.Device) { d.EchoDelay = 150 * time.Millisecond },
		"slow to wake":   func(d *sshtest.Device) { d.Wake = 3 * time.Second },
		"wakes mute":     func(d *sshtest.Device) { d.Wake, d.Mute, d.Banner = 3*time.Second, true, "" },
		"mute":           func(d *sshtest.Device) { d.Mute, d.Banner = true, "" },
		"colours":        func(d *sshtest.Device) { d.Color = true },
		"noise": func(d *sshtest.Device) {
			d.Noise = "*Mar  1 00:00:01: %SYS-5-CONFIG_I: Configured"
			d.EchoDelay = 80 * time.Millisecond
		},
	}
	for name, change := range variants {
		for _, junos := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, junos %t", name, junos), func(t *testing.T) {
				t.Parallel()
				dev, c := ios(), ssh.DialogConfig{Platform: ssh.IOS}
				if dev.Junos = junos; junos {
					c.Platform = ssh.Junos
				}
				change(&dev)
				d, _ := dialog(t, dev, c)
				if dev.Banner != "" && !strings.Contains(string(d.Greeting.Bytes), "Authorized users only") {
					t.Errorf("greeting %q", d.Greeting.Bytes)
				}
				checkOutput(t, send(t, d, ssh.Input{Text: "show version"}), dev, "show version")
				checkOutput(t, send(t, d, ssh.Input{Text: "show interfaces"}), dev, "show interfaces")
			})
		}
	}
}

func checkOutput(t *testing.T, r ssh.Reply, dev sshtest.Device, command string) {
	t.Helper()
	got := strings.Join(strings.Split(string(r.Output.Bytes), "\n"), "\n")
	want := strings.TrimSuffix(dev.Outputs[command], "\n")
	if dev.Noise != "" { // it stays, before the output
		_, got, _ = strings.Cut(got, dev.Noise+"\n")
	}
	if got != want || r.Matched != -1 || r.Refused != "" {
		t.Errorf("%s: output\n%q, want\n%q (%+v)", command, got, want, r)
	}
}

func TestDialogModes(t *testing.T) {
	t.Parallel()
	d, f := dialog(t, ios(), ssh.DialogConfig{Platform: ssh.IOS, Enable: secret(enableSecret)})
	for _, step := range []struct {
		mode         ssh.Mode
		text, prompt string
		want         ssh.Mode
	}{
		{"", "show version", "router1>", ssh.Exec},
		{ssh.Configure, "interface Ethernet1", "router1(config)#", ssh.Configure},
		{ssh.Privileged, "show version", "router1#", ssh.Privileged},
		{ssh.Exec, "show version", "router1>", ssh.Exec},
		{ssh.Configure, "hostname core9", "core9(config)#", ssh.Configure},
		{ssh.Privileged, "show version", "core9#", ssh.Privileged},
	} {
		r := send(t, d, ssh.Input{Mode: step.mode, Text: step.text})
		if r.Prompt != step.prompt || r.Mode != step.want {
			t.Errorf("after %q in mode %q: prompt %q mode %q, want %q %q", step.text, step.mode, r.Prompt, r.Mode, step.prompt, step.want)
		}
	}
	if r := send(t, d, ssh.Input{Text: "sho nonsense"}); r.Refused != "% Invalid input detected at '^' marker." {
		t.Errorf("refused %q", r.Refused)
	}
	n := 0
	for _, line := range f.Typed() {
		if line == enableSecret {
			n++
		}
	}
	if n != 2 { // it went to exec and back in between
		t.Errorf("the secret was sent %d times, want 2: %q", n, f.Typed())
	}
}

func TestDialogJunosConfiguration(t *testing.T) {
	t.Parallel()
	dev := ios()
	dev.Junos = true
	d, _ := dialog(t, dev, ssh.DialogConfig{Platform: ssh.Junos})
	r := send(t, d, ssh.Input{Mode: ssh.Configure, Text: "interface ge-0/0/0"})
	if r.Mode != ssh.Configure || r.Prompt != "tester@router1# " || len(r.Output.Bytes) != 0 {
		t.Errorf("%+v %q", r, r.Output.Bytes)
	}
	if r := send(t, d, ssh.Input{Mode: ssh.Privileged, Text: "nonsense"}); r.Refused != "unknown command." || r.Prompt != "tester@router1> " {
		t.Errorf("%+v", r)
	}
}

func TestDialogQuestions(t *testing.T) {
	t.Parallel()
	d, f := dialog(t, ios(), ssh.DialogConfig{Platform: ssh.IOS})
	r := send(t, d, ssh.Input{Text: "enable", Expect: []string{"(?i)password: $"}})
	if r.Matched != 0 || r.Prompt != "Password: " {
		t.Errorf("%+v", r)
	}
	if r = send(t, d, ssh.Input{Secret: secret(enableSecret)}); r.Mode != ssh.Privileged {
		t.Errorf("%+v", r)
	}
	r = send(t, d, ssh.Input{Text: "reload", Closes: true, Answers: []ssh.DialogAnswer{{Question: `\[confirm\]$`, Text: ""}}})
	if !r.Closed || !strings.Contains(string(r.Output.Bytes), "Bye") {
		t.Errorf("%+v %q", r, r.Output.Bytes)
	}
	_, err := d.Send(t.Context(), ssh.Input{Text: "x"})
	wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "the session is closed")
	if typed := f.Typed(); typed[len(typed)-2] != "reload" || typed[len(typed)-1] != "" {
		t.Errorf("typed %q", typed)
	}
}

func TestDialogEnableFails(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		tries  int
		secret hostfuncs.Secret
		cause  ssh.BecomeCause
		words  string
	}{
		"wrong":      {1, secret("not-the-secret"), ssh.WrongPassword, "did not take the password"},
		"asks again": {3, secret("not-the-secret"), ssh.WrongPassword, "did not take the password"},
		"without":    {1, nil, ssh.PasswordRequired, "there is none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dev := ios()
			dev.WrongTries = tc.tries
			f := fake(t, sshtest.FakeConfig{Device: &dev})
			_, err := pool(t, ssh.Options{DialogQuiet: 100 * time.Millisecond}).Open(t.Context(), fakeEndpoint(f), ssh.DialogConfig{Platform: ssh.IOS, Enable: tc.secret, Privileged: true})
			wantError(t, err, hostfuncs.BecomeFailed, hostfuncs.Before, "go to mode privileged on fake1", tc.words)
			var be *ssh.BecomeError
			if !errors.As(err, &be) || be.Cause != tc.cause {
				t.Errorf("cause %v, want %s", be, tc.cause)
			}
			if strings.Contains(err.Error(), "not-the-secret") {
				t.Error("the error has the secret")
			}
			n := strings.Count(strings.Join(f.Typed(), "\n"), "not-the-secret")
			if want := 1; tc.secret != nil && n != want {
				t.Errorf("the secret was sent %d times, want %d", n, want)
			}
		})
	}
}

// What ends an exchange without its prompt: code, phase and words.
func TestDialogErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in    ssh.Input
		code  hostfuncs.Code
		words string
	}{
		"hangs":   {ssh.Input{Text: "hang", Timeout: 400 * time.Millisecond}, hostfuncs.Timeout, "the time of 400ms for it is over"},
		"reboots": {ssh.Input{Text: "cut"}, hostfuncs.Lost, "ended the session, or the connection was lost"},
		"floods":  {ssh.Input{Text: "flood", MaxOutput: 100}, hostfuncs.OutputLimit, "max_output_bytes"},
		"leaves":  {ssh.Input{Text: "exit"}, hostfuncs.Lost, "what was sent may have acted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dev := ios()
			dev.Cut, dev.Hang = "cut", "hang"
			d, _ := dialog(t, dev, ssh.DialogConfig{Platform: ssh.IOS})
			_, err := d.Send(t.Context(), tc.in)
			wantError(t, err, tc.code, hostfuncs.After, "fake1", tc.words)
			_, err = d.Send(t.Context(), ssh.Input{Text: "show version"})
			wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "the session is closed")
		})
	}
}

func TestDialogCancelled(t *testing.T) {
	t.Parallel()
	dev := ios()
	dev.Hang = "hang"
	d, _ := dialog(t, dev, ssh.DialogConfig{})
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := time.AfterFunc(100*time.Millisecond, func() { cancel(errors.New("the run was cancelled")) })
	defer stop.Stop()
	_, err := d.Send(ctx, ssh.Input{Text: "hang"})
	wantError(t, err, hostfuncs.Cancelled, hostfuncs.After, "the run was cancelled", "the session is closed")
}

func TestDialogOpenFails(t *testing.T) {
	t.Parallel()
	silent := ios()
	silent.Silent = true
	asks := sshtest.Device{Banner: "Username: "}
	_ = asks
	p := pool(t, ssh.Options{DialogQuiet: 50 * time.Millisecond})
	f := fake(t, sshtest.FakeConfig{Device: &silent})
	_, err := p.Open(t.Context(), fakeEndpoint(f), ssh.DialogConfig{Timeout: 500 * time.Millisecond})
	wantError(t, err, hostfuncs.Timeout, hostfuncs.Before, "no prompt came", "500ms")
	none := fake(t, sshtest.FakeConfig{})
	_, err = p.Open(t.Context(), fakeEndpoint(none), ssh.DialogConfig{})
	wantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "gives no terminal")
	for name, c := range map[string]ssh.DialogConfig{
		"platform":  {Platform: "windows"},
		"pattern":   {Prompt: "("},
		"fits all":  {Prompt: ".*"},
		"no modes":  {Privileged: true},
		"two lines": {Enable: secret("a\nb")},
	} {
		_, err = p.Open(t.Context(), fakeEndpoint(none), c)
		wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before)
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestDialogBadInput(t *testing.T) {
	t.Parallel()
	d, f := dialog(t, ios(), ssh.DialogConfig{Platform: ssh.IOS})
	before := len(f.Typed())
	for _, in := range []ssh.Input{
		{Text: "a\nb"},
		{Text: "a\x03"},
		{Text: strings.Repeat("x", 9000)},
		{Mode: "root", Text: "x"},
		{Text: "x", Expect: []string{"("}},
		{Text: "x", Expect: []string{""}},
		{Text: "x", Answers: []ssh.DialogAnswer{{Question: "q", Text: "a\rb"}}},
		{Silent: true, Text: "x"},
		{Text: "x", Secret: secret("y")},
		{Secret: secret("y\nreload")},
	} {
		_, err := d.Send(t.Context(), in)
		wantError(t, err, hostfuncs.BadRequest, hostfuncs.Before)
	}
	if n := len(f.Typed()); n != before {
		t.Errorf("%d lines were sent all the same", n-before)
	}
}

// A real program: bash on a real sshd, whose prompt changes with the folder.
func TestDialogWithShell(t *testing.T) {
	t.Parallel()
	s := server(t, sshtest.Config{})
	d, err := pool(t, ssh.Options{DialogQuiet: 200 * time.Millisecond}).Open(t.Context(), endpoint(s), ssh.DialogConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	for _, c := range [][2]string{{"echo 'a  b'", "a  b"}, {"exec bash --norc --noprofile", ""}, {"cd /usr", ""}, {"pwd", "/usr"}, {"PS1='me@\\w$ '", ""}, {"cd /usr/bin && pwd", "/usr/bin"}, {"printf 'a\\n\\n\\303\\244\\n'", "a\n\nä"}} {
		if r := send(t, d, ssh.Input{Text: c[0]}); string(r.Output.Bytes) != c[1] {
			t.Errorf("%s: %q, want %q (prompt %q)", c[0], r.Output.Bytes, c[1], r.Prompt)
		}
	}
}
