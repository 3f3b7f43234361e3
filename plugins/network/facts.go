package main

import (
	"strconv"
	"strings"

	"opsconductor.dev/sdk/go/step"
)

// FactsInput is what network.facts takes.
type FactsInput struct {
	Platform        string  `json:"platform"`
	Prompt          string  `json:"prompt,omitempty"`
	CommandTimeoutS float64 `json:"command_timeout_s,omitempty"`
}

// FactsOutput is what network.facts gives. What show version does not tell is null.
type FactsOutput struct {
	Platform string  `json:"platform"`
	Hostname *string `json:"hostname"`
	Model    *string `json:"model"`
	Version  *string `json:"version"`
	Serial   *string `json:"serial"`
	UptimeS  *int    `json:"uptime_s"`
}

// Facts asks a device what it is, by show version alone.
func Facts(c *step.Context, in FactsInput) (FactsOutput, error) {
	out, err := Show(c, ShowInput{Platform: in.Platform, Commands: []string{showVersion}, Prompt: in.Prompt, CommandTimeoutS: in.CommandTimeoutS})
	if err != nil {
		return FactsOutput{}, err
	}
	f := parse(in.Platform, out.Answers[0].Output)
	if f == (FactsOutput{}) {
		return FactsOutput{}, failed("not_understood", strconv.Quote(showVersion)+": the answer is not that of platform "+in.Platform+"; check the platform"+shortened(out.Answers[0].Output))
	}
	f.Platform = in.Platform
	return f, nil
}

const showVersion = "show version"

// parse reads the answer to show version of a platform.
func parse(platform, text string) FactsOutput {
	f := FactsOutput{}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		switch platform {
		case "ios":
			f.ios(line)
		case "iosxr":
			f.iosxr(line)
		case "nxos":
			f.nxos(line)
		case "eos":
			f.eos(line)
		case "junos":
			f.junos(line)
		case "frr":
			f.frr(line)
		}
	}
	return f
}

// ios reads Cisco IOS and IOS XE:
//
//	Cisco IOS Software, C2960 Software (C2960-LANBASEK9-M), Version 15.0(2)SE11, RELEASE SOFTWARE (fc3)
//	Cisco IOS XE Software, Version 16.12.04
//	router1 uptime is 1 year, 2 weeks, 3 days, 4 hours, 5 minutes
//	cisco WS-C2960-24TT-L (PowerPC405) processor (revision B0) with 65536K bytes of memory.
//	Processor board ID FOC1010X104
func (f *FactsOutput) ios(line string) {
	if rest, ok := strings.CutPrefix(line, "Cisco IOS"); ok || strings.HasPrefix(line, "IOS ") {
		if ok {
			line = rest
		}
		set(&f.Version, until(after(line, "Version "), ", "))
	}
	f.uptimeIs(line)
	if fold(line, "cisco ") && strings.Contains(line, ") processor") && strings.Contains(line, " memory") {
		set(&f.Model, until(line[len("cisco "):], " "))
	}
	set(&f.Serial, until(after(line, "Processor board ID "), " "))
}

// iosxr reads Cisco IOS XR, which has no serial number there:
//
//	Cisco IOS XR Software, Version 7.3.2[Default]
//	cisco NCS-5500 () processor
//	core9 uptime is 3 weeks, 1 day, 2 hours, 3 minutes      (newer ones: System uptime is …)
func (f *FactsOutput) iosxr(line string) {
	if strings.HasPrefix(line, "Cisco IOS XR Software") {
		set(&f.Version, until(until(after(line, "Version "), "["), " "))
	}
	f.uptimeIs(line)
	if fold(line, "cisco ") && strings.Contains(line, ") processor") {
		model, _, _ := strings.Cut(line[len("cisco "):], " (")
		set(&f.Model, model)
	}
}

// nxos reads Cisco NX-OS:
//
//	NXOS: version 9.3(8)         (older ones: system: version 6.0(2)U6(10))
//	cisco Nexus9000 C93180YC-EX chassis
//	Processor Board ID FDO21120V3P
//	Device name: leaf1
//	Kernel uptime is 12 day(s), 3 hour(s), 4 minute(s), 5 second(s)
func (f *FactsOutput) nxos(line string) {
	for _, label := range []string{"NXOS:", "system:"} {
		if rest, ok := strings.CutPrefix(line, label); ok {
			set(&f.Version, until(after(rest, "version "), " "))
		}
	}
	if fold(line, "cisco ") {
		if at := strings.Index(strings.ToLower(line), " chassis"); at > 0 {
			set(&f.Model, strings.TrimSpace(line[len("cisco "):at]))
		}
	}
	set(&f.Serial, until(after(line, "Processor Board ID "), " "))
	set(&f.Hostname, after(line, "Device name: "))
	if rest, ok := strings.CutPrefix(line, "Kernel uptime is "); ok {
		setSeconds(&f.UptimeS, rest)
	}
}

// eos reads Arista EOS, which does not name the device there:
//
//	Arista DCS-7050TX-64-R
//	Serial number: JPE15200000
//	Software image version: 4.26.2F
//	Uptime: 1 week, 2 days, 3 hours and 4 minutes
func (f *FactsOutput) eos(line string) {
	if rest, ok := strings.CutPrefix(line, "Arista "); ok && !strings.Contains(rest, " ") {
		set(&f.Model, rest)
	}
	if rest, ok := strings.CutPrefix(line, "vEOS"); ok && f.Model == nil && !strings.Contains(line, " ") {
		set(&f.Model, "vEOS"+rest)
	}
	set(&f.Serial, after(line, "Serial number:"))
	set(&f.Version, after(line, "Software image version:"))
	if rest, ok := strings.CutPrefix(line, "Uptime:"); ok {
		setSeconds(&f.UptimeS, rest)
	}
}

// junos reads Juniper Junos, which tells neither serial number nor uptime there:
//
//	Hostname: edge1
//	Model: mx240
//	Junos: 20.4R3.8
func (f *FactsOutput) junos(line string) {
	set(&f.Hostname, after(line, "Hostname: "))
	set(&f.Model, after(line, "Model: "))
	set(&f.Version, after(line, "Junos: "))
	if rest, ok := strings.CutPrefix(line, "JUNOS Software Release ["); ok { // before 15.1
		set(&f.Version, until(rest, "]"))
	}
}

// frr reads FRRouting, a program, which has neither model nor serial number:
//
//	FRRouting 8.4.4 (edge1) on Linux(6.1.0).
func (f *FactsOutput) frr(line string) {
	rest, ok := strings.CutPrefix(line, "FRRouting ")
	if !ok {
		return
	}
	set(&f.Version, until(rest, " "))
	if _, name, ok := strings.Cut(rest, " ("); ok && strings.Contains(name, ")") {
		set(&f.Hostname, until(name, ")"))
	}
}

// uptimeIs reads "NAME uptime is …", as IOS and IOS XR have it.
func (f *FactsOutput) uptimeIs(line string) {
	name, rest, ok := strings.Cut(line, " uptime is ")
	if !ok || strings.Contains(name, " ") {
		return
	}
	if name != "System" { // IOS XR since 7
		set(&f.Hostname, name)
	}
	setSeconds(&f.UptimeS, rest)
}

// set fills in what is not known yet; "" tells nothing.
func set(to **string, value string) {
	if value = strings.TrimSpace(value); value != "" && *to == nil {
		*to = &value
	}
}

// setSeconds reads a time like "1 week, 2 days and 3 hours". A unit that it does not
// know makes all of it unknown.
func setSeconds(to **int, text string) {
	units := map[string]int{"year": 365 * 86400, "week": 7 * 86400, "day": 86400, "hour": 3600, "minute": 60, "second": 1}
	words := strings.Fields(strings.NewReplacer(",", " ", " and ", " ", "(s)", "").Replace(text))
	total := 0
	if len(words) == 0 || len(words)%2 != 0 || *to != nil {
		return
	}
	for i := 0; i < len(words); i += 2 {
		n, err := strconv.Atoi(words[i])
		unit, known := units[strings.TrimSuffix(words[i+1], "s")]
		if err != nil || n < 0 || n > 1<<20 || !known {
			return
		}
		total += n * unit
	}
	*to = &total
}

// after returns what comes after a label at the line's beginning or within it; "": it
// is not there.
func after(line, label string) string {
	_, rest, _ := strings.Cut(line, label)
	return rest
}

// until returns what comes before a mark; all of it without one.
func until(text, mark string) string {
	before, _, _ := strings.Cut(strings.TrimSpace(text), mark)
	return before
}

// fold reports whether a line begins with a text, in any case.
func fold(line, prefix string) bool {
	return len(line) >= len(prefix) && strings.EqualFold(line[:len(prefix)], prefix)
}
