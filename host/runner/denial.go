package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

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
	add := fmt.Sprintf("POST /v1/plugins/%s/activate with the grants it has and %s", p.Digest, grant)
	if flag := grantFlag(missing); flag != "" {
		add = fmt.Sprintf("opsconductor plugin activate %s@%s with the grants it has and --grant '%s', or %s", p.Name, p.Version, flag, add)
	}
	return hostfuncs.Errorf(hostfuncs.Denied, hostfuncs.Before,
		"plugin %s %s is not granted %s %s; an operator can add it: %s", p.Name, p.Version, function, what, add)
}

// grantFlag is a grant as the command line takes it; "" when a name in it is not
// fit to be put between quotes (it may come from the plugin).
func grantFlag(g automation.Grant) string {
	var parts []string
	for _, p := range []struct {
		key    string
		values []string
	}{{"targets", g.Targets}, {"tags", g.Tags}, {"addresses", g.Addresses}, {"credentials", g.Credentials}} {
		for _, v := range p.values {
			if v == "" || strings.ContainsFunc(v, func(c rune) bool { return !strings.ContainsRune(plain, c) }) {
				return ""
			}
		}
		if len(p.values) > 0 {
			parts = append(parts, p.key+"="+strings.Join(p.values, ","))
		}
	}
	if len(parts) == 0 {
		return g.Function
	}
	return g.Function + ":" + strings.Join(parts, ";")
}

const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/*-"

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
