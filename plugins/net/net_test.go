package main_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	net "opsconductor.dev/plugins/net"
	"opsconductor.dev/sdk/go/step"
	"opsconductor.dev/sdk/go/steptest"
)

func TestManifest(t *testing.T) {
	t.Parallel()
	steptest.Manifest(t, ".", steptest.Actions{"tcp": net.TCP, "dns": net.DNS})
}

func TestTCP(t *testing.T) {
	t.Parallel()
	var asked step.ProbeTCPRequest
	result := step.ProbeTCPResult{Connected: true, Address: "192.0.2.1:22", Resolved: []string{"192.0.2.1"}, LatencyMS: 1.5}
	h := steptest.New(t).ProbeTCP(func(r step.ProbeTCPRequest) (step.ProbeTCPResult, error) {
		asked = r
		return result, nil
	})
	got, failed := steptest.Call(h, net.TCP, net.TCPInput{Host: "example.test", Port: 22, TimeoutS: 0.0001})
	want := net.TCPOutput{Reachable: true, LatencyMS: 1.5, Address: "192.0.2.1:22", Resolved: []string{"192.0.2.1"}}
	if failed != nil || !cmp.Equal(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, failed, want)
	}
	if want := (step.ProbeTCPRequest{Host: "example.test", Port: 22, TimeoutMS: 1}); asked != want {
		t.Errorf("asked for %+v, want %+v: a limit that is given must not become none", asked, want)
	}
}

func TestTCPNotReachableIsAResult(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"refused", "timeout", "unreachable", "reset", "not_found", "resolve_failed"} {
		h := steptest.New(t).ProbeTCP(func(step.ProbeTCPRequest) (step.ProbeTCPResult, error) {
			return step.ProbeTCPResult{Error: reason, Message: "in words"}, nil
		})
		got, failed := steptest.Call(h, net.TCP, net.TCPInput{Host: "h", Port: 1})
		want := net.TCPOutput{Reason: reason, Message: "in words", Resolved: []string{}}
		if failed != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: got %+v, %v; want %+v", reason, got, failed, want)
		}
	}
}

func TestErrorsOfTheHostArePassedOn(t *testing.T) {
	t.Parallel()
	want := &step.Error{Code: step.Throttled, Message: "too many probes", Retryable: true, Phase: step.Before}
	h := steptest.New(t).
		ProbeTCP(func(step.ProbeTCPRequest) (step.ProbeTCPResult, error) { return step.ProbeTCPResult{}, want }).
		ProbeDNS(func(step.ProbeDNSRequest) (step.ProbeDNSResult, error) { return step.ProbeDNSResult{}, want })
	if _, got := steptest.Call(h, net.TCP, net.TCPInput{Host: "h", Port: 1}); !cmp.Equal(got, want) {
		t.Errorf("tcp: got %+v, want %+v", got, want)
	}
	if _, got := steptest.Call(h, net.DNS, net.DNSInput{Name: "n"}); !cmp.Equal(got, want) {
		t.Errorf("dns: got %+v, want %+v", got, want)
	}
}

func TestDNS(t *testing.T) {
	t.Parallel()
	var asked step.ProbeDNSRequest
	h := steptest.New(t).ProbeDNS(func(r step.ProbeDNSRequest) (step.ProbeDNSResult, error) {
		asked = r
		return step.ProbeDNSResult{Rcode: "NOERROR", Server: "192.0.2.53:53", LatencyMS: 2, Records: []step.ProbeDNSRecord{
			{Name: "www.example.test.", Type: "CNAME", TTL: 60, Value: "a.example.test."},
			{Name: "a.example.test.", Type: "A", TTL: 30, Value: "192.0.2.7"},
		}}, nil
	})
	got, failed := steptest.Call(h, net.DNS, net.DNSInput{Name: "www.example.test", TimeoutS: 2})
	want := net.DNSOutput{
		Found: true, Values: []string{"192.0.2.7"}, Rcode: "NOERROR", Server: "192.0.2.53:53", LatencyMS: 2,
		Records: []net.Record{
			{Name: "www.example.test.", Type: "CNAME", TTL: 60, Value: "a.example.test."},
			{Name: "a.example.test.", Type: "A", TTL: 30, Value: "192.0.2.7"},
		},
	}
	if d := cmp.Diff(want, got); failed != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", failed, d)
	}
	if want := (step.ProbeDNSRequest{Name: "www.example.test", Type: "A", TimeoutMS: 2000}); asked != want {
		t.Errorf("asked for %+v, want %+v", asked, want)
	}
}

func TestDNSWithoutAnAnswerIsAResult(t *testing.T) {
	t.Parallel()
	for _, result := range []step.ProbeDNSResult{
		{Rcode: "NXDOMAIN", Server: "192.0.2.53:53"},
		{Rcode: "SERVFAIL", Server: "192.0.2.53:53"},
		{Error: "timeout", Message: "no answer"},
		{Rcode: "NOERROR", Records: []step.ProbeDNSRecord{{Name: "n.", Type: "CNAME", Value: "m."}}},
	} {
		h := steptest.New(t).ProbeDNS(func(step.ProbeDNSRequest) (step.ProbeDNSResult, error) { return result, nil })
		got, failed := steptest.Call(h, net.DNS, net.DNSInput{Name: "n", Type: "a"})
		if failed != nil || got.Found || len(got.Values) != 0 || got.Reason != result.Error || got.Rcode != result.Rcode {
			t.Errorf("%+v: got %+v, %v", result, got, failed)
		}
	}
}
