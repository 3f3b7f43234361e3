package main_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	network "opsconductor.dev/plugins/network"
	"opsconductor.dev/sdk/go/step"
	"opsconductor.dev/sdk/go/steptest"
)

func TestConfigure(t *testing.T) {
	t.Parallel()
	done := map[string]step.SSHSendResult{
		"b": {Output: "% Warning"}, "write memory": {Output: "Building…\n[OK]", Mode: "privileged"}, "copy running-config startup-config": {Output: "[####] 100%\nCopy complete."},
		"commit": {Output: "commit complete"},
	}
	eos := map[string]step.SSHSendResult{"write memory": {Output: "Copy completed successfully."}}
	for _, tc := range []struct {
		platform string
		save     bool
		answers  map[string]step.SSHSendResult
		typed    []string
		saved    bool
	}{
		{"ios", false, done, []string{"a", "b"}, false},
		{"ios", true, done, []string{"a", "b", "write memory"}, true},
		{"frr", true, done, []string{"a", "b", "write memory"}, true},
		{"nxos", true, done, []string{"a", "b", "copy running-config startup-config"}, true},
		{"eos", true, eos, []string{"a", "b", "write memory"}, true},
		{"junos", false, done, []string{"configure exclusive", "a", "b", "commit"}, true},
		{"iosxr", true, nil, []string{"configure exclusive", "a", "b", "commit"}, true},
	} {
		d := says(t, tc.answers)
		got, failed := steptest.Call(d.h, network.Configure, network.ConfigureInput{
			Platform: tc.platform, Lines: []string{"a", "b"}, Save: tc.save, EnableCredential: "enable", LineTimeoutS: 2,
			Replies: []network.Reply{{Question: "sure", Text: "y"}},
		})
		said := []network.Said{}
		if tc.answers["b"].Output != "" {
			said = []network.Said{{Line: 2, Output: "% Warning"}}
		}
		if diff := cmp.Diff(network.ConfigureOutput{Lines: 2, Said: said, Saved: tc.saved}, got); failed != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tc.platform, failed, diff)
		}
		if diff := cmp.Diff(tc.typed, d.typed()); diff != "" || d.closed != 1 {
			t.Errorf("%s: closed %d times, sent (-want +got):\n%s", tc.platform, d.closed, diff)
		}
		if diff := cmp.Diff([]step.SSHOpenRequest{{Platform: tc.platform, Privileged: true, EnableCredential: "enable"}}, d.opened); diff != "" {
			t.Errorf("%s: opened (-want +got):\n%s", tc.platform, diff)
		}
		line := d.sent[slices.Index(d.typed(), "a")]
		if line.TimeoutMS != 2000 || len(line.Answers) != 1 || (line.Mode == "config") != (tc.typed[0] == "a") {
			t.Errorf("%s: the line was sent as %+v", tc.platform, line)
		}
	}
}

// Each way in which a change ends early says which line it was, by its first word
// alone, and what became of the others; and nothing more is sent.
func TestConfigureEndsEarly(t *testing.T) {
	t.Parallel()
	const secret = "hush-hush"
	lines := []string{"a", "key 7 " + secret, "c"}
	for _, tc := range []struct {
		what, platform string
		answers        map[string]step.SSHSendResult
		code           step.Code
		last           string // what was sent last
		words          []string
	}{
		{"the first is refused", "ios", map[string]step.SSHSendResult{"a": {Refused: "% No"}}, network.Refused, "a", []string{"line 1 of 3 (a): the device did not take it: % No", "no line was taken"}},
		{"refused", "ios", map[string]step.SSHSendResult{lines[1]: {Refused: "% No"}}, network.Refused, lines[1], []string{"line 2 of 3 (key …): the device did not take it: % No", "the lines before that (1) are in force, and nothing was saved"}},
		{"refused in a candidate", "junos", map[string]step.SSHSendResult{lines[1]: {Refused: "no"}}, network.Refused, "rollback 0", []string{"line 2 of 3", "nothing was committed, and the candidate was discarded"}},
		{"not discarded", "iosxr", map[string]step.SSHSendResult{lines[1]: {Refused: "% No"}, "abort": {Refused: "% No"}}, network.Refused, "abort", []string{"nothing was committed, but the device did not say that it discarded the candidate"}},
		{"the candidate is taken", "junos", map[string]step.SSHSendResult{"configure exclusive": {Refused: "error: locked"}}, network.Refused, "configure exclusive", []string{"error: locked; nothing was changed"}},
		{"no configuration", "junos", map[string]step.SSHSendResult{"configure exclusive": {Mode: "exec"}}, network.Refused, "configure exclusive", []string{"nothing was changed"}},
		{"asks", "ios", map[string]step.SSHSendResult{lines[1]: {Matched: new(0), Prompt: "Sure? [confirm]"}}, "question", lines[1], []string{"line 2 of 3 (key …)", `asks "Sure? [confirm]"`, "give one in replies"}},
		{"leaves", "ios", map[string]step.SSHSendResult{lines[1]: {Mode: "privileged"}}, "left_configuration", lines[1], []string{"line 2 of 3 (key …)", "the lines before that (2) are in force"}},
		{"is lost", "ios", map[string]step.SSHSendResult{lines[1]: {Closed: true}}, step.Lost, lines[1], []string{"line 2 of 3 (key …): it is gone", "the lines before that (1) are in force"}},
		{"a save that is lost", "ios", map[string]step.SSHSendResult{"write memory": {Closed: true}}, step.Lost, "write memory", []string{"write memory: it is gone; all lines are in force"}},
		{"a save that is refused", "frr", map[string]step.SSHSendResult{"write memory": {Refused: "% No"}}, network.Refused, "write memory", []string{"write memory: the device did not take it: % No; all lines are in force, and were not saved"}},
		{"a save that says nothing", "ios", nil, "not_confirmed", "write memory", []string{"did not say that it is done; all lines are in force"}},
		{"a save that asks", "ios", map[string]step.SSHSendResult{"write memory": {Matched: new(0), Prompt: "Overwrite? [confirm]"}}, "question", "write memory", []string{"Overwrite?", "all lines are in force"}},
		{"a commit that fails", "junos", map[string]step.SSHSendResult{"commit": {Refused: "error: configuration check-out failed", Output: "[edit]\n  'x'"}}, network.Refused, "rollback 0", []string{"commit: the device did not take it: error: configuration check-out failed", `it said "[edit] 'x'"`, "nothing was committed, and the candidate was discarded"}},
		{"a commit that says nothing", "junos", nil, "not_confirmed", "commit", []string{"commit: the device did not say that it is done"}},
	} {
		d := says(t, tc.answers)
		_, failed := steptest.Call(d.h, network.Configure, network.ConfigureInput{Platform: tc.platform, Lines: lines, Save: true})
		wantFailure(t, tc.what, failed, tc.code, step.After, tc.words...)
		if typed := d.typed(); typed[len(typed)-1] != tc.last || d.closed != 1 {
			t.Errorf("%s: closed %d times, sent %q", tc.what, d.closed, typed)
		}
		if failed.Retryable || strings.Contains(failed.Message, secret) {
			t.Errorf("%s: %+v", tc.what, failed)
		}
	}
}

// What a device waits with is known from what it only shows on the way.
func TestQuestionsOfDevices(t *testing.T) {
	t.Parallel()
	d := says(t, nil)
	if _, failed := steptest.Call(d.h, network.Configure, network.ConfigureInput{Platform: "ios", Lines: []string{"a"}}); failed != nil {
		t.Fatal(failed)
	}
	for line, want := range map[string]bool{
		"Destination filename [startup-config]? ":                                         true,
		"How many bits in the modulus [512]: ":                                            true,
		"Do you want to continue? [confirm]":                                              true,
		"% Do you really want to replace them? [yes/no]: ":                                true,
		"This command will reboot the system. (y/n)?  [n] ":                               true,
		"Exit with uncommitted changes? [yes,no] (yes) ":                                  true,
		"Uncommitted changes found, commit them before exiting(yes/no/cancel)? [cancel]:": true,
		"Enter new password: ":                                                            true,
		"Building configuration...":                                                       false,
		"[OK]":                                                                            false,
		"[####################] 100%":                                                     false,
		"router1(config)#":                                                                false,
		"RP/0/RSP0/CPU0:core9(config)# ":                                                  false,
		"*Mar  1 00:00:01: %SYS-5-CONFIG_I:":                                              false,
		"interface Ethernet1 [up]":                                                        false,
	} {
		got := slices.ContainsFunc(d.sent[0].Expect, func(p string) bool { return regexp.MustCompile(p).MatchString(line) })
		if got != want {
			t.Errorf("%q: a question is %t, want %t", line, got, want)
		}
	}
}

// A line that can't be sent as one is found before anything is, with all others.
func TestConfigureBadLines(t *testing.T) {
	t.Parallel()
	d := says(t, nil)
	_, failed := steptest.Call(d.h, network.Configure, network.ConfigureInput{Platform: "ios", Lines: []string{" ", "a", "b?", "c\nd", "commit"}})
	wantFailure(t, "ios", failed, step.BadRequest, step.Before, "/with/lines/0: it is blank", "/with/lines/2: it has a question mark", "/with/lines/3: it has a line break")
	_, failed = steptest.Call(d.h, network.Configure, network.ConfigureInput{Platform: "junos", Lines: []string{"set x", " Commit and-quit", "run reload"}})
	wantFailure(t, "junos", failed, step.BadRequest, step.Before, "/with/lines/1: it begins with commit", "/with/lines/2: it begins with run")
	_, failed = steptest.Call(d.h, network.Configure, network.ConfigureInput{Platform: "iosxr", Lines: []string{"do reload"}})
	wantFailure(t, "iosxr", failed, step.BadRequest, step.Before, "/with/lines/0: it begins with do")
	if len(d.opened) != 0 {
		t.Error("a session was opened")
	}
}

// The last line may leave the configuration, as in what people paste.
func TestConfigureMayEndItself(t *testing.T) {
	t.Parallel()
	d := says(t, map[string]step.SSHSendResult{"end": {Mode: "privileged"}})
	if got, failed := steptest.Call(d.h, network.Configure, network.ConfigureInput{Platform: "ios", Lines: []string{"a", "end"}}); failed != nil || got.Lines != 2 {
		t.Errorf("%+v %v", got, failed)
	}
}
