package service_test

import (
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/service"
)

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

// FuzzHook: whatever a sender signs, and whatever stands in its headers, is
// answered with a run or with an error that is the sender's.
func FuzzHook(f *testing.F) {
	f.Add(`{"ref":"main","n":1}`, "sender", "1")
	f.Add(`{"ref":{"a":[1e400,"\ud800"]},"n":null}`, "\xff", "a b")
	f.Add(`[]`, "", "")
	key := automation.NewSecret([]byte("a secret that github has"))
	base := setup(f)
	base.Service = service.New(service.Deps{Store: base.store, Vault: base.vault, Registry: manifests{}})
	m := manifest("core", "1.0.0")
	m.Actions[0].Target, m.Actions[0].Input = false, []byte(`{"type":"object"}`)
	if _, _, err := base.EnsureBuiltin(f.Context(), artifact(m, "")); err != nil {
		f.Fatal(err)
	}
	t, _, err := base.CreateTrigger(f.Context(), admin(), service.TriggerRequest{
		Name: "push", Definition: deploy, Scheme: automation.SignatureGitHub, Secret: key, If: "headers['user-agent'] != 'x'",
		Inputs: []byte(`{"branch":"${{ event.ref }} of ${{ headers['user-agent'] }}","count":"${{ event.n }}","more":{"all":"${{ event }}"}}`),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(tt *testing.T, body, agent, id string) {
		got, err := base.Hook(tt.Context(), service.HookRequest{Trigger: string(t.ID), Body: []byte(body), Headers: map[string][]string{
			"x-github-delivery": {id}, "x-hub-signature-256": {"sha256=" + hex.EncodeToString(mac(key.Reveal(), body))}, "user-agent": {agent},
		}})
		wantOurs(tt, err)
		if code := automation.CodeOf(err); code == automation.CodeInternal || code == automation.CodeUnavailable {
			tt.Errorf("got %v", err)
		}
		if err == nil && !got.Skipped && got.Run.ID == "" {
			tt.Errorf("got neither a run nor an error: %+v", got)
		}
	})
}
