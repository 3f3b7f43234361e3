package probe_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"opsconductor.dev/hostfuncs"
	"opsconductor.dev/hostfuncs/hostfunctest"
	"opsconductor.dev/hostfuncs/probe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call runs a probe and decodes its result; an error is returned as it is.
func call[R any](t *testing.T, o probe.Options, b *hostfunctest.Broker, name, request string) (R, *hostfuncs.Error) {
	t.Helper()
	b.Functions = []string{"probe_tcp", "probe_dns"}
	var env struct {
		OK    R
		Error *hostfuncs.Error
	}
	for _, f := range probe.Functions(o) {
		if f.Name == name {
			if err := json.Unmarshal(f.Invoke(t.Context(), &hostfuncs.Session{Broker: b}, []byte(request)), &env); err != nil {
				t.Fatal(err)
			}
		}
	}
	return env.OK, env.Error
}

// listen returns a port that accepts connections.
func listen(t *testing.T) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return int(netip.MustParseAddrPort(l.Addr().String()).Port())
}

// silent returns a port that answers no more connections: its queue is full.
func silent(t *testing.T) int {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := sa.(*syscall.SockaddrInet4).Port //nolint:forcetypeassert // bound above
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return port
}

func closed(t *testing.T) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return int(netip.MustParseAddrPort(l.Addr().String()).Port())
}

func TestTCP(t *testing.T) {
	t.Parallel()
	open, shut, mute := listen(t), closed(t), silent(t)
	own := hostfuncs.Target{Name: "web1", Address: "127.0.0.1", Port: open}
	o := probe.Options{Dialer: hostfuncs.Dialer{Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
		switch host {
		case "two.test":
			return []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")}, nil
		case "broken.test":
			return nil, &net.DNSError{Err: "server misbehaving", Name: host}
		}
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}}}
	for name, tc := range map[string]struct {
		request   string
		connected bool
		address   string
		resolved  []string
		kind      hostfuncs.DialKind
	}{
		"open":        {fmt.Sprintf(`{"host":"127.0.0.1","port":%d}`, open), true, fmt.Sprintf("127.0.0.1:%d", open), []string{"127.0.0.1"}, ""},
		"own target":  {`{}`, true, fmt.Sprintf("127.0.0.1:%d", open), []string{"127.0.0.1"}, ""},
		"refused":     {fmt.Sprintf(`{"host":"127.0.0.1","port":%d}`, shut), false, fmt.Sprintf("127.0.0.1:%d", shut), []string{"127.0.0.1"}, hostfuncs.Refused},
		"silent":      {fmt.Sprintf(`{"host":"127.0.0.1","port":%d,"timeout_ms":200}`, mute), false, fmt.Sprintf("127.0.0.1:%d", mute), []string{"127.0.0.1"}, hostfuncs.TimedOut},
		"second":      {fmt.Sprintf(`{"host":"two.test","port":%d}`, open), true, fmt.Sprintf("127.0.0.1:%d", open), []string{"127.0.0.2", "127.0.0.1"}, ""},
		"no name":     {`{"host":"none.test","port":1}`, false, "", []string{}, hostfuncs.NotFound},
		"broken name": {`{"host":"broken.test","port":1}`, false, "", []string{}, hostfuncs.ResolveFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := call[probe.TCPResult](t, o, &hostfunctest.Broker{Targets: map[string]hostfuncs.Target{"": own}}, "probe_tcp", tc.request)
			if err != nil {
				t.Fatal(err)
			}
			if (got.Message != "") != (tc.kind != "") {
				t.Errorf("message %q with kind %q", got.Message, tc.kind)
			}
			got.LatencyMS, got.Message = 0, ""
			want := probe.TCPResult{Connected: tc.connected, Address: tc.address, Resolved: tc.resolved, Error: tc.kind}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
	for name, request := range map[string]string{
		"no port": `{"host":"127.0.0.1"}`, "port": `{"host":"127.0.0.1","port":70000}`, "negative": `{"host":"127.0.0.1","port":-1}`,
		"timeout": `{"host":"127.0.0.1","port":1,"timeout_ms":300001}`, "host": `{"host":"a b","port":1}`, "url": `{"host":"http://x/","port":1}`,
	} {
		if _, err := call[probe.TCPResult](t, o, &hostfunctest.Broker{}, "probe_tcp", request); err == nil || err.Code != hostfuncs.BadRequest {
			t.Errorf("%s: %v, want bad_request", name, err)
		}
	}
}

// What may not be dialled is denied, and not dialled.
func TestForbidden(t *testing.T) {
	t.Parallel()
	var dials atomic.Int32
	o := probe.Options{Dialer: hostfuncs.Dialer{
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::ffff:169.254.169.254")}, nil
		},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			return nil, errors.New("dialled")
		},
	}}
	b := &hostfunctest.Broker{Forbid: func(a netip.Addr) bool { return a == netip.MustParseAddr("169.254.169.254") }}
	for name, request := range map[string]string{
		"probe_tcp": `{"host":"meta.test","port":80}`, "probe_dns": `{"name":"x.test","server":"meta.test"}`,
	} {
		if _, err := call[probe.TCPResult](t, o, b, name, request); err == nil || err.Code != hostfuncs.Denied {
			t.Errorf("%s: %v, want denied", name, err)
		}
	}
	if n := dials.Load(); n != 0 {
		t.Errorf("dialled %d times", n)
	}
}

// zone is what the test's name server knows.
func zone() map[string][]string {
	return map[string][]string{
		"web.test. A":                {"web.test. 60 IN A 10.0.0.1", "web.test. 60 IN A 10.0.0.2"},
		"web.test. AAAA":             {"web.test. 60 IN AAAA 2001:db8::1"},
		"www.test. A":                {"www.test. 5 IN CNAME web.test.", "web.test. 60 IN A 10.0.0.1"},
		"www.test. CNAME":            {"www.test. 5 IN CNAME web.test."},
		"test. MX":                   {"test. 60 IN MX 10 mail.test."},
		"test. TXT":                  {`test. 60 IN TXT "v=spf1 -all" "two; \"parts\""`},
		"test. NS":                   {"test. 60 IN NS ns1.test."},
		"test. SOA":                  {"test. 60 IN SOA ns1.test. admin.test. 1 2 3 4 5"},
		"_ssh._tcp.test. SRV":        {"_ssh._tcp.test. 60 IN SRV 1 2 22 web.test."},
		"test. CAA":                  {`test. 60 IN CAA 0 issue "ca.test"`},
		"1.0.0.10.in-addr.arpa. PTR": {"1.0.0.10.in-addr.arpa. 60 IN PTR web.test."},
		"test. TYPE65280":            {`test. 60 IN TYPE65280 \# 2 abcd`},
	}
}

// nameServer starts a name server over UDP and TCP and returns its port.
func nameServer(t *testing.T) int {
	t.Helper()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		name := strings.ToLower(q.Question[0].Name)
		key := name + " " + dns.Type(q.Question[0].Qtype).String()
		_, udp := w.LocalAddr().(*net.UDPAddr)
		switch {
		case name == "silent.test.":
			return
		case name == "broken.test.":
			m.Rcode = dns.RcodeServerFailure
		case name == "other.test.":
			m.Question[0].Name = "elsewhere.test."
		case name == "large.test." && udp:
			m.Truncated = true
		case name == "large.test.":
			for i := range 1500 {
				rr, _ := dns.NewRR(fmt.Sprintf("large.test. 1 IN A 10.1.%d.%d", i/250, i%250))
				m.Answer = append(m.Answer, rr)
			}
			m.Compress = true
		case zone()[key] == nil:
			m.Rcode = dns.RcodeNameError
		}
		for _, text := range zone()[key] {
			rr, err := dns.NewRR(text)
			if err != nil {
				t.Errorf("zone: %v", err)
			}
			m.Answer = append(m.Answer, rr)
		}
		_ = w.WriteMsg(m)
	})
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pc, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{Listener: l, Handler: handler}, {PacketConn: pc, Handler: handler}} {
		started, ended := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { defer close(ended); _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown(); <-ended })
	}
	return int(netip.MustParseAddrPort(l.Addr().String()).Port())
}

func TestDNS(t *testing.T) {
	t.Parallel()
	port := nameServer(t)
	shut := closed(t)
	rec := func(name, kind string, ttl uint32, value string) probe.Record {
		return probe.Record{Name: name, Type: kind, TTL: ttl, Value: value}
	}
	for name, tc := range map[string]struct {
		request string
		rcode   string
		records []probe.Record
		kind    hostfuncs.DialKind
	}{
		"A":        {`"name":"web.test"`, "NOERROR", []probe.Record{rec("web.test.", "A", 60, "10.0.0.1"), rec("web.test.", "A", 60, "10.0.0.2")}, ""},
		"AAAA":     {`"name":"web.test.","type":"aaaa"`, "NOERROR", []probe.Record{rec("web.test.", "AAAA", 60, "2001:db8::1")}, ""},
		"by CNAME": {`"name":"www.test"`, "NOERROR", []probe.Record{rec("www.test.", "CNAME", 5, "web.test."), rec("web.test.", "A", 60, "10.0.0.1")}, ""},
		"CNAME":    {`"name":"www.test","type":"CNAME"`, "NOERROR", []probe.Record{rec("www.test.", "CNAME", 5, "web.test.")}, ""},
		"MX":       {`"name":"test","type":"MX"`, "NOERROR", []probe.Record{rec("test.", "MX", 60, "10 mail.test.")}, ""},
		"TXT":      {`"name":"test","type":"TXT"`, "NOERROR", []probe.Record{rec("test.", "TXT", 60, `"v=spf1 -all" "two; \"parts\""`)}, ""},
		"NS":       {`"name":"test","type":"NS"`, "NOERROR", []probe.Record{rec("test.", "NS", 60, "ns1.test.")}, ""},
		"SOA":      {`"name":"test","type":"SOA"`, "NOERROR", []probe.Record{rec("test.", "SOA", 60, "ns1.test. admin.test. 1 2 3 4 5")}, ""},
		"SRV":      {`"name":"_ssh._tcp.test","type":"SRV"`, "NOERROR", []probe.Record{rec("_ssh._tcp.test.", "SRV", 60, "1 2 22 web.test.")}, ""},
		"CAA":      {`"name":"test","type":"CAA"`, "NOERROR", []probe.Record{rec("test.", "CAA", 60, `0 issue "ca.test"`)}, ""},
		"PTR":      {`"name":"10.0.0.1","type":"PTR"`, "NOERROR", []probe.Record{rec("1.0.0.10.in-addr.arpa.", "PTR", 60, "web.test.")}, ""},
		"unknown":  {`"name":"test","type":"TYPE65280"`, "NOERROR", []probe.Record{rec("test.", "TYPE65280", 60, `\# 2 abcd`)}, ""},
		"by TCP":   {`"name":"web.test","type":"AAAA","tcp":true`, "NOERROR", []probe.Record{rec("web.test.", "AAAA", 60, "2001:db8::1")}, ""},
		"NXDOMAIN": {`"name":"nobody.test"`, "NXDOMAIN", []probe.Record{}, ""},
		"SERVFAIL": {`"name":"broken.test"`, "SERVFAIL", []probe.Record{}, ""},
		"silent":   {`"name":"silent.test","timeout_ms":200`, "", []probe.Record{}, hostfuncs.TimedOut},
		"not ours": {`"name":"other.test","timeout_ms":200`, "", []probe.Record{}, hostfuncs.TimedOut},
		"its TCP":  {`"name":"other.test","tcp":true`, "", []probe.Record{}, "bad_answer"},
		"refused":  {`"name":"web.test","tcp":true,"server_port":` + fmt.Sprint(shut), "", []probe.Record{}, hostfuncs.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := `{"server":"127.0.0.1",` + tc.request + `}`
			if !strings.Contains(request, "server_port") {
				request = fmt.Sprintf(`{"server_port":%d,`, port) + request[1:]
			}
			got, err := call[probe.DNSResult](t, probe.Options{}, &hostfunctest.Broker{}, "probe_dns", request)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(got.Server, "127.0.0.1:") || (got.Message != "") != (tc.kind != "") {
				t.Errorf("server %q, message %q with kind %q", got.Server, got.Message, tc.kind)
			}
			got.Server, got.LatencyMS, got.Message = "", 0, ""
			if diff := cmp.Diff(probe.DNSResult{Rcode: tc.rcode, Records: tc.records, Error: tc.kind}, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDNSLarge(t *testing.T) {
	t.Parallel()
	request := fmt.Sprintf(`{"name":"large.test","server":"127.0.0.1","server_port":%d}`, nameServer(t))
	got, err := call[probe.DNSResult](t, probe.Options{}, &hostfunctest.Broker{}, "probe_dns", request)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Records) != 1000 || !got.Truncated || got.Rcode != "NOERROR" {
		t.Errorf("%d records, truncated %t, %s; want 1000, true, NOERROR", len(got.Records), got.Truncated, got.Rcode)
	}
}

// The host's own resolvers are asked in turn.
func TestDNSOwnResolver(t *testing.T) {
	t.Parallel()
	port := nameServer(t)
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver 127.0.0.9\nnameserver 127.0.0.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := probe.Options{ResolvConf: conf, Dialer: hostfuncs.Dialer{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, strings.Replace(address, ":53", fmt.Sprintf(":%d", port), 1))
	}}}
	got, err := call[probe.DNSResult](t, o, &hostfunctest.Broker{}, "probe_dns", `{"name":"web.test"}`)
	if err != nil || got.Server != "127.0.0.1:53" || len(got.Records) != 2 {
		t.Errorf("%+v %v, want two records by the second server", got, err)
	}
	o.ResolvConf = filepath.Join(t.TempDir(), "none")
	if got, err := call[probe.DNSResult](t, o, &hostfunctest.Broker{}, "probe_dns", `{"name":"web.test"}`); err != nil || got.Error != hostfuncs.ResolveFailed {
		t.Errorf("without a resolver: %+v %v", got, err)
	}
}

func TestDNSBadRequest(t *testing.T) {
	t.Parallel()
	for _, request := range []string{
		`{"name":""}`, `{}`, `{"name":"a b"}`, `{"name":"x","type":"NOPE"}`, `{"name":"x","type":"AXFR"}`, `{"name":"x","type":"OPT"}`, `{"name":"x","type":"TYPE0"}`,
		`{"name":"x","type":"TYPE252"}`, `{"name":"x","server_port":53}`, `{"name":"x","server":"a/b"}`, `{"name":"` + strings.Repeat("a.", 200) + `"}`, `{"name":"x","timeout_ms":-1}`,
	} {
		if _, err := call[probe.DNSResult](t, probe.Options{}, &hostfunctest.Broker{}, "probe_dns", request); err == nil || err.Code != hostfuncs.BadRequest {
			t.Errorf("%.60s: %v, want bad_request", request, err)
		}
	}
}
