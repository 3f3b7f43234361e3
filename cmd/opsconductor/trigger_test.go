package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// page reads a page's named blocks.
func page(t *testing.T, name string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, m := range regexp.MustCompile("(?ms)^```[a-z]+ (\\S+)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		found[m[1]] = m[2]
	}
	return found
}

type hookAnswer struct {
	Run               struct{ ID, By, Workflow string }
	Skipped, Repeated bool
	Detail            string
}

// TestTriggersInTheDocs carries out what docs/triggers.md shows: the commands, and
// the webhook that curl sends with a signature of openssl's.
func TestTriggersInTheDocs(t *testing.T) {
	t.Parallel()
	onBoth(t, testTriggersInTheDocs)
}

func testTriggersInTheDocs(t *testing.T, start func(...string) *server) {
	t.Helper()
	for _, tool := range []string{"openssl", "curl", "sh", "od"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the page's example needs %s", tool)
		}
	}
	found := page(t, "triggers.md")
	file := write(t, found["deploy.yaml"])
	host := start()
	commands := strings.Split(strings.TrimSpace(found["commands"]), "\n")
	if len(commands) != 8 {
		t.Fatalf("the page has the commands %q", commands)
	}
	command := func(line string) string {
		t.Helper()
		var args []string
		for i, part := range strings.Split(line, `"`) { // every other part stands in quotes
			if i%2 == 1 {
				args = append(args, part)
				continue
			}
			args = append(args, strings.Fields(strings.ReplaceAll(part, "deploy.yaml", file))...)
		}
		return host.must(t, append(args[1:], "--output", "json")...)
	}
	made := decode[struct{ Address, Secret string }](t, command(commands[0]))
	send := func(secret string, change ...string) hookAnswer {
		t.Helper()
		script := strings.NewReplacer(change...).Replace(found["send.sh"])
		cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
		cmd.Env = append(os.Environ(), "URL="+host.url+made.Address, "SECRET="+secret)
		out, err := cmd.Output()
		var answer hookAnswer
		if len(out) > 0 {
			answer = decode[hookAnswer](t, string(out))
		}
		if err != nil && answer.Detail == "" {
			t.Fatalf("send: %v, %s", err, out)
		}
		return answer
	}
	first := send(made.Secret)
	if first.Run.By != "trigger:push" || first.Run.Workflow != "deploy" || first.Repeated {
		t.Errorf("got %+v; want a run", first)
	}
	host.must(t, "run", "wait", first.Run.ID)
	if got := string(host.items(t, first.Run.ID)["say/"].Output); !strings.Contains(got, "deploy refs/heads/main") {
		t.Errorf("the output is %s; want the branch of the event", got)
	}
	if again := send(made.Secret); !again.Repeated || again.Run.ID != first.Run.ID {
		t.Errorf("sent again: got %+v; want run %s", again, first.Run.ID)
	}
	if got := send(made.Secret, "msg_1", "msg_2", "heads/main", "heads/drafts"); !got.Skipped {
		t.Errorf("a draft: got %+v; want it skipped", got)
	}
	if got := send("whsec_" + strings.Repeat("A", 44)); got.Detail != "the signature is not valid for this address" {
		t.Errorf("another secret: got %+v", got)
	}
	for _, line := range commands[1:6] {
		command(line)
	}
	if got := send(made.Secret, "msg_1", "msg_3", "heads/main", "heads/other"); !got.Skipped {
		t.Errorf("after the update: got %+v; want it skipped", got)
	}
	rotated := decode[struct{ Secret string }](t, command(commands[6]))
	for id, secret := range map[string]string{"msg_old": made.Secret, "msg_new": rotated.Secret} {
		if got := send(secret, "msg_1", id); got.Run.ID == "" {
			t.Errorf("%s: got %+v; want a run", id, got)
		}
	}
	host.must(t, "trigger", "disable", "push")
	if got := send(made.Secret, "msg_1", "msg_off"); got.Detail != "the trigger is disabled" {
		t.Errorf("disabled: got %+v", got)
	}
	host.must(t, strings.Fields(commands[7])[1:]...)
	if got := send(rotated.Secret, "msg_1", "msg_4"); got.Detail != "the signature is not valid for this address" {
		t.Errorf("deleted: got %+v", got)
	}
	if err := host.stop(t); err != nil {
		t.Errorf("stopped with %v", err)
	}
	if strings.Contains(host.log.String(), strings.TrimPrefix(made.Secret, "whsec_")) {
		t.Error("the log has the secret")
	}
}

func TestTriggerRefused(t *testing.T) {
	t.Parallel()
	host := startDev(t, filepath.Join(t.TempDir(), "host"))
	file := write(t, page(t, "triggers.md")["deploy.yaml"])
	host.must(t, "trigger", "create", "push", file, "--input", "branch=${{ event.ref }}")
	for want, args := range map[string][]string{
		"unknown name evnt":          {"create", "x", file, "--input", "branch=${{ evnt.ref }}"},
		"the input branch is requir": {"create", "x", file},
		"does not have the version":  {"update", "push", "--if", "true", "--if-match", "9"},
		"not a secret of this schem": {"create", "x", file, "--input", "branch=x", "--secret-file", file},
		"time for which the old sec": {"rotate", "push", "--keep", "999h"},
		"no such":                    {"show", "nothing"},
	} {
		if got := host.call(t, append([]string{"trigger"}, args...)...); got.code != exitError || !strings.Contains(got.err, want) {
			t.Errorf("%q: exit code %d\n%s\nwant %s", args, got.code, got.err, want)
		}
	}
	if list := host.must(t, "trigger", "list", "--output", "jsonl"); strings.Count(list, "\n") != 1 || strings.Contains(list, "secret\":") || strings.Contains(list, "ealed") {
		t.Errorf("got %s; want one trigger without its secret", list)
	}
}
