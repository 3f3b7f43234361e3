package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"opsconductor.dev/host/app"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// asProgram makes the test binary be opsconductor itself, so that the tests run
// the real program in a process of its own, under the race detector too.
const asProgram = "OPSCONDUCTOR_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	// A sandbox process has no environment, nor has one that vets.
	helper := len(os.Args) > 1 && (os.Args[1] == app.SandboxCommand || os.Args[1] == app.VettingCommand)
	if os.Getenv(asProgram) != "" || helper {
		main()
		return
	}
	os.Exit(withCache(m))
}

// withCache gives all hosts of the tests one cache of compiled plugins.
func withCache(m *testing.M) int {
	dir, err := os.MkdirTemp("", "opsconductor-test-cache-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	if err := os.Setenv("OPSCONDUCTOR_CACHE_DIR", dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if cluster.server != nil {
		if err := cluster.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

const patience = 90 * time.Second // for what takes a moment on a busy machine

// program starts opsconductor with arguments in a process of its own.
func program(ctx context.Context, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// server is a host that runs in a process of its own.
type server struct {
	dir string
	url string
	// token is the file with an admin token; "": the one in dir.
	token string
	cmd   *exec.Cmd
	log   *bytes.Buffer
	done  chan error
}

// startDev starts `dev` in a folder and waits until it says where it is.
func startDev(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	return startHost(t, "dev", dir, args...)
}

// startHost starts `dev` or `serve` in a folder and waits until it says where it is.
func startHost(t *testing.T, mode, dir string, args ...string) *server {
	t.Helper()
	return awaitHost(t, dir, program(context.WithoutCancel(t.Context()), hostArgs(mode, dir, args)...))
}

func hostArgs(mode, dir string, args []string) []string {
	return append([]string{mode, "--dir", dir, "--listen", "127.0.0.1:0", "--output", "jsonl"}, args...)
}

// awaitHost starts a host's process and waits until it says where it is.
func awaitHost(t *testing.T, dir string, cmd *exec.Cmd) *server {
	t.Helper()
	s := &server{dir: dir, log: &bytes.Buffer{}, done: make(chan error, 1), cmd: cmd}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.done <- s.cmd.Wait() // for the cleanup
		t.Fatalf("dev said nothing (%v); its log:\n%s", err, s.log)
	}
	var where struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal([]byte(line), &where); err != nil || where.URL == "" {
		t.Fatalf("dev said %q (%v), want its URL", line, err)
	}
	s.url = where.URL
	go func() { // the process's end, once; the test's cleanup waits for it
		_, _ = io.Copy(io.Discard, out)
		s.done <- s.cmd.Wait()
	}()
	return s
}

// kill is what a power cut does to the process.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	err := <-s.done
	s.done <- err
}

// stop asks the process to stop and returns how it ended.
func (s *server) stop(t *testing.T) error {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-s.done:
		s.done <- err
		return err
	case <-time.After(patience):
		t.Fatalf("the host did not stop; its log:\n%s", s.log)
		return nil
	}
}

// answer is what a command line gave.
type answer struct {
	code     int
	out, err string
}

// call carries out a command line against the host, in this process.
func (s *server) call(t *testing.T, args ...string) answer {
	t.Helper()
	return s.callWith(t, "", args...)
}

func (s *server) callWith(t *testing.T, stdin string, args ...string) answer {
	t.Helper()
	if s.token != "" {
		args = append([]string{"--url", s.url, "--token-file", s.token}, args...)
	}
	return command(t, map[string]string{"OPSCONDUCTOR_DIR": s.dir}, stdin, args...)
}

// command carries out a command line in this process with its own environment.
func command(t *testing.T, env map[string]string, stdin string, args ...string) answer {
	t.Helper()
	var out, errs bytes.Buffer
	c := &cli{
		in: strings.NewReader(stdin), out: &out, err: &errs, version: "test",
		env: func(k string) (string, bool) { v, ok := env[k]; return v, ok },
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	code := c.run(ctx, args)
	return answer{code: code, out: out.String(), err: errs.String()}
}

// must is call for what has to succeed; it returns stdout.
func (s *server) must(t *testing.T, args ...string) string {
	t.Helper()
	a := s.call(t, args...)
	if a.code != exitOK {
		t.Fatalf("%s: exit code %d\n%s\nthe host's log:\n%s", strings.Join(args, " "), a.code, a.err, s.log)
	}
	return a.out
}

// mustWith is must with something on standard input.
func (s *server) mustWith(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	a := s.callWith(t, stdin, args...)
	if a.code != exitOK {
		t.Fatalf("%s: exit code %d\n%s", strings.Join(args, " "), a.code, a.err)
	}
	return a.out
}

// target is an SSH server that is an asset.
type target struct {
	name, host string
	port       int
	keys       []string
}

// sshd starts an OpenSSH server.
func sshd(t *testing.T) *sshtest.Server {
	t.Helper()
	srv, err := sshtest.Start(context.WithoutCancel(t.Context()), sshtest.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Stop() })
	return srv
}

// addCredential seals a private key for every asset.
func (s *server) addCredential(t *testing.T, name, user, key string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must(t, "credential", "create", name, "--username", user, "--key-file", file, "--asset", "*")
}

// addAsset registers a target.
func (s *server) addAsset(t *testing.T, a target, credential string) {
	t.Helper()
	args := []string{"asset", "create", a.name, "--address", a.host, "--port", fmt.Sprint(a.port), "--os", "linux", "--tag", "demo", "--credential", credential}
	for _, k := range a.keys {
		args = append(args, "--host-key", k)
	}
	s.must(t, args...)
}

// write puts a definition into a file.
func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "workflow.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// item is what tests read of an item.
type item struct {
	Step    string          `json:"step"`
	Target  string          `json:"target"`
	State   string          `json:"state"`
	Attempt int             `json:"attempt"`
	Kept    bool            `json:"kept"`
	Output  json.RawMessage `json:"output"`
	Error   *struct {
		Code       string `json:"code"`
		Message    string `json:"message"`
		Pointer    string `json:"pointer"`
		Suggestion string `json:"suggestion"`
	} `json:"error"`
	DurationMS float64 `json:"duration_ms"`
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return v
}

// items returns a run's items by "step/target".
func (s *server) items(t *testing.T, run string) map[string]item {
	t.Helper()
	out := map[string]item{}
	for _, i := range decode[[]item](t, s.must(t, "run", "items", run, "--output", "json")) {
		out[i.Step+"/"+i.Target] = i
	}
	return out
}

// runID reads the identifier in what a submission printed as JSON.
func runID(t *testing.T, out string) string {
	t.Helper()
	return decode[struct {
		ID string `json:"id"`
	}](t, out).ID
}

// eventually polls until check returns true.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !check() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not happen in %s", what, patience)
		}
	}
}
