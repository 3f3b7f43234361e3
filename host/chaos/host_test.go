package chaos_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"opsconductor.dev/host/client"
)

// host is `opsconductor serve` in a process of its own.
type host struct {
	t    *testing.T
	name string
	dir  string
	args []string
	env  []string
	// clock is the file that says by how much its clock was moved; "": it can't be.
	clock string
	// links lead to the database, one a server; none with SQLite.
	links []*link
	// wire is the host's network when it has one of its own.
	wire *wire
	// program is the binary.
	program string

	mu     sync.Mutex
	url    string
	cmd    *exec.Cmd
	exited chan struct{}
}

// start starts the host and waits until it says where it is.
func (h *host) start() {
	h.t.Helper()
	if err := h.tryStart(); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) tryStart() error {
	args := slices.Concat([]string{h.program, "serve", "--dir", h.dir, "--name", h.name, "--listen", h.listen(), "--output", "jsonl"}, h.args)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), h.env...)
	if h.wire != nil {
		cmd = h.wire.command(args)
		cmd.Env = append(os.Environ(), h.env...)
	}
	log, err := os.OpenFile(h.log(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := h.launch(cmd); err != nil {
		return fmt.Errorf("start host %s: %w", h.name, err)
	}
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	var where struct {
		URL string `json:"url"`
	}
	if err == nil {
		err = json.Unmarshal([]byte(line), &where)
	}
	exited := make(chan struct{})
	go func() { // the process's end, once; whoever kills it waits for it
		_, _ = io.Copy(io.Discard, lines)
		_ = cmd.Wait()
		close(exited)
	}()
	if err != nil {
		_ = cmd.Process.Kill()
		<-exited
		return fmt.Errorf("host %s said %q: %w; its log:\n%s", h.name, line, err, h.tail())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.url, h.cmd, h.exited = where.URL, cmd, exited
	return nil
}

func (h *host) launch(cmd *exec.Cmd) error {
	if h.wire == nil {
		return cmd.Start()
	}
	return h.wire.start(cmd)
}

func (h *host) listen() string {
	if h.wire != nil {
		return h.wire.inner + ":0"
	}
	return "127.0.0.1:0"
}

func (h *host) log() string { return filepath.Join(filepath.Dir(h.dir), h.name+".log") }

// tail is the end of the host's log.
func (h *host) tail() string {
	b, _ := os.ReadFile(h.log())
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}

// signal sends a signal to the process.
func (h *host) signal(s syscall.Signal) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.cmd.Process.Signal(s); err != nil {
		h.t.Errorf("signal %s to host %s: %v", s, h.name, err)
	}
}

// kill is what a power cut does to the process.
func (h *host) kill() {
	h.mu.Lock()
	cmd, exited := h.cmd, h.exited
	h.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill()
	<-exited
}

// ended returns how the process ended, once it has.
func (h *host) ended() *os.ProcessState {
	h.mu.Lock()
	cmd, exited := h.cmd, h.exited
	h.mu.Unlock()
	<-exited
	return cmd.ProcessState
}

func (h *host) pid() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cmd.Process.Pid
}

// client returns a client of this host's API that asks once.
func (h *host) client(token string) *client.Client {
	h.mu.Lock()
	url := h.url
	h.mu.Unlock()
	c, err := client.New(client.Config{URL: url, Token: client.NewSecret([]byte(token)), Retries: -1, HTTP: sender})
	if err != nil {
		panic(err) // the host said where it is
	}
	return c
}
