package main

import (
	"math"
	"strconv"
	"strings"

	"opsconductor.dev/sdk/go/step"
)

// mark begins the first line of a section.
const mark = "@@opsconductor "

// FactsInput is what linux.facts takes.
type FactsInput struct {
	TimeoutS float64 `json:"timeout_s,omitempty"`
}

// FactsOutput is what linux.facts gives. What a target does not tell is "" or 0.
type FactsOutput struct {
	Hostname string    `json:"hostname"`
	OS       OS        `json:"os"`
	Kernel   Kernel    `json:"kernel"`
	UptimeS  float64   `json:"uptime_s"`
	CPUs     int       `json:"cpus"`
	Load     []float64 `json:"load"`
	Memory   Memory    `json:"memory"`
	Disks    []Disk    `json:"disks"`
}

// OS is the distribution, from os-release(5).
type OS struct {
	ID         string `json:"id"`
	Like       string `json:"like"`
	Name       string `json:"name"`
	Version    string `json:"version"`
	PrettyName string `json:"pretty_name"`
}

// Kernel is what uname(1) says.
type Kernel struct {
	Name    string `json:"name"`
	Release string `json:"release"`
	Arch    string `json:"arch"`
}

// Memory is from /proc/meminfo, in bytes.
type Memory struct {
	TotalBytes     int `json:"total_bytes"`
	AvailableBytes int `json:"available_bytes"`
	SwapTotalBytes int `json:"swap_total_bytes"`
	SwapFreeBytes  int `json:"swap_free_bytes"`
}

// Disk is a mounted file system, from df(1), sizes in bytes.
type Disk struct {
	Source         string `json:"source"`
	Mount          string `json:"mount"`
	SizeBytes      int    `json:"size_bytes"`
	UsedBytes      int    `json:"used_bytes"`
	AvailableBytes int    `json:"available_bytes"`
	UsedPct        int    `json:"used_pct"`
}

// Facts asks a target what it is. It changes nothing there.
func Facts(c *step.Context, in FactsInput) (FactsOutput, error) {
	r, err := c.SSHExec(step.SSHExecRequest{Script: factsScript, TimeoutMS: step.Milliseconds(in.TimeoutS)})
	if err != nil {
		return FactsOutput{}, err
	}
	if r.StdoutTruncated {
		e := step.Failf("output_limit", "not all of the target's answer came: the connection was lost in between, or it is longer than what the host keeps of an output")
		e.Phase, e.Retryable = step.After, r.OutputCut
		return FactsOutput{}, e
	}
	text := r.Stdout
	if len(r.StdoutBase64) > 0 {
		text = strings.ToValidUTF8(string(r.StdoutBase64), "\uFFFD")
	}
	sections := split(text)
	if len(sections) == 0 {
		e := step.Failf("no_posix_shell", "the target's answer is not that of a POSIX shell%s", tail(r))
		e.Phase = step.After
		return FactsOutput{}, e
	}
	return FactsOutput{
		Hostname: first(sections["hostname"]),
		OS:       parseOS(sections["os-release"]),
		Kernel:   parseKernel(sections["uname"]),
		UptimeS:  max(0, number(first(strings.Fields(first(sections["uptime"]))))),
		CPUs:     max(0, whole(first(sections["cpus"]))),
		Load:     parseLoad(first(sections["loadavg"])),
		Memory:   parseMemory(sections["meminfo"]),
		Disks:    parseDisks(sections["df"]),
	}, nil
}

// split returns the lines of each section. Lines before the first mark (a banner
// of the target's shell) belong to none.
func split(text string) map[string][]string {
	sections := map[string][]string{}
	name, inside := "", false
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if after, ok := strings.CutPrefix(line, mark); ok {
			name, inside = after, true
			sections[name] = nil
			continue
		}
		if inside && line != "" {
			sections[name] = append(sections[name], line)
		}
	}
	return sections
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.TrimSpace(lines[0])
}

func parseOS(lines []string) OS {
	values := map[string]string{}
	for _, line := range lines {
		key, value, ok := strings.Cut(line, "=")
		if ok {
			values[strings.TrimSpace(key)] = unquote(strings.TrimSpace(value))
		}
	}
	return OS{
		ID: values["ID"], Like: values["ID_LIKE"], Name: values["NAME"], Version: values["VERSION_ID"], PrettyName: values["PRETTY_NAME"],
	}
}

// unquote takes the shell quotes off a value of os-release.
func unquote(s string) string {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '"' && s[0] != '\'' {
		return s
	}
	inner := s[1 : len(s)-1]
	if s[0] == '\'' {
		return inner
	}
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		if inner[i] == '\\' && i+1 < len(inner) && strings.IndexByte("\"\\$`", inner[i+1]) >= 0 {
			i++
		}
		b.WriteByte(inner[i])
	}
	return b.String()
}

func parseKernel(lines []string) Kernel {
	at := func(i int) string {
		if i >= len(lines) {
			return ""
		}
		return strings.TrimSpace(lines[i])
	}
	return Kernel{Name: at(0), Release: at(1), Arch: at(2)}
}

func parseLoad(line string) []float64 {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return nil
	}
	return []float64{number(fields[0]), number(fields[1]), number(fields[2])}
}

func parseMemory(lines []string) Memory {
	values := map[string]int{}
	for _, line := range lines {
		key, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		values[key] = kib(first(fields))
	}
	available, ok := values["MemAvailable"]
	if !ok { // kernels before 3.14
		available = values["MemFree"] + values["Buffers"] + values["Cached"]
	}
	return Memory{
		TotalBytes: values["MemTotal"], AvailableBytes: available,
		SwapTotalBytes: values["SwapTotal"], SwapFreeBytes: values["SwapFree"],
	}
}

// kib returns a number of KiB in bytes; 0 for what is no such number.
func kib(s string) int {
	n := whole(s)
	if n < 0 || n > math.MaxInt/1024 {
		return 0
	}
	return n * 1024
}

func whole(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

func number(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}
