package page

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// contentPolicy allows what the pages are made of and nothing else (decision
// 14; ASVS 3.4.3). Images may be data: because the QR code of a registration
// holds a secret and so must have no address of its own. Frames are refused
// but for the origins that a page names.
func contentPolicy(formTargets, frames []string) string {
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"form-action " + strings.Join(append([]string{"'self'"}, origins(formTargets)...), " ") +
		"; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
	if framed := origins(frames); len(framed) > 0 {
		policy += "; frame-src " + strings.Join(framed, " ")
	}
	return policy
}

// origins returns those of addresses, each once. What is no origin is left
// out: a policy is no place for it.
func origins(addresses []string) []string {
	var all []string
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || strings.ContainsAny(u.Host, " ;,'\"*") {
			continue
		}
		if origin := u.Scheme + "://" + u.Host; !slices.Contains(all, origin) {
			all = append(all, origin)
		}
	}
	return all
}

// refresh is the header that reloads a page or leads on from it.
func refresh(v View) string {
	seconds := strconv.Itoa(int(v.Refresh.Seconds()))
	if v.Onward == "" {
		return seconds
	}
	return seconds + "; url=" + v.Onward
}
