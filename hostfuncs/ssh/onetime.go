package ssh

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238's default
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"net/url"
	"strconv"
	"strings"
	"time"

	"opsconductor.dev/hostfuncs"
)

// oneTime makes time-based one-time codes (RFC 6238).
type oneTime struct {
	seed   []byte
	digits int
	period time.Duration
	hash   func() hash.Hash
}

var errSeed = errors.New("the seed of its one-time codes is not base32 of 10 to 128 bytes, nor an otpauth://totp URI of 6 to 8 digits with a period of 10 to 120 seconds")

// parseOneTime reads a seed in base32, or an otpauth URI as the QR codes of
// authenticators hold them. Its errors never hold what was read.
func parseOneTime(text string) (oneTime, error) {
	o := oneTime{digits: 6, period: 30 * time.Second, hash: sha1.New}
	seed := text
	if strings.HasPrefix(text, "otpauth:") {
		u, err := url.Parse(strings.TrimSpace(text))
		if err != nil || u.Host != "totp" {
			return o, errSeed
		}
		q := u.Query()
		seed = q.Get("secret")
		if d := q.Get("digits"); d != "" {
			o.digits, _ = strconv.Atoi(d)
		}
		if d := q.Get("period"); d != "" {
			n, _ := strconv.Atoi(d)
			o.period = time.Duration(n) * time.Second
		}
		switch strings.ToUpper(q.Get("algorithm")) {
		case "", "SHA1":
		case "SHA256":
			o.hash = sha256.New
		case "SHA512":
			o.hash = sha512.New
		default:
			return o, errSeed
		}
	}
	seed = strings.TrimRight(strings.ToUpper(strings.NewReplacer(" ", "", "-", "", "\n", "", "\r", "").Replace(seed)), "=")
	b, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(seed)
	if err != nil || len(b) < 10 || len(b) > 128 || o.digits < 6 || o.digits > 8 || o.period < 10*time.Second || o.period > 2*time.Minute {
		return o, errSeed
	}
	o.seed = b
	return o, nil
}

// at returns the code of a time step (RFC 4226 section 5.3).
func (o oneTime) at(step int64) string {
	mac := hmac.New(o.hash, o.seed)
	_ = binary.Write(mac, binary.BigEndian, step)
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 15
	n := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	mod := uint32(1)
	for range o.digits {
		mod *= 10
	}
	return fmt.Sprintf("%0*d", o.digits, n%mod)
}

// codeUse is the last code of a server, and when it is of the past.
type codeUse struct {
	step  int64
	until time.Time
}

// codeKey names whose codes a server has seen.
type codeKey struct{ tenant, credential, server string }

// maxCodeWait bounds how long a login waits for a code of its own.
const maxCodeWait = time.Minute

// oneTimeCode returns a code that this server has not been sent yet by this host:
// servers refuse one that they have seen. The next period is waited for where it
// must be, while extend keeps the connection's deadline away.
func (p *Pool) oneTimeCode(ctx context.Context, e Endpoint, o oneTime, extend func(func() error) error) (string, error) {
	key := codeKey{e.Tenant, e.Credential.Name, hostfuncs.HostPort(e.Host, e.port())}
	now := p.opt.Now()
	period := int64(o.period / time.Second)
	step, current := now.Unix()/period, now.Unix()/period
	p.mu.Lock()
	for k, last := range p.codes {
		if last.until.Before(now) {
			delete(p.codes, k)
		}
	}
	if last, ok := p.codes[key]; ok && last.step >= step {
		step = last.step + 1
	}
	wait := time.Unix(step*period, 0).Sub(now)
	if wait > maxCodeWait {
		p.mu.Unlock()
		return "", hostfuncs.Errorf(hostfuncs.Throttled, hostfuncs.Before,
			"log in to %s: each of its one-time codes is good for one login, and others wait for the next ones; let the connection be reused, or use a credential without codes there", e.place())
	}
	p.codes[key] = codeUse{step, time.Unix((step+1)*period, 0)}
	p.mu.Unlock()
	if step == current {
		return o.at(step), nil
	}
	err := extend(func() error { return sleep(ctx, wait) })
	return o.at(step), err
}

// sleep waits, or returns why it did not.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
