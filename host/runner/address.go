package runner

import (
	"net/netip"
	"slices"
	"strings"
)

// IsMetadata reports whether an address is, or is embedded in IPv6 as, one of the
// addresses where clouds give credentials to whoever asks. No grant opens them.
func IsMetadata(addr netip.Addr) bool {
	addr = addr.WithZone("")
	all := []netip.Addr{addr}
	all = append(all, embedded(addr)...)
	return slices.ContainsFunc(all, func(a netip.Addr) bool { return slices.Contains(metadata(), a) })
}

func metadata() []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr("169.254.169.254"), // AWS, Azure, Google, OpenStack, Oracle …
		netip.MustParseAddr("169.254.170.2"),   // AWS containers
		netip.MustParseAddr("169.254.170.23"),  // AWS pods
		netip.MustParseAddr("fd00:ec2::254"),   // AWS over IPv6
		netip.MustParseAddr("fd00:ec2::23"),    // AWS pods over IPv6
		netip.MustParseAddr("fd20:ce::254"),    // Google over IPv6
		netip.MustParseAddr("100.100.100.200"), // Alibaba
		netip.MustParseAddr("192.0.0.192"),     // Oracle, classic
		netip.MustParseAddr("168.63.129.16"),   // Azure's wire server
	}
}

// embedded returns the IPv4 addresses that an IPv6 address may lead to: mapped
// (RFC 4291 2.5.5.2), compatible (2.5.5.1), 6to4 (RFC 3056) and NAT64 with the
// prefixes of RFC 6052 and RFC 8215.
func embedded(addr netip.Addr) []netip.Addr {
	if !addr.Is6() {
		return nil
	}
	b := addr.As16()
	v4 := func(i ...int) netip.Addr { return netip.AddrFrom4([4]byte{b[i[0]], b[i[1]], b[i[2]], b[i[3]]}) }
	last := v4(12, 13, 14, 15)
	switch {
	case addr.Is4In6(), netip.MustParsePrefix("::/96").Contains(addr), netip.MustParsePrefix("64:ff9b::/96").Contains(addr):
		return []netip.Addr{last}
	case netip.MustParsePrefix("2002::/16").Contains(addr):
		return []netip.Addr{v4(2, 3, 4, 5)}
	case netip.MustParsePrefix("64:ff9b:1::/48").Contains(addr): // any length of prefix within
		return []netip.Addr{last, v4(6, 7, 9, 10), v4(7, 9, 10, 11), v4(9, 10, 11, 12)}
	}
	return nil
}

// admits reports whether a grant's address is for a host that was resolved to
// addr: "*", a prefix, an address, or the host's name.
func admits(pattern, host string, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if pattern == "*" {
		return true
	}
	if p, err := netip.ParsePrefix(pattern); err == nil {
		return p.Contains(addr)
	}
	if a, err := netip.ParseAddr(pattern); err == nil {
		return a.Unmap() == addr
	}
	return strings.EqualFold(hostName(pattern), hostName(host))
}
