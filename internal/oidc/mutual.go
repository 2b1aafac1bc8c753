package oidc

import (
	"crypto/x509"
	"net/http"
	"strings"

	"carekey.dev/carekey/internal/relyingparty"
)

// Mutual is the host or port on which relying parties show a certificate (RFC
// 8705). Browsers never come there: asking for a certificate would bother
// people with a window.
type Mutual struct {
	// BaseURL is where programs reach it, "" if there is none.
	BaseURL string
	// Authorities returns those of client certificates as they are now, nil if
	// tls_client_auth is not offered. Certificates that were registered need
	// none.
	Authorities func() *x509.CertPool
}

// methods are the ways of client authentication that are offered.
func (m Mutual) methods() []string {
	var all []string
	for _, method := range relyingparty.AuthMethods() {
		switch {
		case method == relyingparty.TLSClientAuth && (m.BaseURL == "" || m.Authorities == nil):
		case method == relyingparty.SelfSignedTLS && m.BaseURL == "":
		default:
			all = append(all, string(method))
		}
	}
	return all
}

// program is an endpoint that programs call, not browsers.
type program struct {
	// name is that of discovery, without "_endpoint".
	name string
	path string
	// methods of HTTP.
	methods []string
	serve   func(*Provider, http.ResponseWriter, *http.Request)
}

// programs is the one list of them. Each is on the mTLS host too.
func programs() []program {
	post := []string{http.MethodPost}
	return []program{
		{"token", tokenPath, post, (*Provider).token},
		{"userinfo", userinfoPath, []string{http.MethodGet, http.MethodPost}, (*Provider).userinfo},
		{"introspection", introspectPath, post, (*Provider).introspect},
		{"revocation", revokePath, post, (*Provider).revoke},
		{"pushed_authorization_request", pushPath, post, (*Provider).push},
	}
}

// ProgramRoutes adds the endpoints that programs call, for the host of people
// and for the mTLS host. They carry no CSRF token: a secret, an assertion, a
// certificate or an access token guards them (decision 14).
func (p *Provider) ProgramRoutes(mux *http.ServeMux) {
	for _, one := range programs() {
		p.Kit.Exempt(one.path)
		for _, method := range one.methods {
			mux.HandleFunc(method+" "+one.path, func(w http.ResponseWriter, r *http.Request) { one.serve(p, w, r) })
		}
	}
}

// aliases are the same endpoints on the mTLS host (RFC 8705 section 5); nil if
// there is none.
func aliases(origins []string) map[string]string {
	if len(origins) < 2 {
		return nil
	}
	all := map[string]string{}
	for _, one := range programs() {
		all[one.name+"_endpoint"] = origins[1] + one.path
	}
	return all
}

// originsOf returns where endpoints are reached: ours and, if there is one,
// that of the mTLS host, each with its port (wire rule 1).
func originsOf(issuer string, m Mutual) ([]string, error) {
	origins := []string{strings.TrimSuffix(issuer, RealmPath)}
	if m.BaseURL == "" {
		return origins, nil
	}
	there, err := Issuer(m.BaseURL)
	if err != nil {
		return nil, err
	}
	return append(origins, strings.TrimSuffix(there, RealmPath)), nil
}
