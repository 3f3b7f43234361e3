package hostfuncs_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/hostfunctest"
)

// forms are the encodings of attacks.md, row 13, applied to a text that holds a
// secret.
func forms(text string) map[string]string {
	j, _ := json.Marshal(text)
	out := map[string]string{
		"raw": text, "json": string(j), "hex": hex.EncodeToString([]byte(text)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(text))),
		"query": url.QueryEscape(text), "path": url.PathEscape(text), "query, lower": regexp.MustCompile("%..").ReplaceAllStringFunc(url.QueryEscape(text), strings.ToLower),
	}
	for pad := range 4 {
		out[fmt.Sprint("base64 ", pad)] = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("p", pad) + text + "tail"))
		out[fmt.Sprint("base64url ", pad)] = base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("p", pad) + text + "t"))
	}
	out["base64 alone"] = base64.StdEncoding.EncodeToString([]byte(text))
	return out
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"hunter2!", "p@ss/w+rd?&=\"'\\<x>", "päßwörd漢", "abcd", "a\x00\xffbin\x01"} {
		s := &hostfuncs.Session{}
		s.Opened(hostfunctest.Secret(secret), nil, hostfunctest.Secret(nil))
		for name, text := range forms(secret) {
			if name == "json" && !json.Valid([]byte(text)) {
				continue
			}
			got := string(s.Redact([]byte("before " + text + " after")))
			if !strings.Contains(got, hostfuncs.Redacted) || strings.Contains(got, text) {
				t.Errorf("%q as %s: %q stays", secret, name, got)
			}
			if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
				t.Errorf("%q as %s: what stands around is gone: %q", secret, name, got)
			}
			if s.LongestSecret() < len(secret) {
				t.Errorf("longest form is %d bytes", s.LongestSecret())
			}
		}
	}
}

// Each line of a private key is a secret, so an indented copy is found too.
func TestRedactKey(t *testing.T) {
	t.Parallel()
	const pem = "-----BEGIN KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\nQyNTUxOQAAACDJ1xJ4b4Zl2cS3X9yqkqk\n-----END KEY-----\n"
	s := &hostfuncs.Session{}
	s.Opened(hostfunctest.Secret(pem))
	got := s.RedactString(strings.ReplaceAll(pem, "\n", "\r\n    "))
	for _, line := range strings.Split(pem, "\n")[1:3] {
		if strings.Contains(got, line) {
			t.Errorf("a line of the key stays: %q", got)
		}
	}
	if got := s.RedactString(pem); got != hostfuncs.Redacted {
		t.Errorf("the key itself becomes %q", got)
	}
}

func TestRedactNothing(t *testing.T) {
	t.Parallel()
	s := &hostfuncs.Session{}
	text := "nothing to hide: abc"
	if got := s.RedactString(text); got != text || s.LongestSecret() != 0 {
		t.Errorf("without a secret: %q", got)
	}
	s.Opened(hostfunctest.Secret("abc"), hostfunctest.Secret(""))
	if got := s.RedactString(text); got != text {
		t.Errorf("a secret of 3 bytes is not looked for, but: %q", got)
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("hunter2!", "x", "y")
	f.Add("a\"b\\c\n", "", "")
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		if len(secret) < 4 || strings.Contains(hostfuncs.Redacted, secret) {
			t.Skip()
		}
		s := &hostfuncs.Session{}
		s.Opened(hostfunctest.Secret(secret))
		if got := s.RedactString(before + secret + after); !strings.Contains(got, hostfuncs.Redacted) {
			t.Errorf("%q stays in %q", secret, got)
		}
	})
}
