package runner

import (
	"encoding/json"
	"errors"
	"strconv"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/hostfuncs"
)

// denied is the answer to a call that no grant covers: it names the grant that
// is missing and the call that adds it.
func (b *Broker) denied(function, what string, missing automation.Grant) *hostfuncs.Error {
	p := b.plugin.Record
	grant, err := json.Marshal(missing)
	if err != nil {
		grant = []byte(`{"function":` + strconv.Quote(function) + `}`)
	}
	return hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before,
		"plugin %s %s is not granted %s %s; an operator can add the grant %s to those it has: POST /v1/plugins/%s/activate, or opsconductor plugin activate",
		p.Name, p.Version, function, what, grant, p.Digest)
}

func quote(s string) string { return strconv.Quote(s) }

// translate makes an error of the host one of the host functions' taxonomy. A
// fault of the host is not shown.
func translate(err error, doing string) *hostfuncs.Error {
	var e *automation.Error
	if !errors.As(err, &e) {
		return hidden(err, doing)
	}
	code := hostfuncs.Denied
	switch e.Code {
	case automation.CodeNotFound, automation.CodeBadRequest, automation.CodeInvalid, automation.CodeUnknownName:
		code = hostfuncs.BadRequest
	case automation.CodeUnavailable:
		code = hostfuncs.Quota // the one that may pass without the network's fault
	case automation.CodeInternal:
		return hidden(err, doing)
	}
	message := e.Message
	if e.Suggestion != "" {
		message += "; " + e.Suggestion
	}
	out := hostfuncs.Errorf(code, hostfuncs.Before, "%s: %s", doing, message)
	out.Err = err
	return out
}

func hidden(err error, doing string) *hostfuncs.Error {
	out := hostfuncs.Errorf(hostfuncs.Protocol, hostfuncs.Before, "%s: a fault of the host; its log has the cause", doing)
	out.Err = err
	return out
}
