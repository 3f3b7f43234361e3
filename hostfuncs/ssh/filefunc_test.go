package ssh_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/hostfunctest"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// fileCall calls a host function on a fake server with SFTP and returns its answer.
type fileCall struct {
	pool    *ssh.Pool
	fake    *sshtest.Fake
	session *hostfuncs.Session
	broker  *hostfunctest.Broker
	dir     string
}

func newFileCall(t *testing.T) *fileCall {
	t.Helper()
	c := &fileCall{pool: pool(t, ssh.Options{}), fake: fake(t, sshtest.FakeConfig{SFTP: &sshtest.SFTP{}}), dir: t.TempDir()}
	c.session, c.broker = onFake(c.fake, sshtest.Password)
	for _, f := range ssh.Functions(c.pool) {
		c.broker.Functions = append(c.broker.Functions, f.Name)
	}
	return c
}

func (c *fileCall) call(t *testing.T, function, request string, ok any) *hostfuncs.Error {
	t.Helper()
	for _, f := range ssh.Functions(c.pool) {
		if f.Name != function {
			continue
		}
		env := struct {
			OK    any
			Error *hostfuncs.Error
		}{OK: ok}
		if err := json.Unmarshal(f.Invoke(t.Context(), c.session, []byte(request)), &env); err != nil {
			t.Fatal(err)
		}
		return env.Error
	}
	t.Fatalf("there is no %s", function)
	return nil
}

func TestFileFunctions(t *testing.T) {
	t.Parallel()
	c := newFileCall(t)
	path := filepath.Join(c.dir, "f")
	intents := 0
	c.session.Intent = func(context.Context, string) error { intents++; return nil }
	raw := base64.StdEncoding.EncodeToString([]byte("\xff\x00"))
	var put ssh.PutResult
	for i, changed := range []bool{true, false} {
		request := fmt.Sprintf(`{"path":%q,"content_base64":%q,"mode":"640","owner":"%d:%d"}`, path, raw, os.Getuid(), os.Getgid())
		if err := c.call(t, "ssh_put", request, &put); err != nil || put.Changed != changed || put.Mode != "0640" || put.Size != 2 || put.SHA256 != sum([]byte("\xff\x00")) || put.Target != "fake1" {
			t.Errorf("put %d: %+v %v", i, put, err)
		}
	}
	if r := c.broker.Records(); intents != 1 || len(r) != 2 || len(r[0].Command) != 64 || r[1].Command != "" {
		t.Errorf("%d intents, records %+v; want 1, and a hash for the first put alone", intents, r)
	}
	var got ssh.GetResult
	if err := c.call(t, "ssh_get", fmt.Sprintf(`{"path":%q}`, path), &got); err != nil || got.Content != "" || string(got.ContentBase64) != "\xff\x00" || got.Mode != "0640" || got.Redacted {
		t.Errorf("get: %+v %v", got, err)
	}
	if err := c.call(t, "ssh_get", fmt.Sprintf(`{"path":%q,"max_bytes":1}`, path), &got); err == nil || err.Code != hostfuncs.OutputLimit {
		t.Errorf("get more than max_bytes: %v, want output_limit", err)
	}
	var stat ssh.StatResult
	if err := c.call(t, "ssh_stat", fmt.Sprintf(`{"path":%q}`, path), &stat); err != nil || !stat.Exists || stat.File == nil || stat.File.Name != "f" || stat.File.Type != "file" || stat.File.Size != 2 {
		t.Errorf("stat: %+v %v", stat, err)
	}
	stat = ssh.StatResult{}
	if err := c.call(t, "ssh_stat", fmt.Sprintf(`{"path":%q}`, path+"x"), &stat); err != nil || stat.Exists || stat.File != nil {
		t.Errorf("stat of nothing: %+v %v", stat, err)
	}
	if err := os.WriteFile(path+"\xff", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var list ssh.ListResult
	if err := c.call(t, "ssh_list", fmt.Sprintf(`{"path":%q}`, c.dir), &list); err != nil || len(list.Entries) != 2 || list.Entries[0].Name != "f" || string(list.Entries[1].NameBase64) != "f\xff" || list.Truncated {
		t.Errorf("list: %+v %v", list, err)
	}
}

func TestFileFunctionsBadRequest(t *testing.T) {
	t.Parallel()
	c := newFileCall(t)
	for request, word := range map[string]string{
		`ssh_put {"path":""}`: "path is empty",
		`ssh_put {"path":"/f","content":"a","content_base64":"YQ=="}`:       "one of content",
		`ssh_put {"path":"/f","mode":"rw"}`:                                 "mode is not",
		`ssh_put {"path":"/f","mode":"7777777"}`:                            "mode is not",
		`ssh_put {"path":"/f","owner":"root"}`:                              "owner is not",
		`ssh_put {"path":"/f","owner":"1:-1"}`:                              "owner is not",
		`ssh_put {"path":"/f","timeout_ms":-1}`:                             "timeout_ms",
		`ssh_get {"path":"a\u0000b"}`:                                       "NUL",
		`ssh_get {"path":"/f","max_bytes":-1}`:                              "max_bytes",
		`ssh_get {"path":"/f","max_bytes":67108865}`:                        "max_bytes",
		`ssh_stat {"path":"` + strings.Repeat("x", 4097) + `"}`:             "4096 is the most",
		`ssh_stat {"path":"/","target":"` + strings.Repeat("x", 254) + `"}`: "253",
		`ssh_mkdir {"path":"/d","mode":"rwx"}`:                              "mode is not",
		`ssh_remove {"path":"/"}`:                                           "no name",
		`ssh_remove {"path":"/d/.."}`:                                       "no name",
		`ssh_remove {"path":"/d","max_entries":10001}`:                      "max_entries",
		`ssh_chmod {"path":"/f"}`:                                           "give a mode",
		`ssh_chmod {"path":"/f","owner":"x"}`:                               "owner is not",
		`ssh_list {"path":"/","limit":10001}`:                               "limit",
		`ssh_list {"path":"/","timeout_ms":86400001}`:                       "timeout_ms",
	} {
		function, body, _ := strings.Cut(request, " ")
		if err := c.call(t, function, body, nil); err == nil || err.Code != hostfuncs.BadRequest || err.Phase != hostfuncs.Before || !strings.Contains(err.Message, word) {
			t.Errorf("%.80s: %v, want bad_request with %q", request, err, word)
		}
	}
	if n := c.fake.Accepted(); n != 0 {
		t.Errorf("%d connections were opened for bad requests", n)
	}
}

// When the intent cannot be recorded, nothing is written.
func TestPutIntentFails(t *testing.T) {
	t.Parallel()
	c := newFileCall(t)
	c.session.Intent = func(context.Context, string) error { return errors.New("the lease is over") }
	err := c.call(t, "ssh_put", fmt.Sprintf(`{"path":%q,"content":"x"}`, filepath.Join(c.dir, "f")), nil)
	if err == nil || err.Code != hostfuncs.Cancelled || err.Phase != hostfuncs.Before || !strings.Contains(err.Message, "the lease is over") {
		t.Errorf("%v, want cancelled, before", err)
	}
	only(t, c.dir)
}
