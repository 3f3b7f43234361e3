// Package sshtest runs SSH servers to test against: OpenSSH's own sshd (Start),
// one in process that takes passwords and misbehaves on request (Fake), and a
// proxy that can cut connections (Proxy). All listen on free loopback ports.
package sshtest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// Config says what kind of sshd to start.
type Config struct {
	// Dir is an existing folder for the server's keys, settings and log; nobody
	// but its owner may be able to write to it. Required.
	Dir string
	// Name makes the server's files in Dir its own when several share it.
	Name string
	// Options are lines of sshd_config that go before the defaults, and so win:
	// "MaxSessions 1".
	Options []string
	// Authorized are public keys in the form of authorized_keys that may log in,
	// beside the generated one; options may stand before them.
	Authorized []string
	// HostKeys are PEM private keys; none: an ed25519 key is generated.
	HostKeys []string
	// Host is the address that it listens on, one of this machine; "": 127.0.0.1.
	Host string
	// Port 0: a free one.
	Port int
	// Shell is the program that its sessions find as /bin/sh; "": the machine's own.
	// The server has to run as root then, and is in a mount namespace of its own.
	Shell string
}

// Server is an sshd that runs.
type Server struct {
	Addr      string // IP address and port
	Host      string
	Port      int
	HostKeys  []string // type and base64, as they are pinned
	ClientKey string   // PEM of an ed25519 key that may log in
	User      string   // the account, which is the one that runs the test
	LogFile   string

	cmd  *exec.Cmd
	wait func() error
}

// errNoSSHD says what to install.
var errNoSSHD = errors.New("there is no sshd here: apt-get install openssh-server")

// Path returns where sshd is; the error names Debian's package.
func Path() (string, error) {
	for _, p := range []string{"sshd", "/usr/sbin/sshd", "/usr/local/sbin/sshd"} {
		if found, err := exec.LookPath(p); err == nil {
			return filepath.Abs(found)
		}
	}
	return "", errNoSSHD
}

// Start starts an sshd on a free loopback port and waits until it answers. It
// runs until Stop, or until ctx is done. It needs no rights beyond the user's own;
// as root it uses sshd's usual folder for privilege separation, and makes it.
func Start(ctx context.Context, c Config) (*Server, error) {
	bin, err := Path()
	if err != nil {
		return nil, err
	}
	var last error
	for range 5 { // the port may be taken between finding and binding it
		s, err := start(ctx, bin, c)
		if err == nil {
			return s, nil
		}
		last = err
		if c.Port != 0 || ctx.Err() != nil {
			break
		}
	}
	return nil, last
}

func start(ctx context.Context, bin string, c Config) (*Server, error) {
	s := &Server{Host: cmp.Or(c.Host, "127.0.0.1"), Port: c.Port}
	if s.Port == 0 {
		var err error
		if s.Port, err = freePort(s.Host); err != nil {
			return nil, err
		}
	}
	s.Addr = net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("find out who runs the test: %w", err)
	}
	s.User = me.Username
	conf, err := s.write(c)
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { //nolint:gosec // sshd wants it readable
			return nil, fmt.Errorf("make sshd's folder for privilege separation: %w", err)
		}
	}
	argv := []string{bin, "-D", "-f", conf, "-E", s.LogFile}
	if c.Shell != "" {
		mount := `mount --bind "$0" "$(readlink -f /bin/sh)" && exec "$@"`
		argv = append([]string{"unshare", "-m", "--propagation", "private", "bash", "-c", mount, c.Shell}, argv...)
	}
	s.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // sshd itself
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start sshd: %w", err)
	}
	s.wait = sync.OnceValue(s.cmd.Wait)
	if err := s.ready(ctx); err != nil {
		_ = s.Stop()
		return nil, err
	}
	return s, nil
}

// write puts keys and settings into the folder and returns the settings' path.
func (s *Server) write(c Config) (string, error) {
	path := func(name string) string { return filepath.Join(c.Dir, c.Name+name) }
	s.LogFile = path("sshd.log")
	files := map[string]string{}
	keys := c.HostKeys
	if len(keys) == 0 {
		keys = []string{NewKey()}
	}
	var conf bytes.Buffer
	fmt.Fprintf(&conf, "ListenAddress %s\nPort %d\nPidFile none\n", s.Host, s.Port)
	for i, k := range keys {
		pub, err := PublicKey(k)
		if err != nil {
			return "", err
		}
		s.HostKeys = append(s.HostKeys, pub)
		file := path(fmt.Sprintf("host_key_%d", i))
		files[file] = k
		fmt.Fprintf(&conf, "HostKey %s\n", file)
	}
	s.ClientKey = NewKey()
	pub, err := PublicKey(s.ClientKey)
	if err != nil {
		return "", err
	}
	files[path("authorized_keys")] = strings.Join(append([]string{pub}, c.Authorized...), "\n") + "\n"
	for _, o := range c.Options {
		fmt.Fprintln(&conf, o)
	}
	fmt.Fprintf(&conf, `AuthorizedKeysFile %s
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
LogLevel VERBOSE
SetEnv HOME=%s
`, path("authorized_keys"), c.Dir) // away from what the account's login shell reads at its start
	files[path("sshd_config")] = conf.String()
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("write the server's files: %w", err)
		}
	}
	return path("sshd_config"), nil
}

// ready waits until the server answers, and sees from its log that it is this one:
// another process may have taken the port. A LogLevel in Config is INFO or more.
func (s *Server) ready(ctx context.Context) error {
	err := awaitBanner(ctx, s.Addr)
	log, _ := os.ReadFile(s.LogFile)
	if err != nil {
		return fmt.Errorf("sshd on %s gives no banner: %w\n%s", s.Addr, err, log)
	}
	if !bytes.Contains(log, []byte("Server listening on")) {
		return fmt.Errorf("what answers on %s is not the sshd that was started:\n%s", s.Addr, log)
	}
	return nil
}

// PID returns the listening process's id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Stop ends the server: the listening process, then those of its connections
// that are still there. It may be called more than once.
func (s *Server) Stop() error {
	children := children(s.cmd.Process.Pid)
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	_ = s.wait()
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
	return nil
}

// Connections returns the ids of the processes that serve a connection each.
func (s *Server) Connections() []int { return children(s.cmd.Process.Pid) }

// HangUp ends the connections that stand and waits until their processes are gone.
func (s *Server) HangUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("they did not end within 10 s"))
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		left := s.Connections()
		if len(left) == 0 {
			return nil
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("end the connections of %s: %w", s.Addr, context.Cause(ctx))
		}
	}
}

// children returns the ids of a process's children (Linux).
func children(pid int) []int {
	list, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	var out []int
	for f := range strings.FieldsSeq(string(list)) {
		if child, err := strconv.Atoi(f); err == nil {
			out = append(out, child)
		}
	}
	return out
}

// NewKey returns a fresh ed25519 private key as PEM.
func NewKey() string {
	_, key, _ := ed25519.GenerateKey(rand.Reader) // never fails with crypto/rand
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		panic(err) // an ed25519 key always can be written
	}
	return string(pem.EncodeToMemory(block))
}

// PublicKey returns a PEM private key's public half as type and base64.
func PublicKey(private string) (string, error) {
	signer, err := ssh.ParsePrivateKey([]byte(private))
	if err != nil {
		return "", fmt.Errorf("read a private key: %w", err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), nil
}
