package registry_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"opsconductor.dev/host/automation"
	"opsconductor.dev/host/registry"
	"opsconductor.dev/host/registry/wasmfile"
	"opsconductor.dev/host/registry/wasmfile/wasmtest"
	"opsconductor.dev/host/runner/engine"
)

// The words by which the test binary is a vetting process, or one that went wrong.
const (
	vetWell  = "vet-well"
	vetWide  = "vet-without-bounds"
	vetLies  = "vet-lies"
	vetLoops = "vet-loops"
	vetTalks = "vet-talks"
	vetEnv   = "vet-environment"
	vetEats  = "vet-eats"
	vetSaves = "vet-saves"
	vetTries = "vet-tries"

	savedFile = "/tmp/opsconductor-vet-test"
)

func TestMain(m *testing.M) {
	if len(os.Args) < 2 || !strings.HasPrefix(os.Args[1], "vet-") {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var err error
	switch os.Args[1] {
	case vetWell:
		err = registry.ServeVetting(ctx, engine.NameNative, os.Stdin, os.Stdout)
	case vetWide:
		err = registry.ServeVettingWithin(ctx, engine.NameNative, wide(), os.Stdin, os.Stdout)
	case vetLies:
		fmt.Fprintln(os.Stdout, `{"digest": "another"}`)
	case vetLoops:
		<-ctx.Done()
	case vetTalks:
		for err == nil {
			_, err = fmt.Fprintln(os.Stdout, strings.Repeat("x", 1000))
		}
	case vetEats:
		if err = registry.GiveUp(); err == nil {
			fmt.Fprintln(os.Stderr, len(make([]byte, 3<<30)))
		}
	case vetSaves:
		if err = registry.GiveUp(); err == nil {
			err = os.WriteFile(savedFile, []byte("x"), 0o600)
		}
	case vetTries:
		if err = registry.GiveUp(); err == nil {
			os.Exit(10 + escapes())
		}
	case vetEnv:
		fmt.Fprintln(os.Stderr, os.Environ())
		os.Exit(len(os.Environ()) + 1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// wide are bounds that let a compile bomb pass.
func wide() wasmfile.Limits {
	l := wasmfile.DefaultLimits()
	l.Blocks, l.Nesting, l.FunctionBytes, l.CompileCost = 1<<30, 1<<30, 1<<30, 1<<60
	return l
}

// bomb takes the compiler some ten seconds or more.
func bomb() []byte {
	b := base()
	b.Func(">", []byte(strings.Repeat("\x03\x40\x0b", 90_000))...)
	return withManifest(b, manifest)
}

func vetted(tb testing.TB, word string, wall time.Duration, limits wasmfile.Limits) *registry.Registry {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	s := engine.DefaultSettings()
	s.Module = limits
	e, err := engine.New(engine.NameNative, s)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			tb.Error(err)
		}
	})
	r, err := registry.New(registry.Config{
		Store: &shelf{}, Engine: e, HostFunctions: []string{"ssh_exec"}, Limits: limits,
		Vetting: registry.Vetting{Command: []string{self, word}, Wall: wall},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestVet(t *testing.T) {
	t.Parallel()
	t.Cleanup(func() { _ = os.Remove(savedFile) }) // empty
	broken := func() []byte {                      // two values are left
		b := base()
		b.Func(">", wasmtest.Code(wasmtest.I32(1), wasmtest.I32(1))...)
		return withManifest(b, manifest)
	}()
	for name, tc := range map[string]struct {
		word string
		wasm []byte
		wall time.Duration
		want string // of the error; "": none
	}{
		"good":               {vetWell, good(), time.Minute, ""},
		"does not compile":   {vetWell, broken, time.Minute, "does not compile"},
		"bad before":         {vetLies, base().Bytes(), time.Minute, "exactly one"},
		"compile bomb":       {vetWide, bomb(), time.Second, "compiling the plugin"},
		"of another module":  {vetLies, good(), time.Minute, "no answer"},
		"does not end":       {vetLoops, good(), 300 * time.Millisecond, "the time limit of 300ms"},
		"writes for ever":    {vetTalks, good(), 20 * time.Second, "compiling the plugin ended"},
		"takes memory":       {vetEats, good(), time.Minute, onLinux("exit status 2 or exit status 66")}, // the race detector's own
		"writes a file":      {vetSaves, good(), time.Minute, onLinux("compiling the plugin ended")},
		"tries to get out":   {vetTries, good(), time.Minute, onLinux("exit status 10")},
		"no such program":    {"/nowhere", good(), time.Minute, "start the vetting process"},
		"has no environment": {vetEnv, good(), time.Minute, "exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := vetted(t, tc.word, tc.wall, wide())
			if tc.word == vetTries && runtime.GOOS != "linux" {
				t.Skip("a vetting process gives rights up on Linux alone")
			}
			if name == "no such program" {
				r = vettedBy(t, tc.word)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			m, err := r.Vet(t.Context(), tc.wasm)
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			switch {
			case tc.want == "" && (err != nil || m.Name != "demo"):
				t.Errorf("got %v, %v, want the manifest", m.Name, err)
			case tc.want != "" && (err == nil || !slices.ContainsFunc(strings.Split(tc.want, " or "), func(w string) bool { return strings.Contains(err.Error(), w) })):
				t.Errorf("got %v, want %q", err, tc.want)
			case tc.want != "" && name != "no such program" && automation.CodeOf(err) != automation.CodeBadPlugin:
				t.Errorf("code: got %s, want bad_plugin", automation.CodeOf(err))
			}
			if tc.wall < time.Minute && took > tc.wall+20*time.Second { // it would take for ever, or nearly
				t.Errorf("took %s", took)
			}
		})
	}
}

// onLinux is what a process ends with where the system takes limits; elsewhere it
// gives no answer.
func onLinux(want string) string {
	if runtime.GOOS == "linux" {
		return want
	}
	return "no answer"
}

func vettedBy(tb testing.TB, program string) *registry.Registry {
	tb.Helper()
	e, err := engine.New(engine.NameNative, engine.DefaultSettings())
	if err != nil {
		tb.Fatal(err)
	}
	r, err := registry.New(registry.Config{
		Store: &shelf{}, Engine: e, HostFunctions: []string{"ssh_exec"}, Vetting: registry.Vetting{Command: []string{program}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}
