package interop_test

import (
	"strings"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/ssh"
	"opsconductor.dev/hostfuncs/ssh/sshtest"
)

// refusal is what has to come of a server that misbehaves.
type refusal struct {
	name  string
	conf  sshtest.FakeConfig
	code  hostfuncs.Code
	phase hostfuncs.Phase
	words []string
}

// hostile are servers that stall, close, flood or lie at each phase.
func hostile() []row {
	before, after := hostfuncs.Before, hostfuncs.After
	key := sshtest.NewKey()
	list := []refusal{
		{"stalls before its banner", sshtest.FakeConfig{Stall: sshtest.Banner}, hostfuncs.Timeout, before, []string{"fell silent, waiting for the banner for 1s"}},
		{"stalls at the key exchange", sshtest.FakeConfig{Stall: sshtest.Kex}, hostfuncs.Timeout, before, []string{"fell silent, exchanging keys for 1s"}},
		{"stalls at authentication", sshtest.FakeConfig{Stall: sshtest.Auth}, hostfuncs.Timeout, before, []string{"fell silent, authenticating for 1s"}},
		{"stalls at opening a session", sshtest.FakeConfig{Stall: sshtest.Channel}, hostfuncs.Timeout, before, []string{"no answer to opening a session within 1s"}},
		{"stalls at starting the command", sshtest.FakeConfig{Stall: sshtest.Exec}, hostfuncs.Timeout, after, []string{"no answer to the request to run the command within 2s", "whether the command ran is not known"}},
		{"stalls while the command runs", sshtest.FakeConfig{Stall: sshtest.Running}, hostfuncs.Timeout, after, []string{"not known"}},
		{"closes before its banner", sshtest.FakeConfig{Close: sshtest.Banner}, hostfuncs.Throttled, before, []string{"before its banner", "MaxStartups"}},
		{"closes at the key exchange", sshtest.FakeConfig{Close: sshtest.Kex}, hostfuncs.Lost, before, []string{"closed the connection while exchanging keys"}},
		{"closes at authentication", sshtest.FakeConfig{Close: sshtest.Auth}, hostfuncs.Lost, before, []string{"closed the connection while authenticating"}},
		{"closes at opening a session", sshtest.FakeConfig{Close: sshtest.Channel}, hostfuncs.Lost, before, []string{"on several connections, each of which it closed"}},
		{"closes at starting the command", sshtest.FakeConfig{Close: sshtest.Exec}, hostfuncs.Lost, after, []string{"did not answer the request to run the command"}},
		{"closes while the command runs", sshtest.FakeConfig{Close: sshtest.Running}, hostfuncs.Lost, after, []string{"the connection was lost", "whether it goes on there is not known"}},
		{"floods the banner", sshtest.FakeConfig{Greeting: strings.Repeat("x", 1<<20)}, hostfuncs.Protocol, before, []string{"does not speak SSH"}},
		{"floods lines before the banner", sshtest.FakeConfig{Greeting: strings.Repeat("hello\r\n", 1<<16)}, hostfuncs.Protocol, before, []string{"does not speak SSH"}},
		{"floods the output", sshtest.FakeConfig{Flood: true}, hostfuncs.OutputLimit, after, []string{"wrote more than", "not known"}},
		{"is a web server", sshtest.FakeConfig{Greeting: "HTTP/1.1 400 Bad Request\r\n\r\n"}, hostfuncs.Timeout, before, []string{"fell silent"}},
		{"speaks SSH 1", sshtest.FakeConfig{Greeting: "SSH-1.5-old\r\n"}, hostfuncs.Protocol, before, []string{"does not speak SSH 2"}},
		{"has an old cipher alone", sshtest.FakeConfig{Crypto: xssh.Config{Ciphers: []string{"aes128-cbc"}}}, hostfuncs.AlgorithmMismatch, before, []string{"it offers aes128-cbc"}},
		{"refuses sessions", sshtest.FakeConfig{RefuseSessions: true}, hostfuncs.Protocol, before, []string{"refuses every session"}},
		{"takes no password", sshtest.FakeConfig{Keys: true}, hostfuncs.AuthFailed, before, []string{"tried nothing that it takes", "offers publickey"}},
		{"has another password", sshtest.FakeConfig{Password: "another"}, hostfuncs.AuthFailed, before, []string{"tried password", "tester"}},
		{"asks by a visible prompt", sshtest.FakeConfig{Interactive: []string{"Name: "}, Visible: true}, hostfuncs.AuthFailed, before, []string{"offers keyboard-interactive"}},
	}
	var rows []row
	for _, r := range list {
		rows = append(rows, row{"a server that " + r.name, r.run})
	}
	return append(rows,
		row{"a server that lies about its host key", func(t *testing.T) { impostor(t, sshtest.FakeConfig{}) }},
		row{"a server that lies about its host key and floods", func(t *testing.T) { impostor(t, sshtest.FakeConfig{Flood: true}) }},
		row{"a server that announces a key it has not", func(t *testing.T) { announces(t, key) }},
		row{"a server that never says how a command ended", noExit},
		row{"a server that drops the first three connections", func(t *testing.T) {
			f := fake(t, sshtest.FakeConfig{Drop: 3})
			echo(t, pool(t, patient()), f.Endpoint("fake1"), "at last")
			if n := f.Accepted(); n != 4 {
				t.Errorf("%d connections, want 4", n)
			}
		}},
	)
}

func (r refusal) run(t *testing.T) {
	f := fake(t, r.conf)
	c := ssh.Command{Argv: []string{"true"}, MaxOutput: 100}
	if r.conf.Stall == sshtest.Running { // all other phases have deadlines of their own
		c.Timeout = time.Second
	}
	began := time.Now()
	_, err := pool(t, hasty()).Exec(t.Context(), f.Endpoint("fake1"), c)
	sshtest.WantError(t, err, r.code, r.phase, append(r.words, "fake1")...)
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	if err != nil && strings.Contains(err.Error(), sshtest.Password) {
		t.Errorf("the error has the password: %v", err)
	}
}

// impostor has another host key than the pinned one: it is sent nothing.
func impostor(t *testing.T, conf sshtest.FakeConfig) {
	t.Helper()
	f := fake(t, conf)
	e := f.Endpoint("fake1")
	e.HostKeys = []string{public(t, sshtest.NewKey())}
	wantError(t, pool(t, hasty()), e, hostfuncs.HostKeyMismatch, hostfuncs.Before, "no credential was sent", "fake1")
	if n := len(f.Passwords()); n > 0 {
		t.Errorf("%d passwords were sent", n)
	}
	if n := f.Execs(); n > 0 {
		t.Errorf("%d commands were sent", n)
	}
}

// announces: a key that the server cannot prove to have is not learned.
func announces(t *testing.T, key string) {
	t.Helper()
	k, _, _, _, err := xssh.ParseAuthorizedKey([]byte(public(t, key)))
	if err != nil {
		t.Fatal(err)
	}
	f := fake(t, sshtest.FakeConfig{Announce: xssh.Marshal(struct{ K []byte }{k.Marshal()})})
	s := &store{}
	e := f.Endpoint("fake1")
	e.Trust.Rotate, e.Learn = true, s.learn
	p := pool(t, patient())
	echo(t, p, e, "hello")
	eventually(t, "the server was asked for proof", func() bool { return f.Proofs() == 1 })
	_ = p.Close()
	if got := s.get(); len(got) > 0 {
		t.Errorf("learned %q", got)
	}
}

// noExit: neither exit code nor signal, and no error.
func noExit(t *testing.T) {
	r, err := pool(t, hasty()).Exec(t.Context(), fake(t, sshtest.FakeConfig{NoExit: true}).Endpoint("fake1"), ssh.Command{Argv: []string{"echo", "hello"}})
	if err != nil || r.ExitCode != nil || r.Signal != "" || string(r.Stdout.Bytes) != "hello\n" {
		t.Errorf("exit code %v, signal %q, stdout %q, %v; want hello, and no word of how it ended", r.ExitCode, r.Signal, r.Stdout.Bytes, err)
	}
}
