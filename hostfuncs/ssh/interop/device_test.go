package interop_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// enable is a device's password for its privileged mode.
const enable = "canary-enable"

// devices are command lines of network devices, each with a habit of its own.
func devices() []row {
	var rows []row
	for _, junos := range []bool{false, true} {
		for name, change := range map[string]func(*sshtest.Device){
			"plain": func(*sshtest.Device) {}, "a pager that stays": func(d *sshtest.Device) { d.Stubborn = true },
			"a late echo": func(d *sshtest.Device) { d.EchoDelay = 120 * time.Millisecond }, "colours": func(d *sshtest.Device) { d.Color = true },
		} {
			rows = append(rows, row{fmt.Sprintf("device, %s, %s", map[bool]string{false: "IOS", true: "Junos"}[junos], name), func(t *testing.T) {
				dev := sshtest.Device{Junos: junos, Enable: enable, Outputs: outputs()}
				change(&dev)
				shows(t, dev)
			}})
		}
	}
	return append(rows, []row{
		{"device, IOS, modes", modes},
		{"device, IOS, wrong password for enable", func(t *testing.T) {
			_, err := dialled(t, sshtest.Device{Enable: enable}, ssh.DialogConfig{Platform: ssh.IOS, Enable: sshtest.Plain("not this one"), Privileged: true})
			sshtest.WantError(t, err, hostfuncs.BecomeFailed, hostfuncs.Before, "go to mode privileged", "did not take the password")
		}},
		{"device, IOS, hangs in a command", func(t *testing.T) {
			ends(t, "hang", 500*time.Millisecond, hostfuncs.Timeout, "the time of 500ms for it is over")
		}},
		{"device, IOS, reboots in a command", func(t *testing.T) {
			ends(t, "cut", 10*time.Second, hostfuncs.Lost, "ended the session, or the connection was lost")
		}},
		{"device, no prompt", func(t *testing.T) {
			_, err := dialled(t, sshtest.Device{Silent: true}, ssh.DialogConfig{Timeout: 500 * time.Millisecond})
			sshtest.WantError(t, err, hostfuncs.Timeout, hostfuncs.Before, "no prompt came", "500ms")
		}},
		{"a server without a device's command line", func(t *testing.T) {
			_, err := pool(t, patient()).Open(t.Context(), fake(t, sshtest.FakeConfig{}).Endpoint("fake1"), ssh.DialogConfig{})
			sshtest.WantError(t, err, hostfuncs.Protocol, hostfuncs.Before, "gives no terminal")
		}},
	}...)
}

func outputs() map[string]string {
	return map[string]string{"show version": "Version 15.2\nuptime is 1 day\n", "show interfaces": strings.Repeat("Ethernet0 is up\n", 60)}
}

func dialled(t *testing.T, dev sshtest.Device, c ssh.DialogConfig) (*ssh.Dialog, error) {
	t.Helper()
	d, err := pool(t, ssh.Options{DialogQuiet: 200 * time.Millisecond}).Open(t.Context(), fake(t, sshtest.FakeConfig{Device: &dev}).Endpoint("router1"), c)
	if err == nil {
		t.Cleanup(func() { _ = d.Close() })
	}
	return d, err
}

// shows wants each output whole: no echo, no pages, no prompt in it.
func shows(t *testing.T, dev sshtest.Device) {
	t.Helper()
	c := ssh.DialogConfig{Platform: ssh.IOS}
	if dev.Junos {
		c.Platform = ssh.Junos
	}
	d, err := dialled(t, dev, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"show version", "show interfaces", "show version"} {
		r, err := d.Send(t.Context(), ssh.Input{Text: command})
		if want := strings.TrimSuffix(dev.Outputs[command], "\n"); err != nil || string(r.Output.Bytes) != want || r.Refused != "" || r.Matched != -1 {
			t.Errorf("%s: %v, %.80q of %d bytes, refused %q; want %.80q of %d", command, err, r.Output.Bytes, len(r.Output.Bytes), r.Refused, want, len(want))
		}
	}
}

// modes goes through those of IOS; what the device does not take is said.
func modes(t *testing.T) {
	t.Helper()
	d, err := dialled(t, sshtest.Device{Enable: enable, Outputs: outputs()}, ssh.DialogConfig{Platform: ssh.IOS, Enable: sshtest.Plain(enable)})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		mode         ssh.Mode
		text, prompt string
	}{{"", "show version", "router1>"}, {ssh.Configure, "interface Ethernet1", "router1(config)#"}, {ssh.Privileged, "show version", "router1#"}, {ssh.Exec, "show version", "router1>"}} {
		if r, err := d.Send(t.Context(), ssh.Input{Mode: step.mode, Text: step.text}); err != nil || r.Prompt != step.prompt {
			t.Errorf("%q in mode %q: %v, prompt %q, want %q", step.text, step.mode, err, r.Prompt, step.prompt)
		}
	}
	if r, err := d.Send(t.Context(), ssh.Input{Text: "sho nonsense"}); err != nil || !strings.HasPrefix(r.Refused, "% Invalid input") {
		t.Errorf("%v, refused %q, want the device's own words", err, r.Refused)
	}
}

// ends sends what the device never answers well, after which the dialog is closed.
func ends(t *testing.T, text string, within time.Duration, code hostfuncs.Code, words string) {
	t.Helper()
	d, err := dialled(t, sshtest.Device{Cut: "cut", Hang: "hang"}, ssh.DialogConfig{Platform: ssh.IOS})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Send(t.Context(), ssh.Input{Text: text, Timeout: within})
	sshtest.WantError(t, err, code, hostfuncs.After, "router1", words)
	_, err = d.Send(t.Context(), ssh.Input{Text: "show version"})
	sshtest.WantError(t, err, hostfuncs.BadRequest, hostfuncs.Before, "the session is closed")
}
