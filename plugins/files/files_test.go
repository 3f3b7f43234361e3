package main_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	files "opsconductor.dev/plugins/files"
	"opsconductor.dev/sdk/go/step"
	"opsconductor.dev/sdk/go/steptest"
)

func TestManifest(t *testing.T) {
	t.Parallel()
	steptest.Manifest(t, ".", steptest.Actions{
		"put": files.Put, "get": files.Get, "stat": files.Stat, "list": files.List,
		"folder": files.Folder, "remove": files.Remove, "mode": files.Mode,
	})
}

func TestPut(t *testing.T) {
	t.Parallel()
	var asked step.SSHPutRequest
	h := steptest.New(t).SSHPut(func(r step.SSHPutRequest) (step.SSHPutResult, error) {
		asked = r
		return step.SSHPutResult{Path: r.Path, Size: 2, Sha256: "ab", Mode: "0600", Changed: true, Atomic: true}, nil
	})
	got, failed := steptest.Call(h, files.Put, files.PutInput{Path: "/etc/motd", ContentBase64: []byte{0xff, 0}, Mode: "600", Owner: "0:0", TimeoutS: 0.0001})
	if d := cmp.Diff(files.PutOutput{Changed: true, Size: 2, SHA256: "ab", Mode: "0600", Atomic: true}, got); failed != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", failed, d)
	}
	want := step.SSHPutRequest{Path: "/etc/motd", ContentBase64: []byte{0xff, 0}, Mode: "600", Owner: "0:0", TimeoutMS: 1}
	if d := cmp.Diff(want, asked); d != "" {
		t.Errorf("asked for (-want +got):\n%s", d)
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	var asked step.SSHGetRequest
	h := steptest.New(t).SSHGet(func(r step.SSHGetRequest) (step.SSHGetResult, error) {
		asked = r
		return step.SSHGetResult{Content: "hi", Size: 2, Sha256: "ab", Mode: "0644", Uid: new(7), Redacted: true}, nil
	})
	got, failed := steptest.Call(h, files.Get, files.GetInput{Path: "f", MaxBytes: 10, TimeoutS: 2})
	if d := cmp.Diff(files.GetOutput{Content: "hi", Size: 2, SHA256: "ab", Mode: "0644", Redacted: true}, got); failed != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", failed, d)
	}
	if d := cmp.Diff(step.SSHGetRequest{Path: "f", MaxBytes: 10, TimeoutMS: 2000}, asked); d != "" {
		t.Errorf("asked for (-want +got):\n%s", d)
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	file := step.SSHStatFile{Name: "f", Type: "link", Size: 3, Mode: "0777", Uid: 1, Gid: 2, Modified: "2026-01-02T03:04:05Z", Link: "to"}
	h := steptest.New(t).SSHStat(func(r step.SSHStatRequest) (step.SSHStatResult, error) {
		if r.Path == "/none" {
			return step.SSHStatResult{}, nil
		}
		return step.SSHStatResult{Exists: true, File: file}, nil
	}).SSHList(func(step.SSHListRequest) (step.SSHListResult, error) {
		return step.SSHListResult{Truncated: true, Entries: []step.SSHListEntry{{Name: "a", Type: "file", Size: 1, Mode: "0600", Modified: "2026-01-02T03:04:05Z"}}}, nil
	})
	got, failed := steptest.Call(h, files.Stat, files.StatInput{Path: "/f"})
	want := files.StatOutput{Exists: true, Type: "link", Size: 3, Mode: "0777", UID: 1, GID: 2, Modified: "2026-01-02T03:04:05Z", Link: "to"}
	if d := cmp.Diff(want, got); failed != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", failed, d)
	}
	if got, failed := steptest.Call(h, files.Stat, files.StatInput{Path: "/none"}); failed != nil || got != (files.StatOutput{}) {
		t.Errorf("nothing there: got %+v, %v", got, failed)
	}
	listed, failed := steptest.Call(h, files.List, files.ListInput{Path: "/"})
	wantList := files.ListOutput{Truncated: true, Entries: []files.Entry{{Name: "a", Type: "file", Size: 1, Mode: "0600", Modified: "2026-01-02T03:04:05Z"}}}
	if d := cmp.Diff(wantList, listed); failed != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", failed, d)
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	h := steptest.New(t).SSHMkdir(func(r step.SSHMkdirRequest) (step.SSHMkdirResult, error) {
		return step.SSHMkdirResult{Changed: r.Parents && r.Mode == "0700"}, nil
	}).SSHRemove(func(r step.SSHRemoveRequest) (step.SSHRemoveResult, error) {
		return step.SSHRemoveResult{Changed: r.Recursive, Removed: r.MaxEntries}, nil
	}).SSHChmod(func(r step.SSHChmodRequest) (step.SSHChmodResult, error) {
		return step.SSHChmodResult{Changed: r.Owner == "1:2", Mode: r.Mode, Uid: 1, Gid: 2}, nil
	})
	if got, failed := steptest.Call(h, files.Folder, files.FolderInput{Path: "/d", Parents: true, Mode: "0700"}); failed != nil || !got.Changed {
		t.Errorf("folder: got %+v, %v", got, failed)
	}
	if got, failed := steptest.Call(h, files.Remove, files.RemoveInput{Path: "/d", Recursive: true, MaxEntries: 5}); failed != nil || got != (files.RemoveOutput{Changed: true, Removed: 5}) {
		t.Errorf("remove: got %+v, %v", got, failed)
	}
	if got, failed := steptest.Call(h, files.Mode, files.ModeInput{Path: "/d", Mode: "0755", Owner: "1:2"}); failed != nil || got != (files.ModeOutput{Changed: true, Mode: "0755", UID: 1, GID: 2}) {
		t.Errorf("mode: got %+v, %v", got, failed)
	}
}

// TestBecomeIsPassedOn: by every action.
func TestBecomeIsPassedOn(t *testing.T) {
	t.Parallel()
	as := files.Become{Method: "sudo", User: "app", Credential: "app-password"}
	var asked []files.Become
	h := steptest.New(t).SSHPut(func(r step.SSHPutRequest) (step.SSHPutResult, error) {
		asked = append(asked, files.Become(*r.Become))
		return step.SSHPutResult{Uid: new(7), Gid: new(8)}, nil
	}).SSHGet(func(r step.SSHGetRequest) (step.SSHGetResult, error) {
		asked = append(asked, files.Become(*r.Become))
		return step.SSHGetResult{}, nil
	}).SSHStat(func(r step.SSHStatRequest) (step.SSHStatResult, error) {
		asked = append(asked, files.Become(*r.Become))
		return step.SSHStatResult{}, nil
	}).SSHList(func(r step.SSHListRequest) (step.SSHListResult, error) {
		asked = append(asked, files.Become(*r.Become))
		return step.SSHListResult{}, nil
	}).SSHMkdir(func(r step.SSHMkdirRequest) (step.SSHMkdirResult, error) {
		asked = append(asked, files.Become(*r.Become))
		return step.SSHMkdirResult{}, nil
	}).SSHRemove(func(r step.SSHRemoveRequest) (step.SSHRemoveResult, error) {
		asked = append(asked, files.Become(*r.Become))
		return step.SSHRemoveResult{}, nil
	}).SSHChmod(func(r step.SSHChmodRequest) (step.SSHChmodResult, error) {
		asked = append(asked, files.Become(*r.Become))
		return step.SSHChmodResult{}, nil
	})
	put, err := steptest.Call(h, files.Put, files.PutInput{Path: "/f", Become: &as})
	if d := cmp.Diff(files.PutOutput{UID: new(7), GID: new(8)}, put); err != nil || d != "" {
		t.Errorf("put: %v (-want +got):\n%s", err, d)
	}
	_, get := steptest.Call(h, files.Get, files.GetInput{Path: "/f", Become: &as})
	_, stat := steptest.Call(h, files.Stat, files.StatInput{Path: "/f", Become: &as})
	_, list := steptest.Call(h, files.List, files.ListInput{Path: "/f", Become: &as})
	_, folder := steptest.Call(h, files.Folder, files.FolderInput{Path: "/f", Become: &as})
	_, remove := steptest.Call(h, files.Remove, files.RemoveInput{Path: "/f", Become: &as})
	_, mode := steptest.Call(h, files.Mode, files.ModeInput{Path: "/f", Become: &as})
	for i, err := range []*step.Error{get, stat, list, folder, remove, mode} {
		if err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if d := cmp.Diff([]files.Become{as, as, as, as, as, as, as}, asked); d != "" {
		t.Errorf("asked for (-want +got):\n%s", d)
	}
}

// TestErrorsOfTheHostArePassedOn: with nothing beside them.
func TestErrorsOfTheHostArePassedOn(t *testing.T) {
	t.Parallel()
	want := &step.Error{Code: step.Denied, Message: "not there", Phase: step.Before}
	h := steptest.New(t).SSHMkdir(func(step.SSHMkdirRequest) (step.SSHMkdirResult, error) { return step.SSHMkdirResult{}, want }).
		SSHGet(func(step.SSHGetRequest) (step.SSHGetResult, error) { return step.SSHGetResult{}, want })
	_, folder := steptest.Call(h, files.Folder, files.FolderInput{Path: "/d"})
	_, get := steptest.Call(h, files.Get, files.GetInput{Path: "/d"})
	for name, got := range map[string]*step.Error{"folder": folder, "get": get} {
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}
