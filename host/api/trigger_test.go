package api_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"opsconductor.dev/host/api"
	"opsconductor.dev/host/automation"
)

const secretText = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// hook makes a webhook that is signed with secretText.
func hook(id, body string) call {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secretText, "whsec_"))
	stamp := fmt.Sprint(time.Now().Unix())
	h := hmac.New(sha256.New, key)
	h.Write([]byte(id + "." + stamp + "." + body))
	return call{method: "POST", body: body, header: map[string]string{
		"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil)),
	}}
}

func TestTriggersByAPI(t *testing.T) {
	t.Parallel()
	f, release := running(t)
	close(release)
	made := f.do(call{method: "POST", path: "/v1/triggers", token: f.admin, body: `{"name":"push","definition":` + flow + `}`})
	v := into[api.TriggerSecret](t, made.body)
	if made.status != http.StatusCreated || made.header.Get("ETag") != `"1"` || v.Address != "/hooks/"+string(v.Trigger.ID) || !strings.HasPrefix(v.Secret, "whsec_") ||
		made.header.Get("Location") != "/v1/triggers/"+string(v.Trigger.ID) {
		t.Fatalf("create: got %d %s, want 201", made.status, made.body)
	}
	for _, path := range []string{"/v1/triggers", "/v1/triggers/push", "/v1/triggers/" + string(v.Trigger.ID)} {
		if got := f.do(call{method: "GET", path: path, token: f.submitter}); got.status != http.StatusOK || strings.Contains(got.body, "ecret\":") || strings.Contains(got.body, "ealed") {
			t.Errorf("%s: got %d %s; want no secret", path, got.status, got.body)
		}
	}
	ask := func(method, path, tag, body string, want int) answer {
		t.Helper()
		c := call{method: method, path: "/v1/triggers/push" + path, token: f.admin, body: body, header: map[string]string{}}
		if tag != "" {
			c.header["If-Match"] = tag
		}
		got := f.do(c)
		if got.status != want {
			t.Errorf("%s %s with %s: got %d %s, want %d", method, path, tag, got.status, got.body, want)
		}
		return got
	}
	update := `{"name":"push","if":"event.a == 1","definition":` + flow + `}`
	ask("PUT", "", "", update, http.StatusPreconditionRequired)
	ask("PUT", "", `"2"`, update, http.StatusPreconditionFailed)
	ask("PUT", "", `"1"`, update, http.StatusOK)
	ask("PUT", "", `"2"`, `{"name":"push","scheme":"github","definition":`+flow+`}`, http.StatusUnprocessableEntity)
	ask("POST", "/disable", `"1"`, "", http.StatusPreconditionFailed)
	if got := into[automation.Trigger](t, ask("POST", "/disable", "", "", http.StatusOK).body); got.Enabled || got.Version != 3 {
		t.Errorf("disabled: got %+v", got)
	}
	ask("POST", "/enable", `"3"`, "", http.StatusOK)
	ask("POST", "/rotate", `"1"`, `{}`, http.StatusPreconditionFailed)
	if got := into[api.TriggerSecret](t, ask("POST", "/rotate", "", `{"keep":"1h"}`, http.StatusOK).body); got.Secret == "" || got.Secret == v.Secret || got.Trigger.SecretVersion != 2 {
		t.Errorf("rotated: got %+v", got)
	}
	if got := ask("POST", "/rotate", "", `{"secret":"`+secretText+`"}`, http.StatusOK); strings.Contains(got.body, "MfKQ9r8") {
		t.Errorf("a secret that was given is shown: %s", got.body)
	}
	ask("POST", "/rotate", "", `{"secret":"hunter2"}`, http.StatusUnprocessableEntity)
	ask("DELETE", "", `"1"`, "", http.StatusPreconditionFailed)
	ask("DELETE", "", `"6"`, "", http.StatusNoContent)
	ask("DELETE", "", `*`, "", http.StatusNotFound)
}

func TestHooksByAPI(t *testing.T) {
	t.Parallel()
	f, release := running(t)
	close(release)
	make := func(name, more string) string {
		t.Helper()
		made := f.do(call{method: "POST", path: "/v1/triggers", token: f.admin, body: `{"name":"` + name + `","secret":"` + secretText + `","definition":` + flow + more + `}`})
		if made.status != http.StatusCreated {
			t.Fatalf("create: got %d %s", made.status, made.body)
		}
		return into[api.TriggerSecret](t, made.body).Address
	}
	push, off, skip := make("push", ""), make("off", `,"enabled":false`), make("skip", `,"if":"event.a == 2"`)
	send := func(path string, c call, want int, says string) answer {
		t.Helper()
		c.path = path
		got := f.do(c)
		if got.status != want || !strings.Contains(got.body, says) {
			t.Errorf("%s: got %d %s, want %d with %s", path, got.status, got.body, want, says)
		}
		return got
	}
	first := into[api.HookAnswer](t, send(push, hook("1", `{"a":1}`), http.StatusAccepted, `"by":"trigger:push"`).body)
	again := into[api.HookAnswer](t, send(push, hook("1", `{"a":1}`), http.StatusOK, `"repeated":true`).body)
	if first.Run == nil || again.Run == nil || first.Run.ID != again.Run.ID {
		t.Errorf("got %+v, then %+v; want the same run", first, again)
	}
	send(push, hook("1", `{"a":2}`), http.StatusConflict, "with another body")
	send(push, hook("2", `{"a":`), http.StatusBadRequest, "not JSON")
	send(off, hook("1", `{"a":1}`), http.StatusNotFound, "the trigger is disabled")
	send(skip, hook("1", `{"a":1}`), http.StatusOK, `{"skipped":true}`)
	send(skip, hook("2", `{}`), http.StatusUnprocessableEntity, `"pointer":"/if"`)
	send(push, call{method: "POST", body: `{}`}, http.StatusUnauthorized, "the headers of one signature scheme")

	pad := strings.Repeat(" ", 256<<10-len(`{"a":1}`))
	send(push, hook("large", `{"a":1}`+pad), http.StatusAccepted, "")
	send(push, hook("larger", `{"a":1}`+pad+" "), http.StatusRequestEntityTooLarge, "larger than 262144 bytes")
	form := hook("form", "payload=%7B%7D")
	form.header["Content-Type"] = "application/x-www-form-urlencoded"
	send(push, form, http.StatusUnsupportedMediaType, "media type")

	// Whether there is such a trigger is not told, except for what names the request.
	bad := hook("bad", `{"a":1}`)
	bad.header["webhook-signature"] = "v1," + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 32)))
	bad.header["X-Request-ID"] = "same"
	here := send(push, bad, http.StatusUnauthorized, "the signature is not valid for this address")
	for _, path := range []string{off, "/hooks/0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b", "/hooks/push", "/hooks/x"} {
		if there := send(path, bad, http.StatusUnauthorized, ""); there.body != here.body || len(there.header) != len(here.header) {
			t.Errorf("%s: got %s %v; want the answer of a trigger that exists: %s %v", path, there.body, there.header, here.body, here.header)
		}
	}
}

// TestHooksUnderWayAreBounded: of one trigger's address so many requests are taken
// at a time, before anything of them is read.
func TestHooksUnderWayAreBounded(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	address := f.server.Listener.Addr().String()
	open := func(path string) net.Conn {
		t.Helper()
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n", path)
		return c
	}
	status := func(c net.Conn) string {
		t.Helper()
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
	// A request that is read asks to go on; one past the bound is refused.
	for _, c := range []struct {
		path string
		most int
	}{{"/hooks/a", 32}, {"/hooks/b", 32}, {"/hooks/c", 0}} { // 64 of one network address
		for i := range c.most {
			if got := status(open(c.path)); got != "HTTP/1.1 100 Continue" {
				t.Fatalf("%s, request %d: got %s; want it taken", c.path, i, got)
			}
		}
		if got := status(open(c.path)); got != "HTTP/1.1 429 Too Many Requests" {
			t.Errorf("%s, one more than %d: got %s; want 429", c.path, c.most, got)
		}
	}
	if got := f.do(call{method: "GET", path: "/v1/assets", token: f.admin}); got.status != http.StatusOK {
		t.Errorf("what has a token: got %d, want 200", got.status)
	}
}

func TestGitHubHook(t *testing.T) {
	t.Parallel()
	f, release := running(t)
	close(release)
	made := f.do(call{method: "POST", path: "/v1/triggers", token: f.admin, body: `{"name":"gh","scheme":"github","if":"headers['x-github-event'] == 'push'","definition":` + flow + `}`})
	v := into[api.TriggerSecret](t, made.body)
	send := func(event, id, body string) answer {
		h := hmac.New(sha256.New, []byte(v.Secret))
		h.Write([]byte(body))
		return f.do(call{method: "POST", path: v.Address, body: body, header: map[string]string{
			"X-GitHub-Event": event, "X-GitHub-Delivery": id, "X-Hub-Signature-256": "sha256=" + hex.EncodeToString(h.Sum(nil)),
		}})
	}
	if got := send("ping", "1", `{"zen":"x"}`); got.status != http.StatusOK || !strings.Contains(got.body, "skipped") {
		t.Errorf("ping: got %d %s", got.status, got.body)
	}
	if got := send("push", "2", `{"ref":"x"}`); got.status != http.StatusAccepted {
		t.Errorf("push: got %d %s", got.status, got.body)
	}
}
