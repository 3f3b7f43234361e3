package service

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/vault"
)

const (
	// hookTolerance is how far a webhook's timestamp may be from the host's clock.
	hookTolerance = 5 * time.Minute
	// maxSignatures bounds the signatures of one request that are looked at.
	maxSignatures = 10
	maxDelivery   = 128 // characters of a delivery's identifier
)

// The headers of the schemes, in lower case. The standard ones are those of the
// Standard Webhooks specification, the others GitHub's.
const (
	headerID        = "webhook-id"
	headerTimestamp = "webhook-timestamp"
	headerSignature = "webhook-signature"
	headerGitHubID  = "x-github-delivery"
	headerGitHubMAC = "x-hub-signature-256"
)

// signature is what a request says of its signature. All of it is read before the
// trigger is looked up, so that no answer tells whether there is one.
type signature struct {
	scheme   automation.SignatureScheme
	delivery string
	prefix   string   // of what is signed: it stands before the body
	macs     [][]byte // decoded
}

// readSignature reads the headers (lower-case names) of a request.
func readSignature(headers map[string][]string, now time.Time) (signature, error) {
	standard := len(headers[headerID]) == 1 && len(headers[headerTimestamp]) == 1 && len(headers[headerSignature]) == 1
	github := len(headers[headerGitHubID]) == 1 && len(headers[headerGitHubMAC]) == 1
	switch {
	case standard == github: // none, or two
		return signature{}, &automation.Error{
			Code: automation.CodeUnauthenticated, Message: "the request does not have the headers of one signature scheme",
			Allowed:    "webhook-id, webhook-timestamp and webhook-signature, once each; or X-GitHub-Delivery and X-Hub-Signature-256, once each",
			Suggestion: "sign the request by the scheme of the trigger",
		}
	case standard:
		return readStandard(headers[headerID][0], headers[headerTimestamp][0], headers[headerSignature][0], now)
	}
	sig := signature{scheme: automation.SignatureGitHub, delivery: headers[headerGitHubID][0]}
	if text, ok := strings.CutPrefix(headers[headerGitHubMAC][0], "sha256="); ok {
		if mac, err := hex.DecodeString(text); err == nil {
			sig.macs = [][]byte{mac}
		}
	}
	return sig, checkDelivery(sig.delivery)
}

func readStandard(id, timestamp, signatures string, now time.Time) (signature, error) {
	sig := signature{scheme: automation.SignatureStandard, delivery: id, prefix: id + "." + timestamp + "."}
	seconds, err := strconv.ParseUint(timestamp, 10, 40)
	if err != nil {
		return sig, badTimestamp("the timestamp is not a number of seconds since 1970")
	}
	at := time.Unix(int64(seconds), 0) //nolint:gosec // 40 bits
	switch {
	case at.Before(now.Add(-hookTolerance)):
		return sig, badTimestamp("the timestamp is too old")
	case at.After(now.Add(hookTolerance)):
		return sig, badTimestamp("the timestamp is in the future")
	}
	for i, part := range strings.Fields(signatures) {
		if text, ok := strings.CutPrefix(part, "v1,"); ok && i < maxSignatures {
			if mac, err := base64.StdEncoding.Strict().DecodeString(text); err == nil {
				sig.macs = append(sig.macs, mac)
			}
		}
	}
	return sig, checkDelivery(id)
}

func badTimestamp(message string) error {
	return &automation.Error{
		Code: automation.CodeUnauthenticated, Message: message, Allowed: "webhook-timestamp within 5 minutes of the host's clock",
		Suggestion: "sign each attempt of a delivery anew, with the time of the attempt; check both clocks",
	}
}

// checkDelivery checks the shape of a delivery's identifier.
func checkDelivery(id string) error {
	ok := id != "" && len(id) <= maxDelivery
	for i := 0; ok && i < len(id); i++ {
		ok = id[i] > ' ' && id[i] < 0x7f
	}
	if ok {
		return nil
	}
	return &automation.Error{
		Code: automation.CodeUnauthenticated, Message: "the delivery's identifier is not well formed", Allowed: "1 to 128 visible ASCII characters",
	}
}

// badSignature is the one answer to a signature that is not valid and to a trigger
// that does not exist.
func badSignature() error {
	return &automation.Error{
		Code: automation.CodeUnauthenticated, Message: "the signature is not valid for this address",
		Suggestion: "check the address, the secret and the scheme of the trigger, and that the body is signed byte by byte as it is sent",
	}
}

// fits reports whether one of the signatures is that of one of the secrets. It
// takes the same time whichever fits, and with one secret as with two.
func (sig signature) fits(secrets vault.HookSecrets, previous bool, body []byte) bool {
	second := secrets.Previous.Reveal()
	if !previous || len(second) == 0 {
		second, previous = make([]byte, sha256.Size), false
		_, _ = rand.Read(second) // never fails
	}
	fits := false
	for i, key := range [][]byte{secrets.Current.Reveal(), second} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(sig.prefix))
		h.Write(body)
		want := h.Sum(nil)
		for _, mac := range sig.macs {
			if hmac.Equal(mac, want) && (i == 0 || previous) {
				fits = true
			}
		}
	}
	return fits
}
