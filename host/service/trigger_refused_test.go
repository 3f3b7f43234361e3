package service_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

// TestHookRefused: every request that gets no run, with the exact error; nothing
// is stored for it.
func TestHookRefused(t *testing.T) {
	t.Parallel()
	f := newScheduled(t, setup(t).store)
	s := f.trigger(func(r *service.TriggerRequest) {
		r.Inputs = []byte(`{"branch": "${{ event.ref }}", "count": "${{ event.n }}", "env": "${{ event.env }}"}`)
	})
	off := f.trigger(func(r *service.TriggerRequest) { r.Name, r.Disabled = "off", true })
	const body = `{"ref":"main","n":1,"env":"test"}`
	const bad = "the signature is not valid for this address; check the address, the secret and the scheme of the trigger, and that the body is signed byte by byte as it is sent"
	const unsigned = "the request does not have the headers of one signature scheme (allowed: webhook-id, webhook-timestamp and webhook-signature, once each; " +
		"or X-GitHub-Delivery and X-Hub-Signature-256, once each); sign the request by the scheme of the trigger"
	const clock = " (allowed: webhook-timestamp within 5 minutes of the host's clock); sign each attempt of a delivery anew, with the time of the attempt; check both clocks"
	with := func(change func(*service.HookRequest)) service.HookRequest {
		r := s.sign("1", body)
		r.Headers = maps.Clone(r.Headers)
		change(&r)
		return r
	}
	now := f.clock.Now()
	for name, c := range map[string]struct {
		r    service.HookRequest
		code automation.Code
		want string
	}{
		"bad signature": {with(func(r *service.HookRequest) {
			r.Headers["webhook-signature"] = []string{"v1," + base64.StdEncoding.EncodeToString(make([]byte, 32))}
		}), automation.CodeUnauthenticated, bad},
		"no v1": {with(func(r *service.HookRequest) {
			r.Headers["webhook-signature"][0] = r.Headers["webhook-signature"][0][3:]
		}), automation.CodeUnauthenticated, bad},
		"changed body":      {with(func(r *service.HookRequest) { r.Body = []byte(body + " ") }), automation.CodeUnauthenticated, bad},
		"changed id":        {with(func(r *service.HookRequest) { r.Headers["webhook-id"] = []string{"2"} }), automation.CodeUnauthenticated, bad},
		"changed time":      {with(func(r *service.HookRequest) { r.Headers["webhook-timestamp"] = []string{fmt.Sprint(now.Unix() + 1)} }), automation.CodeUnauthenticated, bad},
		"unknown trigger":   {with(func(r *service.HookRequest) { r.Trigger = "0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b" }), automation.CodeUnauthenticated, bad},
		"no identifier":     {with(func(r *service.HookRequest) { r.Trigger = "push" }), automation.CodeUnauthenticated, bad},
		"another trigger's": {with(func(r *service.HookRequest) { r.Trigger = string(off.trigger.ID) }), automation.CodeUnauthenticated, bad},
		"another scheme": {service.HookRequest{Trigger: string(s.trigger.ID), Body: []byte(body), Headers: map[string][]string{
			"x-github-delivery": {"1"}, "x-hub-signature-256": {"sha256=" + hex.EncodeToString(mac(s.key, body))},
		}}, automation.CodeUnauthenticated, bad},
		"old":             {s.signAt("1", body, now.Add(-5*time.Minute-time.Second)), automation.CodeUnauthenticated, "the timestamp is too old" + clock},
		"future":          {s.signAt("1", body, now.Add(5*time.Minute+time.Second)), automation.CodeUnauthenticated, "the timestamp is in the future" + clock},
		"no number":       {with(func(r *service.HookRequest) { r.Headers["webhook-timestamp"] = []string{"-1"} }), automation.CodeUnauthenticated, "the timestamp is not a number of seconds since 1970" + clock},
		"no headers":      {with(func(r *service.HookRequest) { r.Headers = nil }), automation.CodeUnauthenticated, unsigned},
		"no signature":    {with(func(r *service.HookRequest) { delete(r.Headers, "webhook-signature") }), automation.CodeUnauthenticated, unsigned},
		"no timestamp":    {with(func(r *service.HookRequest) { delete(r.Headers, "webhook-timestamp") }), automation.CodeUnauthenticated, unsigned},
		"two identifiers": {with(func(r *service.HookRequest) { r.Headers["webhook-id"] = []string{"1", "2"} }), automation.CodeUnauthenticated, unsigned},
		"two schemes": {with(func(r *service.HookRequest) {
			r.Headers["x-github-delivery"], r.Headers["x-hub-signature-256"] = []string{"1"}, []string{"sha256=00"}
		}), automation.CodeUnauthenticated, unsigned},
		"bad identifier":   {s.sign("a b", body), automation.CodeUnauthenticated, "the delivery's identifier is not well formed (allowed: 1 to 128 visible ASCII characters)"},
		"long identifier":  {s.sign(strings.Repeat("a", 129), body), automation.CodeUnauthenticated, "the delivery's identifier is not well formed (allowed: 1 to 128 visible ASCII characters)"},
		"disabled":         {off.sign("1", body), automation.CodeNotFound, "the trigger is disabled; enable it: opsconductor trigger enable off"},
		"not JSON":         {s.sign("1", "ref=main"), automation.CodeSyntax, "the body is not JSON"},
		"two documents":    {s.sign("1", body+body), automation.CodeSyntax, "the body is not JSON"},
		"no object":        {s.sign("1", `[1]`), automation.CodeSyntax, "the body is not a JSON object (allowed: object)"},
		"mapping fails":    {s.sign("1", `{"n":1,"env":"test"}`), automation.CodeExpression, "/inputs/branch: a field or key that is not there; ask with has(…) first"},
		"two of it":        {s.sign("1", `{"n":1}`), automation.CodeExpression, "/inputs/branch: a field or key that is not there; ask with has(…) first"},
		"wrong input":      {s.sign("1", `{"ref":"main","n":"one","env":"test"}`), automation.CodeWrongType, "/inputs/count: a value of type string (allowed: integer)"},
		"not one of these": {s.sign("1", `{"ref":"main","n":1,"env":"prod"}`), automation.CodeInvalid, "/inputs/env: not one of the allowed values (allowed: test, live)"},
	} {
		got, err := f.a.Hook(t.Context(), c.r)
		wantCode(t, err, c.code)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || c.code == automation.CodeUnauthenticated && err.Error() != c.want {
			t.Errorf("%s: got %+v, %v; want %s", name, got, err, c.want)
		}
	}
	f.wantRuns("all refused", 0)
	if _, err := f.store.Webhook(t.Context(), automation.DefaultTenant, s.trigger.ID, "1", ""); automation.CodeOf(err) != automation.CodeNotFound {
		t.Errorf("a delivery that was refused is recorded: %v", err)
	}
	if got := s.now(); got.LastError == nil || got.LastRun != "" {
		t.Errorf("got %+v; want the last error and no run", got)
	}
	s.must(s.sign("1", body)) // the identifier is still free
	for _, at := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
		s.must(s.signAt(at.String(), body, now.Add(at)))
	}
}

// TestTriggerRefused: what is wrong with a trigger is told when it is made.
func TestTriggerRefused(t *testing.T) {
	t.Parallel()
	f := newScheduled(t, setup(t).store)
	for name, c := range map[string]struct {
		change func(*service.TriggerRequest)
		want   string
	}{
		"no name":      {func(r *service.TriggerRequest) { r.Name = "" }, "/name: the name is missing"},
		"scheme":       {func(r *service.TriggerRequest) { r.Scheme = "gitlab" }, "/scheme: the value is not one of those allowed (allowed: standard, github)"},
		"short secret": {func(r *service.TriggerRequest) { r.Secret = automation.NewSecret([]byte("whsec_AAAA")) }, "/secret: that is not a secret of this scheme (allowed: whsec_ and the base64 of 24 to 64 bytes); leave it out, and the host makes one"},
		"bare secret": {func(r *service.TriggerRequest) {
			r.Secret = automation.NewSecret([]byte("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
		}, "/secret: that is not a secret of this scheme"},
		"github secret":  {func(r *service.TriggerRequest) { r.Scheme, r.Secret = "github", automation.NewSecret([]byte("short")) }, "/secret: that is not a secret of this scheme (allowed: 16 to 256 bytes without control characters)"},
		"no definition":  {func(r *service.TriggerRequest) { r.Definition = " \n" }, "/definition: a trigger needs the definition of a workflow"},
		"bad step":       {func(r *service.TriggerRequest) { r.Definition = strings.Replace(deploy, "core.act", "core.atc", 1) }, "8:23: /definition/steps/0/uses: plugin core 1.0.0 has no action \"atc\""},
		"not YAML":       {func(r *service.TriggerRequest) { r.Definition = "{" }, "1:"},
		"inputs no JSON": {func(r *service.TriggerRequest) { r.Inputs = []byte(`{`) }, "/inputs: the inputs are not JSON"},
		"inputs a list":  {func(r *service.TriggerRequest) { r.Inputs = []byte(`[1]`) }, "/inputs: the inputs are not an object (allowed: object)\n/inputs/branch: the input branch is required"},
		"unknown input":  {func(r *service.TriggerRequest) { r.Inputs = []byte(`{"branch":"x","cuont":"${{ event.n }}"}`) }, "/inputs/cuont: the workflow has no input \"cuont\" (allowed: branch, count, env, more); did you mean \"count\"?"},
		"input missing":  {func(r *service.TriggerRequest) { r.Inputs = []byte(`{"count":"${{ event.n }}"}`) }, "/inputs/branch: the input branch is required (allowed: string); give it a value"},
		"constant":       {func(r *service.TriggerRequest) { r.Inputs = []byte(`{"branch":"x","count":"1"}`) }, "/inputs/count: a value of type string (allowed: integer)"},
		"expression":     {func(r *service.TriggerRequest) { r.Inputs = []byte(`{"branch":"${{ evnt.ref }}"}`) }, "/inputs/branch: unknown name evnt"},
		"type":           {func(r *service.TriggerRequest) { r.Inputs = []byte(`{"branch":"${{ 1 + 1 }}"}`) }, "/inputs/branch: the expression gives a value of type integer (allowed: string)"},
		"text":           {func(r *service.TriggerRequest) { r.Inputs = []byte(`{"branch":"x","count":"n${{ event.n }}"}`) }, "/inputs/count: text that is filled in is a string (allowed: integer); let the value be one expression alone"},
		"no end":         {func(r *service.TriggerRequest) { r.Inputs = []byte(`{"branch":"${{ event.ref"}`) }, "/inputs/branch: an expression that does not end"},
		"deep":           {func(r *service.TriggerRequest) { r.Inputs = []byte(`{"branch":"x","more":{"a":["${{ nothing }}"]}}`) }, "/inputs/more/a/0: unknown name nothing"},
		"if":             {func(r *service.TriggerRequest) { r.If = "event.ref == " }, "/if: the expression does not parse"},
		"if a number":    {func(r *service.TriggerRequest) { r.If = "1" }, "/if: the expression gives a value of type integer (allowed: boolean)"},
		"cost": {func(r *service.TriggerRequest) {
			r.If = "event.a.all(a, event.b.all(b, event.c.all(c, a == b && b == c && event.d.all(d, d == a))))"
		}, "/if: the expression may cost too much"},
		"twice": {func(r *service.TriggerRequest) { r.Inputs = []byte(`{"branch":"x","branch":"y"}`) }, "/inputs: "},
		"too many": {func(r *service.TriggerRequest) {
			r.Inputs = []byte(`{"branch":"` + strings.Repeat("${{ event.ref }}", 101) + `"}`)
		}, "/inputs/branch: the trigger has too many expressions (allowed: at most 100)"},
		"too deep": {func(r *service.TriggerRequest) {
			r.Inputs = []byte(`{"branch":"x","more":` + strings.Repeat(`{"a":`, 21) + `1` + strings.Repeat(`}`, 21) + `}`)
		}, "/inputs/more" + strings.Repeat("/a", 20) + ": the inputs are nested too deeply (allowed: 20 levels)"},
	} {
		r := service.TriggerRequest{Name: "push", Definition: deploy, Inputs: []byte(`{"branch":"${{ event.ref }}"}`)}
		c.change(&r)
		_, _, err := f.a.CreateTrigger(t.Context(), admin(), r)
		wantOurs(t, err)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") && !strings.Contains(c.want, "\n") {
			t.Errorf("%s: got %v; want %s alone", name, err, c.want)
		}
	}
	if list, err := f.a.Triggers(t.Context(), admin(), automation.Page{}); err != nil || len(list) != 0 {
		t.Errorf("got %v, %v; want nothing stored", list, err)
	}
	_, _, err := f.a.CreateTrigger(t.Context(), admin(), service.TriggerRequest{Scheme: "x", Definition: "name: 1", If: "1", Inputs: []byte(`{"a":"${{ b }}"}`)})
	if many, ok := err.(automation.Errors); !ok || len(many) < 5 { //nolint:errorlint // the type itself is what is promised
		t.Errorf("got %v; want all problems at once", err)
	}
	s := f.trigger(nil)
	_, _, err = f.a.CreateTrigger(t.Context(), admin(), service.TriggerRequest{Name: "push", Definition: deploy, Inputs: []byte(`{"branch":"x"}`)})
	wantCode(t, err, automation.CodeConflict)
	wantPlaces(t, err, "/name")
	_, err = f.a.UpdateTrigger(t.Context(), admin(), "push", service.TriggerRequest{Name: "push", Definition: deploy, Scheme: "github"}, 0)
	wantPlaces(t, err, "/scheme", "/inputs/branch")
	if got := s.now(); got.Version != 1 || len(got.Sealed) != 0 || got.KeyID == "" {
		t.Errorf("got %+v; want it as it was, without its seal", got)
	}
}
