package service_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
	"opsconductor.dev/host/store"
)

const deploy = `schema: opsconductor/v1
name: deploy
inputs:
  branch: {type: string, required: true}
  count: {type: integer, default: 1}
  env: {type: string, enum: [test, live], default: test}
  more: {type: object}
steps: [{id: a, uses: core.act@1, with: {text: "${{ inputs.branch }}"}}]
`

// sender is somebody who sends webhooks to a trigger.
type sender struct {
	*scheduled
	trigger automation.Trigger
	key     []byte
}

func (f *scheduled) trigger(change func(*service.TriggerRequest)) *sender {
	f.Helper()
	r := service.TriggerRequest{Name: "push", Definition: deploy, Inputs: []byte(`{"branch": "${{ event.ref }}"}`)}
	if change != nil {
		change(&r)
	}
	t, secret, err := f.a.CreateTrigger(f.Context(), admin(), r)
	if err != nil {
		f.Fatalf("create: %v", err)
	}
	s := &sender{scheduled: f, trigger: t}
	s.use(secret)
	return s
}

// use signs with another secret from now on.
func (s *sender) use(secret automation.Secret) {
	s.Helper()
	text := string(secret.Reveal())
	if s.trigger.Scheme == automation.SignatureGitHub {
		s.key = []byte(text)
		return
	}
	var err error
	if s.key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_")); err != nil || !strings.HasPrefix(text, "whsec_") {
		s.Fatalf("the secret %q is not one of the standard: %v", text, err)
	}
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// sign makes a delivery that is signed now.
func (s *sender) sign(id, body string) service.HookRequest { return s.signAt(id, body, s.clock.Now()) }

func (s *sender) signAt(id, body string, at time.Time) service.HookRequest {
	r := service.HookRequest{Trigger: string(s.trigger.ID), Body: []byte(body)}
	if s.trigger.Scheme == automation.SignatureGitHub {
		r.Headers = map[string][]string{"x-github-delivery": {id}, "x-hub-signature-256": {"sha256=" + hex.EncodeToString(mac(s.key, body))}}
		return r
	}
	stamp := fmt.Sprint(at.Unix())
	r.Headers = map[string][]string{
		"webhook-id": {id}, "webhook-timestamp": {stamp},
		"webhook-signature": {"v1," + base64.StdEncoding.EncodeToString(mac(s.key, id+"."+stamp+"."+body))},
	}
	return r
}

func (s *sender) must(r service.HookRequest) service.HookResult {
	s.Helper()
	got, err := s.a.Hook(s.Context(), r)
	if err != nil {
		s.Fatalf("send: %v", err)
	}
	return got
}

func (s *sender) now() automation.Trigger {
	s.Helper()
	t, err := s.a.Trigger(s.Context(), submitter(), s.trigger.Name)
	if err != nil {
		s.Fatal(err)
	}
	return t
}

func TestTriggers(t *testing.T) {
	t.Parallel()
	onBothStores(t, map[string]func(*scheduled){
		"hook once": hookOnce, "hook competing": hookCompeting, "hook killed": hookKilled, "hook github": hookGitHub, "hook rotation": hookRotation,
		"hook skipped": hookSkipped, "hook expired": hookExpired,
	})
}

// hookOnce: a delivery gets one run, with the inputs that its event makes.
func hookOnce(f *scheduled) {
	s := f.trigger(nil)
	first := s.must(s.sign("1", `{"ref":"main"}`))
	run := f.wantRuns("one delivery", 1)[0]
	if first.Run.ID != run.ID || first.Skipped || first.Repeated || run.By != "trigger:push" || run.Workflow != "deploy" || run.State != automation.RunQueued {
		f.Errorf("got %+v; want the run %+v", first, run)
	}
	plan, err := f.store.Plan(f.Context(), automation.DefaultTenant, run.PlanHash)
	if err != nil || !strings.Contains(string(plan), `"branch":"main"`) {
		f.Errorf("got plan %s, %v; want the branch of the event in it", plan, err)
	}
	f.clock.add(time.Minute)
	again := s.must(s.sign("1", `{"ref":"main"}`)) // a new attempt has a new time
	if !again.Repeated || again.Run.ID != run.ID {
		f.Errorf("sent again: got %+v; want the same run", again)
	}
	_, err = f.b.Hook(f.Context(), s.sign("1", `{"ref":"other"}`))
	if want := "a delivery of this identifier came before, with another body; give each delivery an identifier of its own, and send the same body again when it is repeated"; err == nil || err.Error() != want || automation.CodeOf(err) != automation.CodeConflict {
		f.Errorf("another body: got %v; want %s", err, want)
	}
	if other := s.must(s.sign("2", `{"ref":"main"}`)); other.Repeated || other.Run.ID == run.ID {
		f.Errorf("another identifier: got %+v; want another run", other)
	}
	f.wantRuns("two deliveries", 2)
	if got := s.now(); got.LastError != nil || got.LastRun == run.ID || got.LastRun == "" || got.Version != 1 || !got.Last.Equal(f.clock.Now()) {
		f.Errorf("got %+v; want the last run, in version 1", got)
	}
	var told bool
	list, err := f.store.Audit(f.Context(), automation.DefaultTenant, 0, 100)
	for _, e := range list {
		told = told || e.Action == "run.submit" && e.By == "trigger:push" && e.Object == string(run.ID) && strings.Contains(string(e.Detail), string(s.trigger.ID))
	}
	if err != nil || !told {
		f.Errorf("the audit log does not tell of the run: %+v, %v", list, err)
	}
}

// hookCompeting: a delivery that comes at two hosts at the same time, many times,
// gets one run, and all get it.
func hookCompeting(f *scheduled) {
	for _, scheme := range automation.SignatureSchemes() {
		before := len(f.runs())
		s := f.trigger(func(r *service.TriggerRequest) { r.Name, r.Scheme = "push-"+string(scheme), scheme })
		var runs sync.Map
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				got, err := []*service.Service{f.a, f.b}[i%2].Hook(f.Context(), s.sign("1", `{"ref":"main"}`))
				if err != nil {
					f.Errorf("send: %v", err)
				}
				runs.Store(got.Run.ID, true)
			})
		}
		wg.Wait()
		n := 0
		runs.Range(func(any, any) bool { n++; return true })
		if f.wantRuns("twelve at once", before+1); n != 1 {
			f.Errorf("they got %d runs; want one", n)
		}
	}
}

// hookKilled: a host that dies after it recorded a delivery leaves no run, and the
// delivery's repetition makes it: the one that was recorded.
func hookKilled(f *scheduled) {
	s := f.trigger(nil)
	plan, err := f.a.Plan(f.Context(), admin(), service.PlanRequest{Definition: []byte(deploy), Inputs: []byte(`{"branch":"main"}`)})
	if err != nil {
		f.Fatal(err)
	}
	r := s.sign("1", `{"ref":"main"}`)
	sum := sha256.Sum256(r.Body)
	d := automation.Webhook{
		Trigger: s.trigger.ID, Tenant: s.trigger.Tenant, ID: "1", Body: automation.Digest(hex.EncodeToString(sum[:])), At: store.Moment(f.clock.Now()),
		Run: automation.NewID[automation.RunID](), PlanHash: plan.Hash, Workflow: "deploy", By: "trigger:push",
	}
	if _, made, err := f.store.PutWebhook(f.Context(), d, store.PutWebhook{}); err != nil || !made {
		f.Fatal(made, err)
	}
	change := service.TriggerRequest{Name: "renamed", Definition: deploy, Inputs: []byte(`{"branch":"x"}`)}
	if _, err := f.a.UpdateTrigger(f.Context(), admin(), "push", change, 1); err != nil {
		f.Fatal(err)
	}
	if got := s.must(r); !got.Repeated || got.Run.ID != d.Run || got.Run.By != "trigger:push" {
		f.Errorf("got %+v; want run %s", got, d.Run)
	}
	s.must(r)
	f.wantRuns("after the death", 1)
}

// hookGitHub: GitHub signs the body alone, so the body too says which delivery it is.
func hookGitHub(f *scheduled) {
	s := f.trigger(func(r *service.TriggerRequest) {
		r.Scheme, r.If = automation.SignatureGitHub, "headers['x-github-event'] == 'push'"
	})
	push := s.sign("1", `{"ref":"main"}`)
	push.Headers["x-github-event"] = []string{"push"}
	first := s.must(push)
	replayed := s.sign("2", `{"ref":"main"}`)
	replayed.Headers["x-github-event"] = []string{"push"}
	if got := s.must(replayed); !got.Repeated || got.Run.ID != first.Run.ID {
		f.Errorf("replayed under another identifier: got %+v; want the first run", got)
	}
	_, err := f.a.Hook(f.Context(), s.sign("1", `{"ref":"other"}`))
	wantCode(f, err, automation.CodeConflict)
	ping := s.sign("3", `{"zen":"x"}`)
	ping.Headers["x-github-event"] = []string{"ping"}
	if got := s.must(ping); !got.Skipped || got.Run.ID != "" {
		f.Errorf("a ping: got %+v; want it skipped", got)
	}
	f.wantRuns("one push", 1)

	// The example of GitHub's own documentation.
	documented := f.trigger(func(r *service.TriggerRequest) {
		r.Name, r.Scheme, r.Secret = "documented", automation.SignatureGitHub, automation.NewSecret([]byte("It's a Secret to Everybody"))
	})
	r := service.HookRequest{Trigger: string(documented.trigger.ID), Body: []byte("Hello, World!"), Headers: map[string][]string{
		"x-github-delivery": {"1"}, "x-hub-signature-256": {"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
	}}
	if _, err := f.a.Hook(f.Context(), r); err == nil || err.Error() != "the body is not JSON" {
		f.Errorf("the documented example: got %v; want its signature taken, and its body not", err)
	}
}

// hookRotation: after a rotation both secrets are valid for a while, and a sender
// may sign with both.
func hookRotation(f *scheduled) {
	s := f.trigger(nil)
	old := s.key
	rotated, secret, err := f.a.RotateTrigger(f.Context(), admin(), "push", service.RotateRequest{Keep: "1h"}, 1)
	if err != nil || rotated.SecretVersion != 2 || rotated.Version != 2 || !rotated.PreviousUntil.Equal(f.clock.Now().Add(time.Hour)) {
		f.Fatalf("got %+v, %v", rotated, err)
	}
	s.must(s.sign("old", `{"ref":"main"}`))
	both := s.sign("both", `{"ref":"main"}`)
	s.use(secret)
	fresh := s.sign("both", `{"ref":"main"}`).Headers["webhook-signature"][0]
	both.Headers["webhook-signature"] = []string{"v1,AAAA v1a,xx " + fresh}
	s.must(both)
	s.must(s.sign("new", `{"ref":"main"}`))
	f.clock.add(time.Hour - time.Second)
	s.key = old
	s.must(s.sign("still", `{"ref":"main"}`))
	f.clock.add(time.Second)
	_, err = f.a.Hook(f.Context(), s.sign("late", `{"ref":"main"}`))
	wantCode(f, err, automation.CodeUnauthenticated)
	s.use(secret)
	s.must(s.sign("current", `{"ref":"main"}`))
	f.wantRuns("five deliveries", 5)

	mine := automation.NewSecret([]byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
	got, shown, err := f.a.RotateTrigger(f.Context(), admin(), "push", service.RotateRequest{Secret: mine, Keep: "0s"}, 2)
	if err != nil || !shown.Empty() || !got.PreviousUntil.IsZero() {
		f.Fatalf("got %+v, %v; want no secret shown and none kept", got, err)
	}
	_, err = f.a.Hook(f.Context(), s.sign("ended", `{"ref":"main"}`))
	wantCode(f, err, automation.CodeUnauthenticated)
	s.use(mine)
	s.must(s.sign("given", `{"ref":"main"}`))
	for keep, want := range map[string]string{
		"169h": "/keep: that is not a time for which the old secret stays valid (allowed: 0s to 168h, like 24h)", "-1s": "/keep: ", "x": "/keep: ",
	} {
		if _, _, err := f.a.RotateTrigger(f.Context(), admin(), "push", service.RotateRequest{Keep: keep}, 0); err == nil || !strings.HasPrefix(err.Error(), want) {
			f.Errorf("keep %s: got %v; want %s", keep, err, want)
		}
	}
}

func hookSkipped(f *scheduled) {
	s := f.trigger(func(r *service.TriggerRequest) { r.If = "event.ref == 'main'" })
	if got := s.must(s.sign("1", `{"ref":"other"}`)); !got.Skipped || got.Repeated {
		f.Errorf("got %+v; want it skipped", got)
	}
	change := service.TriggerRequest{Name: "push", Definition: deploy, Inputs: []byte(`{"branch":"${{ event.ref }}"}`)}
	if _, err := f.a.UpdateTrigger(f.Context(), admin(), "push", change, 0); err != nil {
		f.Fatal(err)
	}
	if got := s.must(s.sign("1", `{"ref":"other"}`)); !got.Skipped || !got.Repeated {
		f.Errorf("got %+v; want it skipped as it was, though the condition is gone", got)
	}
	_, err := f.a.Hook(f.Context(), s.sign("1", `{"ref":"main"}`))
	wantCode(f, err, automation.CodeConflict)
	f.wantRuns("skipped", 0)
}

// hookExpired: a delivery is known for 30 days.
func hookExpired(f *scheduled) {
	s := f.trigger(func(r *service.TriggerRequest) { r.Scheme = automation.SignatureGitHub })
	s.must(s.sign("1", `{"ref":"main"}`))
	f.clock.add(30 * 24 * time.Hour)
	s.must(s.sign("2", `{"ref":"other"}`))
	if got := s.must(s.sign("1", `{"ref":"main"}`)); !got.Repeated {
		f.Errorf("after 30 days: got %+v; want the run of then", got)
	}
	f.clock.add(time.Second)
	s.must(s.sign("3", `{"ref":"third"}`))
	if got := s.must(s.sign("1", `{"ref":"main"}`)); got.Repeated {
		f.Errorf("after more than 30 days: got %+v; want a run of its own", got)
	}
}

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

// TestMapping: how an event makes inputs.
func TestMapping(t *testing.T) {
	t.Parallel()
	f := newScheduled(t, setup(t).store)
	s := f.trigger(func(r *service.TriggerRequest) {
		r.Inputs = []byte(`{"branch": "${{ event.repo }}/${{ event.ref }} $${{ x }} ${{ headers['user-agent'] }}", "count": "${{ event.n + 1 }}",
			"more": {"all": "${{ event }}", "list": [1, "${{ event.n }}", null], "secret": "${{ has(headers.authorization) || 'cookie' in headers || 'webhook-signature' in headers }}"}}`)
	})
	r := s.sign("1", `{"repo":"a\"b","ref":"${{ event.n }}","n":12345678901234567}`)
	r.Headers["user-agent"], r.Headers["authorization"], r.Headers["cookie"] = []string{"sender"}, []string{"Bearer x"}, []string{"y"}
	run := s.must(r).Run
	plan, err := f.a.StoredPlan(t.Context(), admin(), run.PlanHash)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"branch":"a\"b/${{ event.n }} ${{ x }} sender","count":12345678901234568,` +
		`"more":{"all":{"n":12345678901234567,"ref":"${{ event.n }}","repo":"a\"b"},"list":[1,12345678901234567,null],"secret":false},"env":"test"}`
	if got := string(plan.Plan.Inputs); !sameJSON(t, got, want) {
		t.Errorf("got inputs %s; want %s", got, want)
	}
	big := s.sign("2", `{"repo":"`+strings.Repeat("x", 200<<10)+`","ref":"y","n":1}`)
	big.Headers["user-agent"] = []string{"sender"}
	_, err = f.a.Hook(t.Context(), big)
	if err == nil || !strings.HasPrefix(err.Error(), "/inputs: the inputs have too many bytes (allowed: at most 262144)") {
		t.Errorf("got %v; want the limit of the inputs", err)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		t.Fatalf("%v in %s", err, a)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return reflect.DeepEqual(x, y)
}
