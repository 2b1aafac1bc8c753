package fetch

import (
	"net/netip"
	"slices"
)

// special are the ranges that never belong to a public host, beyond those that
// netip knows by name (IANA special-purpose registries, RFC 6890 and updates),
// and the ranges that carry an IPv4 address inside an IPv6 one: translated or
// tunnelled, they reach an inner host by an outer name.
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
	"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"168.63.129.16/32", // a cloud's metadata service at a public address
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

// globalUnicast is all of IPv6 that has been given out (RFC 4291 section 2.4):
// whatever lies outside is refused without a list.
var globalUnicast = netip.MustParsePrefix("2000::/3")

// public reports whether a is an address of the public internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	if a.Is6() && !globalUnicast.Contains(a) {
		return false
	}
	if a.IsPrivate() || !a.IsGlobalUnicast() {
		return false
	}
	return !named(a, special)
}

// named reports whether a lies in one of the prefixes. An IPv4 address written
// as IPv6 (::ffff:10.0.0.1) counts as the IPv4 address that it is.
func named(a netip.Addr, list []netip.Prefix) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}
