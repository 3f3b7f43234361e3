package main_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	network "opsconductor.dev/plugins/network"
	"opsconductor.dev/sdk/go/step"
	"opsconductor.dev/sdk/go/steptest"
)

// The answers are as the vendors print them, cut to the lines that matter.
func TestFacts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		platform, says string
		want           network.FactsOutput
	}{
		"IOS": {"ios", `Cisco IOS Software, C2960 Software (C2960-LANBASEK9-M), Version 15.0(2)SE11, RELEASE SOFTWARE (fc3)
Technical Support: http://www.cisco.com/techsupport
ROM: Bootstrap program is C2960 boot loader
BOOTLDR: C2960 Boot Loader (C2960-HBOOT-M) Version 12.2(53r)SEY3, RELEASE SOFTWARE (fc1)
sw1 uptime is 1 year, 2 weeks, 3 days, 4 hours, 5 minutes
System returned to ROM by power-on
cisco WS-C2960-24TT-L (PowerPC405) processor (revision B0) with 65536K bytes of memory.
Processor board ID FOC1010X104
Configuration register is 0xF`, network.FactsOutput{
			Hostname: new("sw1"), Model: new("WS-C2960-24TT-L"), Version: new("15.0(2)SE11"), Serial: new("FOC1010X104"), UptimeS: new(365*86400 + 17*86400 + 4*3600 + 5*60),
		}},
		"IOS XE": {"ios", `Cisco IOS XE Software, Version 16.12.04
Cisco IOS Software [Gibraltar], Catalyst L3 Switch Software (CAT9K_IOSXE), Version 16.12.4, RELEASE SOFTWARE (fc5)
core1 uptime is 3 minutes
Uptime for this control processor is 5 minutes
cisco C9300-48P (X86) processor with 1331521K/6147K bytes of memory.
Processor board ID FCW2132L0AB`, network.FactsOutput{Hostname: new("core1"), Model: new("C9300-48P"), Version: new("16.12.04"), Serial: new("FCW2132L0AB"), UptimeS: new(180)}},
		"IOS XR": {"iosxr", `Cisco IOS XR Software, Version 6.1.2[Default]
core9 uptime is 3 weeks, 1 day, 2 hours, 3 minutes
cisco ASR9K Series (Intel 686 F6M14S4) processor with 12582912K bytes of memory.`, network.FactsOutput{Hostname: new("core9"), Model: new("ASR9K Series"), Version: new("6.1.2"), UptimeS: new(22*86400 + 2*3600 + 180)}},
		"newer IOS XR": {"iosxr", `Cisco IOS XR Software, Version 7.3.2
Copyright (c) 2013-2021 by Cisco Systems, Inc.
cisco NCS-5500 () processor
System uptime is 1 day 2 hours 3 minutes`, network.FactsOutput{Model: new("NCS-5500"), Version: new("7.3.2"), UptimeS: new(86400 + 2*3600 + 180)}},
		"NX-OS": {"nxos", `Cisco Nexus Operating System (NX-OS) Software
Software
  BIOS: version 05.45
  NXOS: version 9.3(8)
Hardware
  cisco Nexus9000 C93180YC-EX chassis
  Intel(R) Xeon(R) CPU  @ 1.80GHz with 24632252 kB of memory.
  Processor Board ID FDO21120V3P
  Device name: leaf1
Kernel uptime is 12 day(s), 3 hour(s), 4 minute(s), 5 second(s)`, network.FactsOutput{
			Hostname: new("leaf1"), Model: new("Nexus9000 C93180YC-EX"), Version: new("9.3(8)"), Serial: new("FDO21120V3P"), UptimeS: new(12*86400 + 3*3600 + 245),
		}},
		"EOS": {"eos", `Arista DCS-7050TX-64-R
Hardware version: 01.11
Serial number: JPE15200000
Software image version: 4.26.2F
Uptime: 1 week, 2 days, 3 hours and 4 minutes
Total memory: 3902812 kB`, network.FactsOutput{Model: new("DCS-7050TX-64-R"), Version: new("4.26.2F"), Serial: new("JPE15200000"), UptimeS: new(9*86400 + 3*3600 + 240)}},
		"vEOS without a number": {"eos", `vEOS
Serial number:
Software image version: 4.24.0F
Uptime: since it began`, network.FactsOutput{Model: new("vEOS"), Version: new("4.24.0F")}},
		"a time that nobody knows": {"eos", "Software image version: 4.24.0F\nUptime: 1 day, 2 fortnights", network.FactsOutput{Version: new("4.24.0F")}},
		"Junos": {"junos", `Hostname: edge1
Model: mx240
Junos: 20.4R3.8
JUNOS OS Kernel 64-bit  [20210621.49674a9_builder_stable_11]`, network.FactsOutput{Hostname: new("edge1"), Model: new("mx240"), Version: new("20.4R3.8")}},
		"old Junos": {"junos", `Hostname: edge2
Model: srx240h
JUNOS Software Release [12.1X46-D40.2]`, network.FactsOutput{Hostname: new("edge2"), Model: new("srx240h"), Version: new("12.1X46-D40.2")}},
		"FRRouting": {"frr", `FRRouting 8.4.4 (edge1) on Linux(6.1.0).
Copyright 1996-2005 Kunihiro Ishiguro, et al.`, network.FactsOutput{Hostname: new("edge1"), Version: new("8.4.4")}},
	} {
		d := says(t, map[string]step.SSHSendResult{"show version": {Output: tc.says}})
		got, failed := steptest.Call(d.h, network.Facts, network.FactsInput{Platform: tc.platform})
		tc.want.Platform = tc.platform
		if diff := cmp.Diff(tc.want, got); failed != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, failed, diff)
		}
	}
}

// An answer of which nothing is understood is no success without facts.
func TestFactsNotUnderstood(t *testing.T) {
	t.Parallel()
	d := says(t, map[string]step.SSHSendResult{"show version": {Output: "BIRD 2.0.12 ready."}})
	_, failed := steptest.Call(d.h, network.Facts, network.FactsInput{Platform: "ios"})
	wantFailure(t, "another platform", failed, "not_understood", step.After, "not that of platform ios", "BIRD 2.0.12 ready.")
}
