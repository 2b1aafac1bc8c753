package dpop

import (
	"net/url"
	"path"
	"strings"
)

// normal returns an address without query and fragment, in the one form that
// its equivalents have (RFC 9449 section 4.3; RFC 3986 sections 6.2.2 and
// 6.2.3): lower-case scheme and host, no port that the scheme implies, no
// needless escapes, no dot segments.
func normal(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	switch {
	case scheme == "https" && port == "443", scheme == "http" && port == "80":
		port = ""
	case scheme != "https" && scheme != "http":
		return "", false
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	clean := path.Clean("/" + u.Path)
	if strings.HasSuffix(u.Path, "/") && clean != "/" {
		clean += "/" // another address than the one without
	}
	return (&url.URL{Scheme: scheme, Host: host, Path: clean}).String(), true
}
