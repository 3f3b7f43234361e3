package ssh_test

import (
	"bytes"
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

// A question that is not for a password gets none, though it comes in answer to the
// command that leads to privileged.
func TestDialogSecretToItsQuestionAlone(t *testing.T) {
	t.Parallel()
	dev := ios()
	dev.Asks = "Username: "
	f := fake(t, sshtest.FakeConfig{Device: &dev})
	_, err := pool(t, ssh.Options{DialogQuiet: 50 * time.Millisecond}).Open(t.Context(), fakeEndpoint(f), ssh.DialogConfig{
		Platform: ssh.IOS, Enable: secret(enableSecret), Privileged: true, Timeout: 1500 * time.Millisecond,
	})
	wantError(t, err, hostfuncs.Timeout, hostfuncs.Before, "fake1", "Username: ")
	if typed := f.Typed(); !slices.Contains(typed, "enable") || slices.Contains(typed, enableSecret) {
		t.Errorf("typed %d lines, of which enable has to be one and the secret none", len(typed))
	}
}

// The line that an error quotes is redacted like all that came.
func TestDialogErrorsAreRedacted(t *testing.T) {
	t.Parallel()
	dev := ios()
	dev.Hang = "hang"
	hide := func(word string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(word), []byte("[redacted]")) }
	}
	d, f := dialog(t, dev, ssh.DialogConfig{Platform: ssh.IOS, Redact: hide("Working")})
	_, err := d.Send(t.Context(), ssh.Input{Text: "hang", Timeout: 400 * time.Millisecond})
	wantError(t, err, hostfuncs.Timeout, hostfuncs.After, "[redacted]")
	if strings.Contains(err.Error(), "Working") {
		t.Errorf("it is quoted: %v", err)
	}
	_, err = pool(t, ssh.Options{}).Open(t.Context(), fakeEndpoint(f), ssh.DialogConfig{Prompt: "never$", Timeout: 400 * time.Millisecond, Redact: hide("router1")})
	wantError(t, err, hostfuncs.Timeout, hostfuncs.Before, "no prompt came", "[redacted]")
	if strings.Contains(err.Error(), "router1") {
		t.Errorf("it is quoted: %v", err)
	}
}

// What is recorded of an intent tells lines, modes and targets apart, and has nothing of
// a secret.
func TestDialogHash(t *testing.T) {
	t.Parallel()
	errNo := errors.New("not now")
	hash := func(d *ssh.Dialog, in ssh.Input) (got string) {
		in.Begin = func(_ context.Context, h string) error { got = h; return errNo }
		if _, err := d.Send(t.Context(), in); !errors.Is(err, errNo) {
			t.Errorf("%v, want the intent's error", err)
		}
		return got
	}
	one, _ := dialog(t, ios(), ssh.DialogConfig{Platform: ssh.IOS})
	two, _ := dialog(t, ios(), ssh.DialogConfig{Platform: ssh.IOS})
	all := []string{
		hash(one, ssh.Input{Text: "a"}), hash(one, ssh.Input{Text: "b"}), hash(one, ssh.Input{Text: "a", Mode: ssh.Configure}),
		hash(two, ssh.Input{Text: "a"}), hash(one, ssh.Input{Text: ""}), hash(one, ssh.Input{Secret: secret("x")}),
	}
	if other := hash(one, ssh.Input{Secret: secret("y")}); other != all[5] {
		t.Error("the hash depends on a secret")
	}
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != 6 {
		t.Errorf("%d hashes of six inputs, want 6", n)
	}
}

// A dialog that did not come to be gives its place back.
func TestDialogOpenGivesItsPlaceBack(t *testing.T) {
	t.Parallel()
	dev := ios()
	f := fake(t, sshtest.FakeConfig{Device: &dev})
	p := pool(t, ssh.Options{DialogQuiet: 50 * time.Millisecond, SessionsPerConn: 1, ConnsPerTarget: 1})
	c := ssh.DialogConfig{Platform: ssh.IOS, Privileged: true, Enable: secret("not-the-secret"), Timeout: 10 * time.Second}
	_, err := p.Open(t.Context(), fakeEndpoint(f), c)
	wantError(t, err, hostfuncs.BecomeFailed, hostfuncs.Before)
	c.Enable = secret(enableSecret)
	d, err := p.Open(t.Context(), fakeEndpoint(f), c)
	if err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
}

// An output that is cut in the middle of a secret has no part of it, whether the secret
// was known when the dialog was opened or became so since.
func TestDialogCutInASecret(t *testing.T) {
	t.Parallel()
	for name, calls := range map[string][2]string{
		"known":       {`{"platform":"ios","privileged":true,"enable_credential":"enable"}`, ""},
		"known since": {`{"platform":"ios"}`, `{"session":"1","text":"enable","answers":[{"question":"Password: $","credential":"enable"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dev := ios()
			dev.Outputs["leak"] = "the secret is " + enableSecret + strings.Repeat(" and more", 20) + "\n"
			c, _ := newCLI(t, dev)
			if err := c.call("ssh_open", calls[0], nil); err != nil {
				t.Fatal(err)
			}
			if calls[1] != "" {
				if err := c.call("ssh_send", calls[1], nil); err != nil {
					t.Fatal(err)
				}
			}
			var r ssh.SendResult
			if err := c.call("ssh_send", `{"session":"1","text":"leak","max_output_bytes":30}`, &r); err != nil || !r.OutputTruncated {
				t.Errorf("%v %+v", err, r)
			}
			if strings.Contains(r.Output, enableSecret[:4]) {
				t.Errorf("a part of the secret got out: %q", r.Output)
			}
		})
	}
}
