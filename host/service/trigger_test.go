package service_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
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
