package web

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"carekey.dev/carekey/internal/fault"
)

type clientKey struct{}

// Client is the address of who really connects, or the zero value.
func Client(r *http.Request) netip.Addr {
	address, _ := r.Context().Value(clientKey{}).(netip.Addr)
	return address
}

// Proxies knows whose word about a client is believed.
type Proxies struct {
	// Trusted are the networks of the proxies that the operator named.
	Trusted []netip.Prefix
	// Only refuses whoever does not come through one of them: Carekey serves
	// plain http behind proxies that end TLS (decision 14).
	Only bool
	// Refuse answers a request that may not come in.
	Refuse func(w http.ResponseWriter, r *http.Request, err error)
	// Open are paths that answer everybody: health checks come from the
	// machine's own supervisor.
	Open []string
}

// Name finds the client of each request.
func (p Proxies) Name(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := p.client(peerOf(r), r)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), clientKey{}, client)))
	})
}

// Guard refuses who may not come in: strangers if proxies alone are served, and
// what reached a proxy unencrypted.
func (p Proxies) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		plain := p.Only
		if p.trusts(peerOf(r)) {
			plain = r.Header.Get("X-Forwarded-Proto") == "http"
		}
		if plain && !slices.Contains(p.Open, r.URL.Path) {
			p.Refuse(w, r, fault.New(fault.NotEncrypted, nil))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (p Proxies) trusts(address netip.Addr) bool {
	for _, network := range p.Trusted {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// client is the nearest address that no trusted proxy has: X-Forwarded-For
// grows to the right, and what stands further left may be invented.
func (p Proxies) client(peer netip.Addr, r *http.Request) netip.Addr {
	if !p.trusts(peer) {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	nearest := peer
	for i := len(hops) - 1; i >= 0; i-- {
		address, err := parseHop(hops[i])
		if err != nil {
			return nearest
		}
		nearest = address
		if !p.trusts(address) {
			return address
		}
	}
	return nearest
}

// parseHop reads one address of X-Forwarded-For; some proxies add the port.
func parseHop(hop string) (netip.Addr, error) {
	hop = strings.TrimSpace(hop)
	if withPort, err := netip.ParseAddrPort(hop); err == nil {
		return withPort.Addr().Unmap(), nil
	}
	address, err := netip.ParseAddr(strings.Trim(hop, "[]"))
	return address.Unmap().WithZone(""), err
}

func peerOf(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}
