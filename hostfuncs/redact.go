package hostfuncs

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"sync"
)

// Redacted stands where a secret stood.
const Redacted = "[redacted]"

// minSecret is the length in bytes under which a secret is not looked for: to
// take out every "a" would destroy the output and so give the secret away.
const minSecret = 4

// minForm is the same for what is left of an encoded secret once the characters
// that its neighbours decide are cut off.
const minForm = 4

// secrets is what a session has opened, ready to be looked for.
type secrets struct {
	mu    sync.Mutex
	known map[string]bool
	forms *forms // nil: nothing is looked for
}

// Opened makes a secret known to the session: from now on Redact takes it out.
// Secrets of fewer than 4 bytes are not looked for. Of a secret of several lines
// (a private key) each line of 16 bytes and more is a secret too, so that an
// indented, cut or re-wrapped copy is found as well.
func (s *Session) Opened(values ...Secret) {
	for _, v := range values {
		if v != nil {
			s.opened.add(s.Secrets, v.Reveal())
		}
	}
}

// Redact returns text with every secret that the session opened replaced by
// Redacted: as it is, and in base64 (standard and URL alphabet, at any offset in
// what was encoded), URL-escaped, JSON-escaped and in hexadecimal. text itself
// is not changed.
func (s *Session) Redact(text []byte) []byte {
	f := s.opened.all()
	if f == nil || len(text) < f.shortest() {
		return text
	}
	return []byte(f.replacer().Replace(string(text)))
}

// RedactString is Redact for a string.
func (s *Session) RedactString(text string) string {
	f := s.opened.all()
	if f == nil || len(text) < f.shortest() {
		return text
	}
	return f.replacer().Replace(text)
}

// LongestSecret returns the length in bytes of the longest form that Redact
// looks for. Who cuts an output reads this much more, redacts, and cuts then: so
// a secret that lies across the cut is not shown in part.
func (s *Session) LongestSecret() int {
	f := s.opened.all()
	if f == nil {
		return 0
	}
	return f.longest()
}

// all returns what is looked for; nil: nothing.
func (s *secrets) all() *forms {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forms
}

func (s *secrets) add(shared *Secrets, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[string]bool{}
	}
	if s.known[string(value)] {
		return
	}
	s.known[string(value)] = true
	s.forms = shared.with(s.forms, value)
}

// formsOf returns the texts in which a secret may show up.
func formsOf(secret []byte) []string {
	if len(secret) < minSecret {
		return nil
	}
	text := string(secret)
	forms := []string{text, hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret))}
	for _, escaped := range []string{url.QueryEscape(text), url.PathEscape(text), percent(secret)} {
		forms = append(forms, escaped, lowerPercent(escaped))
	}
	for _, html := range []bool{true, false} {
		forms = append(forms, jsonEscape(text, html))
	}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		forms = append(forms, base64Forms(enc, secret)...)
	}
	return forms
}

// base64Forms returns what a secret looks like inside a longer base64 text, for
// each of the three offsets that it may have: the characters that depend on the
// bytes around it are left out.
func base64Forms(enc *base64.Encoding, secret []byte) []string {
	forms := []string{enc.WithPadding(base64.StdPadding).EncodeToString(secret)}
	for offset := range 3 {
		encoded := enc.EncodeToString(append(make([]byte, offset), secret...))
		first := (offset*8 + 5) / 6
		last := (offset + len(secret)) * 8 / 6
		if f := encoded[first:last]; len(f) >= minForm {
			forms = append(forms, f)
		}
	}
	return forms
}

// percent escapes all but letters, digits and the four marks that RFC 3986
// section 2.3 leaves alone.
func percent(secret []byte) string {
	var b strings.Builder
	for _, c := range secret {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
	}
	return b.String()
}

// lowerPercent turns %2F into %2f.
func lowerPercent(escaped string) string {
	b := []byte(escaped)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

func jsonEscape(text string, html bool) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(html)
	if err := enc.Encode(text); err != nil {
		return text
	}
	quoted := strings.TrimSuffix(b.String(), "\n")
	return quoted[1 : len(quoted)-1]
}
