package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"opsconductor.dev/hostfuncs"
)

// DNSRequest is the request of probe_dns (schemas/hostfuncs/probe_dns.json).
type DNSRequest struct {
	Name       string `json:"name"`
	Type       string `json:"type,omitempty"`
	Server     string `json:"server,omitempty"`
	ServerPort int    `json:"server_port,omitempty"`
	TimeoutMS  int64  `json:"timeout_ms,omitempty"`
	TCP        bool   `json:"tcp,omitempty"`
}

// DNSResult is the result of probe_dns.
type DNSResult struct {
	Rcode     string             `json:"rcode"`
	Records   []Record           `json:"records"`
	Server    string             `json:"server"`
	LatencyMS float64            `json:"latency_ms"`
	Truncated bool               `json:"truncated"`
	Error     hostfuncs.DialKind `json:"error,omitempty"`
	Message   string             `json:"message,omitempty"`
}

// Record is one resource record.
type Record struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	TTL   uint32 `json:"ttl"`
	Value string `json:"value"`
}

// badAnswer is the kind of an answer that is no DNS, or not to the question.
const badAnswer hostfuncs.DialKind = "bad_answer"

// maxRecords is how many records are returned.
const maxRecords = 1000

// dns is the host function probe_dns.
func (p prober) dns(ctx context.Context, s *hostfuncs.Session, req DNSRequest) (DNSResult, error) {
	const name = "probe_dns"
	q, err := question(req)
	if err != nil {
		return DNSResult{}, err
	}
	own, cancel := window(ctx, req.TimeoutMS)
	defer cancel()
	r := DNSResult{Records: []Record{}}
	servers, err := p.servers(own, s, req)
	if err == nil {
		hostfuncs.Note(ctx, servers[0].String(), "")
		err = p.ask(own, servers, q, req.TCP, &r)
		r.cap(s.MaxOutput)
	}
	if over(ctx) && r.Rcode == "" {
		return DNSResult{}, hostfuncs.Ended(ctx, hostfuncs.Before, "%s", name)
	}
	var de *hostfuncs.DialError
	if errors.As(err, &de) {
		r.Error, r.Message = de.Kind, de.Error()
		return r, nil
	}
	return r, err
}

// question checks the request and returns what to send.
func question(req DNSRequest) (*dns.Msg, error) {
	const name = "probe_dns"
	if err := checkTimeout(name, req.TimeoutMS); err != nil {
		return nil, err
	}
	if err := checkHost(name, "server", req.Server); err != nil {
		return nil, err
	}
	if req.ServerPort < 0 || req.ServerPort > 65535 || req.Server == "" && req.ServerPort != 0 {
		return nil, badRequest("%s: server_port is not between 1 and 65535, or there is no server", name)
	}
	kind, ok := typeOf(req.Type)
	if !ok {
		return nil, badRequest("%s: type is no record type that can be asked for (A, AAAA, CNAME, MX, TXT, NS, SOA, SRV, PTR, CAA, …)", name)
	}
	asked := req.Name
	if addr, err := netip.ParseAddr(asked); err == nil && kind == dns.TypePTR {
		asked, _ = dns.ReverseAddr(addr.WithZone("").String())
	}
	if _, ok := dns.IsDomainName(asked); !ok || asked == "" || strings.ContainsAny(asked, "\x00 \t\r\n") {
		return nil, badRequest("%s: name is no domain name", name)
	}
	q := new(dns.Msg).SetQuestion(dns.Fqdn(asked), kind)
	q.SetEdns0(1232, false) // fits every link (DNS flag day 2020)
	return q, nil
}

// typeOf reads a record type's name. Zone transfers and the meta types that are
// no question (OPT, TSIG, TKEY) are not among them.
func typeOf(text string) (uint16, bool) {
	text = strings.ToUpper(text)
	if text == "" {
		return dns.TypeA, true
	}
	kind, ok := dns.StringToType[text]
	if number, found := strings.CutPrefix(text, "TYPE"); !ok && found {
		n, err := strconv.ParseUint(number, 10, 16)
		kind, ok = uint16(n), err == nil && n > 0
	}
	switch kind {
	case dns.TypeNone, dns.TypeAXFR, dns.TypeIXFR, dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY:
		return 0, false
	}
	return kind, ok
}

// servers returns the name servers to ask, in order. The host's own resolvers are
// what every name is resolved by anyway, so only a server that the request names
// is checked.
func (p prober) servers(ctx context.Context, s *hostfuncs.Session, req DNSRequest) ([]netip.AddrPort, error) {
	if req.Server == "" {
		return p.ownServers()
	}
	addrs, err := p.opt.Dialer.Resolve(ctx, req.Server, s.Check("probe_dns", req.Server))
	if err != nil {
		return nil, err
	}
	port := req.ServerPort
	if port == 0 {
		port = 53
	}
	out := make([]netip.AddrPort, len(addrs))
	for i, a := range addrs {
		out[i] = netip.AddrPortFrom(a, uint16(port)) //nolint:gosec // question has checked it
	}
	return out, nil
}

func (p prober) ownServers() ([]netip.AddrPort, error) {
	none := &hostfuncs.DialError{Kind: hostfuncs.ResolveFailed, Err: errors.New("the host has no name server of its own in " + p.opt.ResolvConf + "; name one as server")}
	conf, err := dns.ClientConfigFromFile(p.opt.ResolvConf)
	if err != nil {
		return nil, none
	}
	var out []netip.AddrPort
	for _, server := range conf.Servers {
		if at, err := netip.ParseAddrPort(net.JoinHostPort(server, conf.Port)); err == nil {
			out = append(out, at)
		}
	}
	if len(out) == 0 {
		return nil, none
	}
	return out, nil
}

// ask asks the servers in turn until one answers, and fills the result.
func (p prober) ask(ctx context.Context, servers []netip.AddrPort, q *dns.Msg, tcp bool, r *DNSResult) error {
	var last error
	for i, server := range servers {
		part, cancel := share(ctx, len(servers)-i)
		start := time.Now()
		answer, err := p.exchange(part, server, q, tcp)
		cancel()
		r.Server, r.LatencyMS = server.String(), latency(start)
		if err == nil {
			r.fill(answer)
			return nil
		}
		last = err
		if ctx.Err() != nil {
			break
		}
	}
	return last
}

// share gives a fair part of the time that is left.
func share(ctx context.Context, left int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || left < 2 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, time.Until(deadline)/time.Duration(left), errors.New("the name server's part of the time is over"))
}

// exchange asks one server: over UDP, and over TCP when the answer was cut.
func (p prober) exchange(ctx context.Context, server netip.AddrPort, q *dns.Msg, tcp bool) (*dns.Msg, error) {
	if !tcp {
		answer, err := p.roundTrip(ctx, "udp", server, q)
		if err != nil || !answer.Truncated {
			return answer, err
		}
	}
	return p.roundTrip(ctx, "tcp", server, q)
}

func (p prober) roundTrip(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	conn, _, err := p.opt.Dialer.Connect(ctx, network, []netip.Addr{server.Addr()}, int(server.Port()))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	c := &dns.Conn{Conn: conn, UDPSize: dns.MaxMsgSize}
	ask := q.Copy()
	ask.Id = dns.Id()
	if err := c.WriteMsg(ask); err != nil {
		return nil, failed(ctx, err)
	}
	for {
		answer, err := c.ReadMsg()
		switch {
		case err != nil:
			return nil, failed(ctx, err)
		case answersTo(answer, ask):
			return answer, nil
		case network == "tcp":
			return nil, &hostfuncs.DialError{Kind: badAnswer, Err: errors.New("the server's answer does not belong to the question")}
		}
		// Over UDP anybody can send: an answer to another question is not ours.
	}
}

// answersTo reports whether an answer belongs to a question.
func answersTo(answer, q *dns.Msg) bool {
	if !answer.Response || answer.Id != q.Id || len(answer.Question) > 1 {
		return false
	}
	if len(answer.Question) == 0 { // a server that did not even read the question
		return answer.Rcode != dns.RcodeSuccess
	}
	a, b := answer.Question[0], q.Question[0]
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}

func failed(ctx context.Context, err error) *hostfuncs.DialError {
	kind := hostfuncs.Classify(err, badAnswer)
	if ctx.Err() != nil {
		kind, err = hostfuncs.TimedOut, context.Cause(ctx)
	}
	return &hostfuncs.DialError{Kind: kind, Err: err}
}

// cap leaves out the records that do not fit into a number of bytes; 0: all fit.
func (r *DNSResult) cap(most int) {
	size := 0
	for i, rec := range r.Records {
		if size += len(rec.Name) + len(rec.Value); most > 0 && size > most {
			r.Records, r.Truncated = r.Records[:i], true
			return
		}
	}
}

// fill takes over what the answer says.
func (r *DNSResult) fill(answer *dns.Msg) {
	r.Rcode = dns.RcodeToString[answer.Rcode]
	if r.Rcode == "" {
		r.Rcode = "RCODE" + strconv.Itoa(answer.Rcode)
	}
	r.Truncated = answer.Truncated
	for _, rr := range answer.Answer {
		if len(r.Records) == maxRecords {
			r.Truncated = true
			break
		}
		h := rr.Header()
		r.Records = append(r.Records, Record{
			Name: h.Name, Type: dns.Type(h.Rrtype).String(), TTL: h.Ttl,
			Value: data(rr),
		})
	}
}

// data returns a record's data in presentation form; that of a type without one
// is written as RFC 3597 section 5 has it.
func data(rr dns.RR) string {
	if u, ok := rr.(*dns.RFC3597); ok {
		return `\# ` + strconv.Itoa(len(u.Rdata)/2) + " " + u.Rdata
	}
	return strings.TrimPrefix(rr.String(), rr.Header().String())
}
