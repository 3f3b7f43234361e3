package hostfuncs

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"runtime"
	"slices"
	"strings"
	"sync"
	"weak"
)

// Secrets lets sessions that have opened the same secrets share what is looked for
// in their outputs: to put the forms of a private key together takes 0.2 ms, which
// each item of a fan-out would spend. It keeps no secret alive: what no session has
// open any more is the garbage collector's. The zero value is ready for use; nil
// shares nothing. Safe for concurrent use.
type Secrets struct {
	mu    sync.Mutex
	known map[formsKey]weak.Pointer[forms]
}

// formsKey is the hash of the secrets, in the order in which they were opened.
type formsKey [sha256.Size]byte

// forms are the texts in which some secrets may show up. They don't change.
type forms struct {
	key      formsKey
	texts    []string // longest first; never empty
	replacer func() *strings.Replacer
}

func (f *forms) longest() int  { return len(f.texts[0]) }
func (f *forms) shortest() int { return len(f.texts[len(f.texts)-1]) }

// with returns the forms of the secrets before and of one more; nil: nothing of
// them is looked for.
func (s *Secrets) with(before *forms, value []byte) *forms {
	if s == nil {
		return newForms(before, value, formsKey{})
	}
	h := sha256.New()
	if before != nil {
		h.Write(before.key[:])
	}
	h.Write(value)
	key := formsKey(h.Sum(nil))
	if f := s.find(key); f != nil {
		return f
	}
	f := newForms(before, value, key)
	if f == nil || f == before {
		return f
	}
	return s.keep(f)
}

func (s *Secrets) find(key formsKey) *forms {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[key].Value()
}

// keep returns f, or what another session has put there meanwhile.
func (s *Secrets) keep(f *forms) *forms {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first := s.known[f.key].Value(); first != nil {
		return first
	}
	if s.known == nil {
		s.known = map[formsKey]weak.Pointer[forms]{}
	}
	s.known[f.key] = weak.Make(f)
	runtime.AddCleanup(f, s.forget, f.key)
	return f
}

// forget lets go of forms that nobody has any more, unless they were made anew.
func (s *Secrets) forget(key formsKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[key].Value() == nil {
		delete(s.known, key)
	}
}

// newForms puts the forms of one more secret to those before.
func newForms(before *forms, value []byte, key formsKey) *forms {
	parts := [][]byte{value, bytes.TrimSpace(value)}
	if lines := bytes.Split(value, []byte("\n")); len(lines) > 1 {
		for _, l := range lines {
			if l = bytes.TrimSpace(l); len(l) >= 16 && !bytes.HasPrefix(l, []byte("-----")) {
				parts = append(parts, l)
			}
		}
	}
	var texts []string
	for _, p := range parts {
		texts = append(texts, formsOf(p)...)
	}
	if len(texts) == 0 {
		return before
	}
	if before != nil {
		texts = append(texts, before.texts...)
	}
	slices.SortFunc(texts, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	texts = slices.Compact(texts)
	return &forms{key: key, texts: texts, replacer: sync.OnceValue(func() *strings.Replacer {
		pairs := make([]string, 0, 2*len(texts))
		for _, t := range texts {
			pairs = append(pairs, t, Redacted)
		}
		return strings.NewReplacer(pairs...)
	})}
}
