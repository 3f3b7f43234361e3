package standard_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/hostfunctest"
	"opsconductor.dev/hostfuncs/probe"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
	"opsconductor.dev/hostfuncs/standard"
	"opsconductor.dev/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peers is what the functions are tried against.
type peers struct {
	set     *standard.Set
	sshd    *sshtest.Server
	ssh     *sshtest.Fake // knows a password, for redaction
	slow    *sshtest.Fake // falls silent where files are concerned
	dir     string        // on all three
	cli     *sshtest.Fake // a device with a command line
	mute    *sshtest.Fake // a device that says nothing
	dns     net.PacketConn
	touched atomic.Int64
	log     chan string
}

const password = "hunter2-and-more"

func setup(t *testing.T) *peers {
	t.Helper()
	p := &peers{log: make(chan string, 1000)}
	var err error
	if p.sshd, err = sshtest.Start(context.WithoutCancel(t.Context()), sshtest.Config{Dir: t.TempDir(), Options: []string{"Subsystem sftp internal-sftp"}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.sshd.Stop() })
	if p.ssh, err = sshtest.StartFake(sshtest.FakeConfig{Password: password, SFTP: &sshtest.SFTP{}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.ssh.Stop)
	silent := []sshtest.SFTPKind{sshtest.SFTPWrite, sshtest.SFTPRead, sshtest.SFTPReaddir, sshtest.SFTPReadlink, sshtest.SFTPMkdir, sshtest.SFTPRemove, sshtest.SFTPSetstat}
	if p.slow, err = sshtest.StartFake(sshtest.FakeConfig{Password: password, SFTP: &sshtest.SFTP{Stall: silent}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.slow.Stop)
	p.devices(t)
	p.dir = files(t)
	p.dns = nameServer(t)
	dialer := hostfuncs.Dialer{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		p.touched.Add(1)
		if address == "192.0.2.1:9" { // RFC 5737: nobody is there
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	p.set = standard.New(standard.Options{
		SSH:   ssh.Options{Dialer: dialer, KillGrace: 300 * time.Millisecond, Discard: 4 << 20, Journals: filepath.Join(t.TempDir(), "journals")},
		Probe: probe.Options{Dialer: dialer},
	})
	t.Cleanup(func() { _ = p.set.Close() })
	return p
}

// files makes a folder with what the functions for files are tried on.
func files(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "small"), []byte("hello"), 0o600),
		os.WriteFile(filepath.Join(dir, "big"), make([]byte, 100_000), 0o600),
		os.WriteFile(filepath.Join(dir, "secret"), []byte("x"+password+"y"), 0o600),
		os.Symlink(password, filepath.Join(dir, "link")),
		os.WriteFile(filepath.Join(dir, "doomed"), nil, 0o600),
		os.Mkdir(filepath.Join(dir, "many"), 0o700),
		os.Mkdir(filepath.Join(dir, "few"), 0o700),
		os.WriteFile(filepath.Join(dir, "few", password), nil, 0o600),
	)
	for i := range 300 {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, "many", fmt.Sprint(i)), nil, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// nameServer answers every question over UDP: names that begin with "silent" not
// at all, others with 40 TXT records of 40 bytes each.
func nameServer(t *testing.T) net.PacketConn {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			q := buf[12:n]
			if strings.HasPrefix(string(q[1:]), "silent") {
				continue
			}
			end := strings.IndexByte(string(q), 0) + 5
			const records, length = 200, 40
			answer := append([]byte{buf[0], buf[1], 0x81, 0x80, 0, 1, 0, records, 0, 0, 0, 0}, q[:end]...)
			for range records {
				answer = append(answer, 0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60)
				answer = binary.BigEndian.AppendUint16(answer, length+1)
				answer = append(append(answer, length), strings.Repeat("x", length)...)
			}
			_, _ = conn.WriteTo(answer, from)
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return conn
}

func (p *peers) session() (*hostfuncs.Session, *hostfunctest.Broker) {
	target := func(name string, port int, key string, cred string) hostfuncs.Target {
		return hostfuncs.Target{Name: name, Address: "127.0.0.1", Port: port, Protocol: "ssh", OS: "linux", HostKeys: []string{key}, Credential: cred}
	}
	own := target("web1", p.sshd.Port, p.sshd.HostKeys[0], "key")
	b := &hostfunctest.Broker{
		Targets: map[string]hostfuncs.Target{"web1": own, "echo1": target("echo1", p.ssh.Port, p.ssh.HostKey, "pass"), "slow1": target("slow1", p.slow.Port, p.slow.HostKey, "pass"), "cli1": target("cli1", p.cli.Port, p.cli.HostKey, "pass"), "mute1": target("mute1", p.mute.Port, p.mute.HostKey, "pass")},
		Credentials: map[string]hostfuncs.Credential{
			"key":  {Name: "key", Version: 1, Kind: "ssh_key", Username: p.sshd.User, PrivateKey: hostfunctest.Secret(p.sshd.ClientKey)},
			"pass": {Name: "pass", Version: 1, Kind: "password", Username: "tester", Password: hostfunctest.Secret(password)},
		},
		Bound:  map[string][]string{"key": {"web1"}, "pass": {"echo1", "slow1", "cli1", "mute1"}},
		Forbid: func(a netip.Addr) bool { return a.IsLinkLocalUnicast() },
	}
	for _, f := range p.set.Functions() {
		b.Functions = append(b.Functions, f.Name)
	}
	s := &hostfuncs.Session{
		Tenant: "default", Run: "run", Step: "step", Attempt: 1, Target: &own, Broker: b, MaxOutput: 1 << 20,
		Log: func(level, message string) { p.log <- level + " " + message },
	}
	return s, b
}

// guarded is session for an item of effect guarded.
func (p *peers) guarded() (*hostfuncs.Session, *hostfunctest.Broker) {
	s, b := p.session()
	s.Guard = &hostfuncs.Guard{Item: rand.Text()}
	return s, b
}

// subjects says how each function is tried.
func (p *peers) subjects() map[string]hostfunctest.Subject {
	_, port, _ := net.SplitHostPort(p.dns.LocalAddr().String())
	dns := func(name string) string {
		return fmt.Sprintf(`{"name":%q,"type":"TXT","server":"127.0.0.1","server_port":%s,"timeout_ms":60000}`, name, port)
	}
	file := func(name, more string) string {
		return fmt.Sprintf(`{"path":%q%s}`, filepath.Join(p.dir, name), more)
	}
	return map[string]hostfunctest.Subject{
		"ssh_exec": {
			Request:    `{"argv":["echo","hello"]}`,
			Slow:       `{"argv":["sleep","1000"]}`,
			Flood:      `{"argv":["sh","-c","yes | head -c 100000; yes | head -c 100000 >&2"]}`,
			Echo:       `{"target":"echo1","argv":["sh","-c","echo ` + password + `; echo x` + password + `y >&2"]}`,
			EchoSecret: password,
		},
		"ssh_exec_many": {
			Request:    `{"targets":["web1"],"argv":["echo","hello"]}`,
			Slow:       `{"targets":["web1","echo1"],"argv":["sleep","1000"]}`,
			Flood:      `{"targets":["web1"],"argv":["sh","-c","yes | head -c 100000; yes | head -c 100000 >&2"]}`,
			Echo:       `{"targets":["echo1"],"argv":["sh","-c","echo ` + password + `; echo x` + password + `y >&2"]}`,
			EchoSecret: password,
		},
		"ssh_put": {
			Request:    file("put", `,"content":"hello"`),
			Slow:       file("slow", `,"content":"hello","target":"slow1"`),
			Echo:       file(password, `,"content":"hello","target":"echo1"`),
			EchoSecret: password,
			Without:    map[string]string{"flood": "it returns nothing that the remote side sends"},
		},
		"ssh_get": {
			Request:    file("small", ""),
			Slow:       file("small", `,"target":"slow1"`),
			Flood:      file("big", ""),
			Echo:       file("secret", `,"target":"echo1"`),
			EchoSecret: password,
		},
		"ssh_stat": {
			Request:    file("small", ""),
			Slow:       file("link", `,"target":"slow1"`),
			Echo:       file("link", `,"target":"echo1"`),
			EchoSecret: password,
			Without:    map[string]string{"flood": "it returns one entry"},
		},
		"ssh_list": {
			Request:    file("many", ""),
			Slow:       file("many", `,"target":"slow1"`),
			Flood:      file("many", ""),
			Echo:       file("few", `,"target":"echo1"`),
			EchoSecret: password,
		},
		"ssh_mkdir": {
			Request:    file("made", ""),
			Slow:       file("made slowly", `,"target":"slow1","mode":"700"`),
			Echo:       file(password+"/made", `,"target":"echo1","parents":true`),
			EchoSecret: password,
			Without:    map[string]string{"flood": "it returns nothing that the remote side sends"},
		},
		"ssh_remove": {
			Request:    file("none", ""),
			Slow:       file("doomed", `,"target":"slow1"`),
			Echo:       file(password+".none", `,"target":"echo1"`),
			EchoSecret: password,
			Without:    map[string]string{"flood": "it returns nothing that the remote side sends"},
		},
		"ssh_chmod": {
			Request:    file("small", `,"mode":"600"`),
			Slow:       file("big", `,"target":"slow1","mode":"640"`),
			Echo:       file("few/"+password, `,"target":"echo1","mode":"600"`),
			EchoSecret: password,
			Without:    map[string]string{"flood": "it returns nothing that the remote side sends"},
		},
		"ssh_open": {
			Request:    `{"target":"cli1"}`,
			Slow:       `{"target":"mute1"}`,
			Flood:      `{"target":"cli1","timeout_ms":20000}`,
			Echo:       `{"target":"cli1"}`,
			EchoSecret: password,
		},
		"ssh_send": {
			Request:    `{"session":"1","text":"show"}`,
			Slow:       `{"session":"1","text":"hang","timeout_ms":600000}`,
			Flood:      `{"session":"1","text":"flood"}`,
			Echo:       `{"session":"1","text":"leak"}`,
			EchoSecret: password,
		},
		"ssh_close": {
			Request: `{"session":"1"}`,
			Without: map[string]string{"slow": "it does not wait for the peer", "flood": "it returns nothing that the remote side sends", "echo": "it returns nothing"},
		},
		"probe_tcp": {
			Request: fmt.Sprintf(`{"host":"127.0.0.1","port":%d}`, p.sshd.Port),
			Slow:    `{"host":"192.0.2.1","port":9,"timeout_ms":60000}`,
			Without: map[string]string{"flood": "it reads nothing from the peer", "echo": "it opens no credential"},
		},
		"probe_dns": {
			Request: dns("web1.test"),
			Slow:    dns("silent.test"),
			Flood:   dns("flood.test"),
			Without: map[string]string{"echo": "it opens no credential"},
		},
		"log": {
			Request: `{"message":"hello"}`,
			Without: map[string]string{"slow": "it waits for nobody", "flood": "it returns nothing", "echo": "it returns nothing; TestLog has it"},
		},
	}
}

func TestFunctions(t *testing.T) {
	t.Parallel()
	p := setup(t)
	subjects := p.subjects()
	for _, f := range p.set.Functions() {
		s, ok := subjects[f.Name]
		if !ok {
			t.Errorf("%s is in the list, and nothing says how it is tried", f.Name)
			continue
		}
		delete(subjects, f.Name)
		session := p.session
		if f.Name == "ssh_send" || f.Name == "ssh_close" {
			session = p.opened
		}
		s.Func, s.Session, s.Touched = f, session, func() int { return int(p.touched.Load()) + p.slow.Stalls() + p.mute.Shells() }
		t.Run(f.Name, func(t *testing.T) { hostfunctest.Run(t, s) })
		if f.Guards {
			s.Session = p.guarded
			t.Run(f.Name+", guarded", func(t *testing.T) { hostfunctest.Run(t, s) })
		}
	}
	for name := range subjects {
		t.Errorf("%s is not in the list", name)
	}
}

// Schema, Go types and list agree.
func TestSchemas(t *testing.T) {
	t.Parallel()
	set := standard.New(standard.Options{})
	t.Cleanup(func() { _ = set.Close() })
	listed := map[string]bool{"error": true}
	for _, f := range set.Functions() {
		if listed[f.Name] {
			t.Errorf("%s is listed twice", f.Name)
		}
		listed[f.Name] = true
		hostfunctest.CheckSchema(t, f)
	}
	files, err := schemas.Files.ReadDir("hostfuncs")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(file.Name(), ".json"); !listed[name] {
			t.Errorf("schema %s has no function", name)
		}
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	var got []string
	s := &hostfuncs.Session{Broker: &hostfunctest.Broker{Functions: []string{"log"}}, Log: func(l, m string) { got = append(got, l+" "+m) }}
	s.Opened(hostfunctest.Secret("s3cret-value"))
	set := standard.New(standard.Options{})
	t.Cleanup(func() { _ = set.Close() })
	var logf hostfuncs.Func
	for _, f := range set.Functions() {
		if f.Name == "log" {
			logf = f
		}
	}
	long := strings.Repeat("é", 5000)
	for request, want := range map[string][]string{
		`{"message":"a\nb\u001b[0m\n"}`:                              {"info a", "info b\x1b[0m"},
		`{"level":"error","message":"pass s3cret-value"}`:            {"error pass [redacted]"},
		`{"level":"warn","message":"` + long + `"}`:                  {"warn " + strings.Repeat("é", 4091) + "… [cut]"},
		`{"level":"fatal","message":"x"}`:                            nil,
		`{"level":"debug","message":"hex 7333637265742d76616c7565"}`: {"debug hex [redacted]"},
	} {
		got = nil
		answer := logf.Invoke(t.Context(), s, []byte(request))
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%.60s logged %.100q, want %.100q", request, got, want)
		}
		if want == nil && !strings.Contains(string(answer), `"bad_request"`) || want != nil && string(answer) != `{"ok":{}}` {
			t.Errorf("%.60s answered %s", request, answer)
		}
	}
}
