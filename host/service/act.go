package service

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/store"
)

const (
	maxKey  = 255     // characters of an Idempotency-Key
	maxPage = 1000    // entries of a page
	maxText = 1 << 10 // bytes of a reason
)

// act makes the record of a change. key is the request's Idempotency-Key; the
// record's key also has the token, so that two clients that happen upon the same
// key never get each other's answers. (The store keeps keys apart by operation.)
func (s *Service) act(p automation.Principal, op operation, object, key string) automation.Act {
	a := automation.Act{Tenant: p.Tenant, By: p.Name, Action: string(op), Object: object, At: s.now().UTC()}
	if key != "" {
		a.Key = string(p.Token) + ":" + key
	}
	return a
}

// detail encodes what an audit record adds. It never gets a secret: callers pass
// names, numbers and identifiers.
func detail(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return nil // maps of strings and numbers always encode
	}
	return b
}

// checkKey checks the shape of an Idempotency-Key: 1 to 255 visible ASCII
// characters, or none at all.
func checkKey(key string) *automation.Error {
	ok := len(key) <= maxKey
	for i := 0; ok && i < len(key); i++ {
		ok = key[i] > ' ' && key[i] < 0x7f
	}
	if ok {
		return nil
	}
	return &automation.Error{
		Code: automation.CodeBadRequest, Message: "the Idempotency-Key is not well formed",
		Allowed: fmt.Sprintf("1 to %d visible ASCII characters", maxKey), Suggestion: "send a random UUID",
	}
}

// checkPage bounds a page: Limit 0 takes 100.
func checkPage(p *automation.Page) *automation.Error {
	if p.Limit == 0 {
		p.Limit = 100
	}
	return checkLimit(p.Limit)
}

func checkLimit(limit int) *automation.Error {
	if limit >= 1 && limit <= maxPage {
		return nil
	}
	return &automation.Error{
		Code: automation.CodeBadRequest, Pointer: "/limit", Message: "the page's limit is out of range",
		Allowed: fmt.Sprintf("1 to %d", maxPage),
	}
}

// digestOf is the digest of a request, part by part with lengths before them.
func digestOf(parts ...[]byte) automation.Digest { return digestText(joined(parts...)) }

// digestText is the SHA-256 of text.
func digestText(text []byte) automation.Digest {
	sum := sha256.Sum256(text)
	return automation.Digest(hex.EncodeToString(sum[:]))
}

func joined(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}

// digestJSON is the digest of a request that is a plain struct without secrets.
func digestJSON(v any) automation.Digest { return digestOf(detail(v)) }

// fault makes sure that what leaves a use case is an *automation.Error or
// automation.Errors: anything else becomes an internal error that keeps its cause.
func fault(err error) error {
	if err == nil {
		return nil
	}
	var many automation.Errors
	if errors.As(err, &many) {
		return many
	}
	return automation.AsError(err)
}

// refused makes one error out of checks that found nothing (nil) or something.
func refused(checks ...*automation.Error) error {
	var out automation.Errors
	for _, c := range checks {
		if c != nil {
			out = append(out, c)
		}
	}
	if len(out) == 1 {
		return out[0]
	}
	return out.OrNil()
}

// isCode reports whether err has a code.
func isCode(err error, code automation.Code) bool {
	return err != nil && automation.CodeOf(err) == code
}

// nameTaken says which name is taken, where the store says only that one is.
// A key that was used for another request stays what it is.
func nameTaken(err error, noun string) error {
	if !isCode(err, automation.CodeConflict) || errors.Is(err, store.ErrKeyReused) {
		return fault(err)
	}
	return &automation.Error{
		Code: automation.CodeConflict, Pointer: "/name", Message: fmt.Sprintf("there is %s of this name already", noun), Err: err,
		Suggestion: "choose another name, or change the one that is there",
	}
}
