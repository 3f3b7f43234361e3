package automation_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"opsconductor.dev/host/automation"
)

func TestSignature(t *testing.T) {
	t.Parallel()
	own := []string{"web-01.example.net", "10.0.0.7", "web-01", "a"}
	for message, want := range map[string]string{
		"":                                     "",
		"no route to host":                     "no route to host",
		"  two\n\tlines  ":                     "two lines",
		"exit code 3":                          "exit code #",
		"command exited with 127 after 1.41s":  "command exited with # after <time>",
		"took 910ms, not 2m0s":                 "took <time>, not <time>",
		"run on web-01 (10.0.0.7:22): refused": "run on <target> (<target>:#): refused",
		"web-01.example.net: web-010 is not web-01.":     "<target>: web-# is not <target>.",
		"dial tcp 192.168.1.20:22: connection refused":   "dial tcp <address>: connection refused",
		"dial tcp [2001:db8::1]:22: i/o timeout":         "dial tcp [<address>]:#: i/o timeout",
		"at fe80::1, and ::1":                            "at <address>, and <address>",
		"link 00:1b:44:11:3a:b7 down":                    "link <address> down",
		`no such file "/var/log/x-17.log"`:               "no such file <text>",
		"user 'root' can't log in, isn't 'x' allowed":    "user <text> can't log in, isn't <text> allowed",
		"an “odd” `thing` «here»":                        "an <text> <text> <text>",
		`a " that does not end`:                          `a " that does not end`,
		"run 01900000-0000-7000-8000-000000000001 ended": "run <id> ended",
		"digest 9f86d081884c7d65 and 0x1F":               "digest <hex> and <hex>",
		"deadbeef is a word":                             "deadbeef is a word",
		"decades: 12345678":                              "decades: #",
		"plugin linux 1.10.3 on eth0":                    "plugin linux # on eth#",
		"85% of 1.5GB":                                   "#% of #GB",
		"step a: it took a time":                         "step a: it took a time",
		"my-web-01 is another":                           "my-web-# is another",
		"größe 7 überschritten":                          "größe # überschritten",
		"bad \xff byte 7":                                "bad byte #",
		strings.Repeat("long ", 500):                     strings.Repeat("long ", 60)[:299],
	} {
		if got := automation.Signature(message, own...); got != want {
			t.Errorf("%q: got %q, want %q", message, got, want)
		}
	}
}

func FuzzSignature(f *testing.F) {
	f.Add("run on web-01 (10.0.0.7:22): 'x' 0x1 ::1 1.5s", "web-01")
	f.Add("\"\xff“ 00:1b:44:11:3a:b7", "ä-1")
	f.Fuzz(func(t *testing.T, message, own string) {
		got := automation.Signature(message, own)
		if len(got) > 300 || !utf8.ValidString(got) || strings.ContainsAny(got, "0123456789") {
			t.Errorf("%q: got %q", message, got)
		}
		if again := automation.Signature(message, own); again != got {
			t.Errorf("%q: got %q and %q", message, got, again)
		}
	})
}

func BenchmarkSignature(b *testing.B) {
	const message = "run on web-01 (127.0.0.1:35407), 910ms after the command was sent: step attempt: the attempt took longer than its timeout of 1s. The remote process was killed, with its process group; it is confirmed dead"
	for b.Loop() {
		automation.Signature(message, "web-01", "127.0.0.1")
	}
}
