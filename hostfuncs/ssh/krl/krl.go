// Package krl reads OpenSSH's key revocation lists (PROTOCOL.krl), as ssh-keygen -k
// writes them: keys that are revoked by themselves or by their SHA-1 or SHA-256, and
// certificates by serial number, by range and bitmap of such, or by key ID.
//
// A list is trusted as the file that it came from: signatures in it are not known, and
// OpenSSH refuses them too. What a reader has to understand and this one does not
// (a critical extension, an unknown section, another version of the format) is an
// error: half a list would let through what the other half revokes.
//
// All memory is bounded by the list's length: a bit of a bitmap takes up to 16 bytes.
package krl

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // what lists are made of
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// MaxBytes is how long a list may be.
const MaxBytes = 32 << 10

// The format's numbers.
const (
	magic         = "SSHKRL\n\x00"
	formatVersion = 1

	sectionCertificates = 1
	sectionKeys         = 2
	sectionSHA1         = 3
	sectionSignature    = 4
	sectionSHA256       = 5
	sectionExtension    = 255

	certSerials   = 0x20
	certRange     = 0x21
	certBitmap    = 0x22
	certKeyIDs    = 0x23
	certExtension = 0x39
)

// List is what is revoked. The zero value and nil revoke nothing. Safe for concurrent
// use.
type List struct {
	// Version rises with each change of the list; Comment is its maker's.
	Version uint64
	Comment string

	keys   map[string]bool // blobs
	sha1s  map[[sha1.Size]byte]bool
	sha256 map[[sha256.Size]byte]bool
	byCA   map[string]*issued // by the authority's blob; "": of all
}

// issued is what is revoked of an authority's certificates.
type issued struct {
	spans []span
	ids   map[string]bool
}

// span is a range of serial numbers, both ends in it.
type span struct{ from, to uint64 }

var (
	errShort   = errors.New("it ends too early, or a length in it is wrong")
	errNotList = errors.New("it is no key revocation list of OpenSSH; ssh-keygen -k -f FILE makes one")
)

// Parse reads a list. The error says what is wrong with it, and never what is in it.
func Parse(b []byte) (*List, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("it has more than %d bytes; revoke certificates by serial number (ssh-keygen -k with serial: lines), which takes a bit each", MaxBytes)
	}
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok {
		return nil, errNotList
	}
	r := &reader{rest: rest}
	l := &List{keys: map[string]bool{}, sha1s: map[[sha1.Size]byte]bool{}, sha256: map[[sha256.Size]byte]bool{}, byCA: map[string]*issued{}}
	if v := r.uint32(); v != formatVersion && r.err == nil {
		return nil, fmt.Errorf("it is in version %d of the format, and known is %d", v, formatVersion)
	}
	l.Version = r.uint64()
	r.uint64() // when it was made
	r.uint64() // flags, of which none are defined
	r.string() // reserved
	l.Comment = string(r.string())
	for r.more() {
		kind := r.byte()
		body := &reader{rest: r.string()}
		if r.err != nil {
			break
		}
		if err := l.section(kind, body); err != nil {
			return nil, err
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return l, nil
}

// section reads one section.
func (l *List) section(kind byte, r *reader) error {
	switch kind {
	case sectionCertificates:
		return l.certificates(r)
	case sectionKeys:
		return r.each("key", func(blob []byte) bool { l.keys[string(blob)] = true; return plainKey(blob) })
	case sectionSHA1:
		return r.each("SHA-1 fingerprint", func(sum []byte) bool {
			if len(sum) == sha1.Size {
				l.sha1s[[sha1.Size]byte(sum)] = true
			}
			return len(sum) == sha1.Size
		})
	case sectionSHA256:
		return r.each("SHA-256 fingerprint", func(sum []byte) bool {
			if len(sum) == sha256.Size {
				l.sha256[[sha256.Size]byte(sum)] = true
			}
			return len(sum) == sha256.Size
		})
	case sectionExtension:
		return r.extension()
	case sectionSignature:
		return errors.New("it is signed, which OpenSSH does not support either; make it without a signature")
	}
	return fmt.Errorf("it has a section of the unknown kind %d, so not all that it revokes would be known", kind)
}

// certificates reads what is revoked of one authority's certificates.
func (l *List) certificates(r *reader) error {
	ca := r.string()
	r.string() // reserved
	if r.err != nil {
		return r.err
	}
	if len(ca) > 0 && !plainKey(ca) {
		return errors.New("an authority in it is no public key")
	}
	of := l.byCA[string(ca)]
	if of == nil {
		of = &issued{ids: map[string]bool{}}
		l.byCA[string(ca)] = of
	}
	for r.more() {
		kind := r.byte()
		body := &reader{rest: r.string()}
		if r.err != nil {
			break
		}
		if err := of.section(kind, body); err != nil {
			return err
		}
	}
	return r.err
}

func (i *issued) section(kind byte, r *reader) error {
	switch kind {
	case certSerials:
		for r.more() {
			n := r.uint64()
			i.spans = append(i.spans, span{n, n})
		}
		return r.err
	case certRange:
		s := span{r.uint64(), r.uint64()}
		if r.err == nil && (s.from > s.to || r.more()) {
			return errors.New("a range of serial numbers in it ends before it begins, or more follows it")
		}
		i.spans = append(i.spans, s)
		return r.err
	case certBitmap:
		return i.bitmap(r)
	case certKeyIDs:
		return r.each("key ID", func(id []byte) bool { i.ids[string(id)] = true; return true })
	case certExtension:
		return r.extension()
	}
	return fmt.Errorf("it has a section of the unknown kind %#x about certificates, so not all that it revokes would be known", kind)
}

// bitmap reads serial numbers as bits of a number, from an offset on.
func (i *issued) bitmap(r *reader) error {
	offset, bits := r.uint64(), r.string()
	if r.err != nil {
		return r.err
	}
	bits = bytes.TrimLeft(bits, "\x00")
	count := uint64(len(bits)) * 8 //nolint:gosec // a length
	if r.more() || count > 0 && offset > offset+count-1 {
		return errors.New("a bitmap of serial numbers in it goes beyond the last number, or more follows it")
	}
	for n := range count {
		if bits[len(bits)-1-int(n/8)]>>(n%8)&1 == 0 { //nolint:gosec // an index
			continue
		}
		if last := len(i.spans) - 1; last >= 0 && n > 0 && i.spans[last].to == offset+n-1 {
			i.spans[last].to++
			continue
		}
		i.spans = append(i.spans, span{offset + n, offset + n})
	}
	return nil
}

// has reports whether a certificate is among those that are revoked. Number 0 is what
// an authority writes that does not number its certificates: as with OpenSSH it is
// never revoked by number.
func (i *issued) has(serial uint64, id string) bool {
	if i == nil {
		return false
	}
	return i.ids[id] || serial != 0 && slices.ContainsFunc(i.spans, func(s span) bool { return s.from <= serial && serial <= s.to })
}

// Key reports whether a plain public key, in its wire format, is revoked.
func (l *List) Key(blob []byte) bool {
	if l == nil {
		return false
	}
	return l.keys[string(blob)] || l.sha1s[sha1.Sum(blob)] || l.sha256[sha256.Sum256(blob)] //nolint:gosec // what lists are made of
}

// Certificate reports whether a certificate of an authority, whose public key is given
// in its wire format, is revoked by its serial number or its key ID. Its key and the
// authority's are for Key.
func (l *List) Certificate(authority []byte, serial uint64, id string) bool {
	if l == nil {
		return false
	}
	return l.byCA[string(authority)].has(serial, id) || l.byCA[""].has(serial, id)
}

// plainKey reports whether a blob begins as a public key that is no certificate.
func plainKey(blob []byte) bool {
	r := &reader{rest: blob}
	name := r.string()
	return r.err == nil && len(name) > 0 && len(r.rest) > 0 && !bytes.Contains(name, []byte("-cert-v"))
}

// reader takes the parts of a list off its bytes. After an error all are empty.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) more() bool { return r.err == nil && len(r.rest) > 0 }

func (r *reader) take(n uint64) []byte {
	if r.err != nil || uint64(len(r.rest)) < n {
		r.err = errShort
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// string reads a length of four bytes, and as many.
func (r *reader) string() []byte { return r.take(uint64(r.uint32())) }

// each reads strings to the end, at least one.
func (r *reader) each(what string, take func([]byte) bool) error {
	if !r.more() {
		return fmt.Errorf("it has an empty section where at least one %s belongs", what)
	}
	for r.more() {
		if s := r.string(); r.err == nil && !take(s) {
			return fmt.Errorf("a %s in it is none", what)
		}
	}
	return r.err
}

// extension passes over one that need not be understood.
func (r *reader) extension() error {
	r.string() // its name
	critical := r.byte() != 0
	r.string()
	switch {
	case r.err != nil:
		return r.err
	case critical:
		return errors.New("it has an extension that must be understood and is not known, so not all that it revokes would be known")
	}
	return nil
}
