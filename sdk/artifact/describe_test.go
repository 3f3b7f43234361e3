package artifact_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"opsconductor.dev/sdk/artifact"
)

func part(id byte, content string) []byte {
	return append(binary.AppendUvarint([]byte{id}, uint64(len(content))), content...)
}

func named(s string) string { return string(rune(len(s))) + s }

func TestDescribe(t *testing.T) {
	t.Parallel()
	user, env := named("extism:host/user"), named("extism:host/env")
	wasm := module(
		part(2, "\x08"+
			user+named("ssh_exec")+"\x00\x01"+
			env+named("alloc")+"\x00\x81\x01"+
			env+named("t")+"\x01\x70\x01\x01\x02"+
			env+named("m")+"\x02\x00\x01"+
			user+named("g")+"\x03\x7f\x01"+
			env+named("e")+"\x04\x00\x02"+
			user+named("log")+"\x00\x01"+
			user+named("log")+"\x00\x02"),
		part(7, "\x03"+named("zeta")+"\x00\x05"+named("memory")+"\x02\x00"+named("alpha")+"\x00\x06"),
	)
	got, err := artifact.Describe(wasm)
	want := artifact.Module{HostFunctions: []string{"log", "ssh_exec"}, Functions: []string{"alpha", "zeta"}}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}

func TestDescribeRefuses(t *testing.T) {
	t.Parallel()
	for name, wasm := range map[string][]byte{
		"imports cut off":   module(part(2, "\x02"+named("m")+named("n")+"\x00\x01")),
		"import of no kind": module(part(2, "\x01"+named("m")+named("n")+"\x09\x01")),
		"endless count":     module(part(7, strings.Repeat("\xff", 12))),
		"name past end":     module(part(7, "\x01\x7fabc")),
	} {
		if got, err := artifact.Describe(wasm); !errors.Is(err, artifact.ErrTruncated) {
			t.Errorf("%s: got %+v, %v; want ErrTruncated", name, got, err)
		}
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add(module(part(2, "\x01"+named("extism:host/user")+named("log")+"\x00\x01"), part(7, "\x01"+named("a")+"\x00\x05")))
	f.Fuzz(func(_ *testing.T, wasm []byte) {
		_, _ = artifact.Describe(wasm)
	})
}
