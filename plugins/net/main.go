// Command net is the built-in plugin net: probes of the network from the host's
// place in it. What a probe finds (a refused port, a name that does not exist)
// is its output; an error is a probe that could not be made.
package main

import (
	"strings"

	"opsconductor.dev/sdk/go/step"
)

func main() {}

// TCPInput is what net.tcp takes.
type TCPInput struct {
	Host     string  `json:"host"`
	Port     int     `json:"port"`
	TimeoutS float64 `json:"timeout_s,omitempty"`
}

// TCPOutput is what net.tcp gives.
type TCPOutput struct {
	Reachable bool     `json:"reachable"`
	LatencyMS float64  `json:"latency_ms"`
	Address   string   `json:"address"`
	Resolved  []string `json:"resolved"`
	Reason    string   `json:"reason"`
	Message   string   `json:"message"`
}

// TCP opens a connection and says whether that worked.
func TCP(c *step.Context, in TCPInput) (TCPOutput, error) {
	r, err := c.ProbeTCP(step.ProbeTCPRequest{Host: in.Host, Port: in.Port, TimeoutMS: step.Milliseconds(in.TimeoutS)})
	if err != nil {
		return TCPOutput{}, err
	}
	return TCPOutput{
		Reachable: r.Connected, LatencyMS: r.LatencyMS, Address: r.Address, Resolved: r.Resolved, Reason: r.Error, Message: r.Message,
	}, nil
}

// DNSInput is what net.dns takes.
type DNSInput struct {
	Name       string  `json:"name"`
	Type       string  `json:"type,omitempty"`
	Server     string  `json:"server,omitempty"`
	ServerPort int     `json:"server_port,omitempty"`
	TCP        bool    `json:"tcp,omitempty"`
	TimeoutS   float64 `json:"timeout_s,omitempty"`
}

// DNSOutput is what net.dns gives.
type DNSOutput struct {
	Found     bool     `json:"found"`
	Values    []string `json:"values"`
	Records   []Record `json:"records"`
	Rcode     string   `json:"rcode"`
	Server    string   `json:"server"`
	LatencyMS float64  `json:"latency_ms"`
	Truncated bool     `json:"truncated"`
	Reason    string   `json:"reason"`
	Message   string   `json:"message"`
}

// Record is one record of a DNS answer.
type Record struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	TTL   int    `json:"ttl"`
	Value string `json:"value"`
}

// DNS looks a name up. Values are the data of the records of the type that was
// asked for, without those that only lead there (a CNAME on the way to an A).
func DNS(c *step.Context, in DNSInput) (DNSOutput, error) {
	if in.Type == "" {
		in.Type = "A"
	}
	r, err := c.ProbeDNS(step.ProbeDNSRequest{
		Name: in.Name, Type: in.Type, Server: in.Server, ServerPort: in.ServerPort, TCP: in.TCP, TimeoutMS: step.Milliseconds(in.TimeoutS),
	})
	if err != nil {
		return DNSOutput{}, err
	}
	out := DNSOutput{
		Rcode: r.Rcode, Server: r.Server, LatencyMS: r.LatencyMS, Truncated: r.Truncated, Reason: r.Error, Message: r.Message,
	}
	for _, record := range r.Records {
		out.Records = append(out.Records, Record(record))
		if strings.EqualFold(record.Type, in.Type) {
			out.Values = append(out.Values, record.Value)
		}
	}
	out.Found = len(out.Values) > 0
	return out, nil
}
