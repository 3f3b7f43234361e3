package ssh

import (
	"fmt"
	"slices"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
)

// Profile names which algorithms a connection may use.
type Profile string

// The profiles.
const (
	Modern     Profile = "modern"     // what OpenSSH 8.5 and later has, and nothing that is older
	Compatible Profile = "compatible" // all that is not known to be weak: the default
	Legacy     Profile = "legacy"     // SHA-1 key exchanges and signatures, CBC: for devices that have nothing else
)

// Profiles lists the profiles, the strictest first.
func Profiles() []Profile { return []Profile{Modern, Compatible, Legacy} }

// algorithms are the exact lists of a profile, in order of preference.
type algorithms struct {
	kex, ciphers, macs []string
	// hostKeys are the signature algorithms of host keys, without those of
	// certificates; the keys that log in here sign by the same.
	hostKeys []string
}

// table is the one table of algorithms by profile. No profile has DSA, RC4 or no
// encryption; x/crypto has no sntrup761, aes192/256-cbc, hmac-md5 and compression.
func (p Profile) table() algorithms {
	modern := algorithms{
		kex:      []string{xssh.KeyExchangeMLKEM768X25519, xssh.KeyExchangeCurve25519},
		ciphers:  []string{xssh.CipherAES128GCM, xssh.CipherAES256GCM, xssh.CipherChaCha20Poly1305},
		macs:     []string{xssh.HMACSHA256ETM, xssh.HMACSHA512ETM},
		hostKeys: []string{xssh.KeyAlgoED25519, xssh.KeyAlgoECDSA256, xssh.KeyAlgoECDSA384, xssh.KeyAlgoECDSA521, xssh.KeyAlgoRSASHA512, xssh.KeyAlgoRSASHA256},
	}
	if p == Modern {
		return modern
	}
	compatible := algorithms{
		kex: append(modern.kex, xssh.KeyExchangeECDHP256, xssh.KeyExchangeECDHP384, xssh.KeyExchangeECDHP521,
			xssh.KeyExchangeDH16SHA512, xssh.KeyExchangeDH14SHA256, xssh.KeyExchangeDHGEXSHA256),
		ciphers:  append(modern.ciphers, xssh.CipherAES128CTR, xssh.CipherAES192CTR, xssh.CipherAES256CTR),
		macs:     append(modern.macs, xssh.HMACSHA256, xssh.HMACSHA512, xssh.HMACSHA1),
		hostKeys: modern.hostKeys,
	}
	if p != Legacy {
		return compatible
	}
	return algorithms{
		kex:      append(compatible.kex, xssh.InsecureKeyExchangeDH14SHA1, xssh.InsecureKeyExchangeDHGEXSHA1, xssh.InsecureKeyExchangeDH1SHA1),
		ciphers:  append(compatible.ciphers, xssh.InsecureCipherAES128CBC, xssh.InsecureCipherTripleDESCBC),
		macs:     append(compatible.macs, xssh.InsecureHMACSHA196),
		hostKeys: append(compatible.hostKeys, xssh.KeyAlgoRSA),
	}
}

// valid reports whether the profile is known; "" is compatible.
func (p Profile) valid() bool { return p == "" || slices.Contains(Profiles(), p) }

// String returns the profile's name.
func (p Profile) String() string {
	if p == "" {
		return string(Compatible)
	}
	return string(p)
}

// config returns x/crypto's settings of the profile.
func (p Profile) config() xssh.Config {
	t := p.table()
	return xssh.Config{KeyExchanges: t.kex, Ciphers: t.ciphers, MACs: t.macs}
}

// signatures returns the algorithms by which a key of a type may sign.
func (p Profile) signatures(keyType string) []string {
	var out []string
	for _, a := range p.table().hostKeys {
		if a == keyType || keyType == xssh.KeyAlgoRSA && (a == xssh.KeyAlgoRSASHA256 || a == xssh.KeyAlgoRSASHA512) {
			out = append(out, a)
		}
	}
	return out
}

// certificates returns the algorithms of host certificates over keys of a
// profile's algorithms.
func (p Profile) certificates() []string {
	names := map[string]string{
		xssh.KeyAlgoED25519: xssh.CertAlgoED25519v01, xssh.KeyAlgoECDSA256: xssh.CertAlgoECDSA256v01, xssh.KeyAlgoECDSA384: xssh.CertAlgoECDSA384v01,
		xssh.KeyAlgoECDSA521: xssh.CertAlgoECDSA521v01, xssh.KeyAlgoRSASHA512: xssh.CertAlgoRSASHA512v01, xssh.KeyAlgoRSASHA256: xssh.CertAlgoRSASHA256v01,
		xssh.KeyAlgoRSA: xssh.CertAlgoRSAv01,
	}
	var out []string
	for _, a := range p.table().hostKeys {
		out = append(out, names[a])
	}
	return out
}

// of returns the profile's algorithms for what a negotiation is about, in the
// words of x/crypto.
func (p Profile) of(what string) []string {
	t := p.table()
	switch {
	case what == "key exchange":
		return t.kex
	case what == "host key":
		return append(p.certificates(), t.hostKeys...)
	case strings.Contains(what, "cipher"):
		return t.ciphers
	case strings.Contains(what, "MAC"):
		return t.macs
	}
	return nil
}

// mismatch is the error of a server with which nothing is in common: what it
// offers, and which profile would take it.
func (e Endpoint) mismatch(neg *xssh.AlgorithmNegotiationError) *hostfuncs.Error {
	hint := "no profile of this host takes any of these: enable one of those above on the server"
	for _, p := range Profiles() {
		both := slices.DeleteFunc(p.of(neg.What), func(a string) bool { return !slices.Contains(neg.RequestedAlgorithms, a) })
		if len(both) > 0 && p.String() != e.Profile.String() {
			hint = fmt.Sprintf("profile %s takes %s: opsconductor asset update %s --ssh-profile %s, or enable one of those above on the server", p, strings.Join(both, ", "), e.Name, p)
			break
		}
	}
	err := hostfuncs.Errorf(hostfuncs.AlgorithmMismatch, hostfuncs.Before,
		"%s and this host have no algorithm for %s in common: it offers %s; this host takes, by profile %s, %s; %s",
		e.place(), neg.What, strings.Join(neg.RequestedAlgorithms, ", "), e.Profile, strings.Join(neg.SupportedAlgorithms, ", "), hint)
	err.Err = neg
	return err
}
