package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/page/pagetest"
)

// RFC 6749 section 4.1.2.1; RFC 9700 section 2.1; ASVS 10.4.1.
func TestWhereTheAddressIsNotRegisteredThereIsAPageAndNeverARedirect(t *testing.T) {
	h := open(t)
	for name, test := range map[string]struct {
		query url.Values
		want  *fault.Kind
	}{
		"no client":                  {ask("client_id", ""), fault.UnknownClient},
		"unknown client":             {ask("client_id", "555000000099.apps.national"), fault.UnknownClient},
		"client in other case":       {ask("client_id", strings.ToUpper(ers)), fault.UnknownClient},
		"client with markup":         {ask("client_id", "<script>alert(1)</script>"), fault.UnknownClient},
		"client that no text can be": {ask("client_id", "a\x00b"), fault.UnknownClient},
		"client of another encoding": {ask("client_id", "\xff\xfe"), fault.UnknownClient},
		"endless client":             {ask("client_id", strings.Repeat("9", 5000)), fault.UnknownClient},
		"no redirect_uri":            {ask("redirect_uri", ""), fault.RedirectMismatch},
		"trailing slash":             {ask("redirect_uri", callback+"/"), fault.RedirectMismatch},
		"https":                      {ask("redirect_uri", "https://localhost:9090/callback"), fault.RedirectMismatch},
		"another port":               {ask("redirect_uri", "http://localhost:9099/callback"), fault.RedirectMismatch},
		"no port":                    {ask("redirect_uri", "http://localhost/callback"), fault.RedirectMismatch},
		"a path below":               {ask("redirect_uri", callback+"/more"), fault.RedirectMismatch},
		"a query":                    {ask("redirect_uri", callback+"?next=https://evil.example"), fault.RedirectMismatch},
		"a fragment":                 {ask("redirect_uri", callback+"#x"), fault.RedirectMismatch},
		"host in other case":         {ask("redirect_uri", "http://LOCALHOST:9090/callback"), fault.RedirectMismatch},
		"userinfo":                   {ask("redirect_uri", "http://localhost:9090@evil.example/callback"), fault.RedirectMismatch},
		"encoded path":               {ask("redirect_uri", "http://localhost:9090/%63allback"), fault.RedirectMismatch},
		"dot segments":               {ask("redirect_uri", "http://localhost:9090/x/../callback"), fault.RedirectMismatch},
		"script":                     {ask("redirect_uri", "javascript:alert(1)"), fault.RedirectMismatch},
		"another client's":           {ask("client_id", native), fault.RedirectMismatch},
		"client twice":               {url.Values{"client_id": {ers, ers}, "redirect_uri": {callback}}, fault.RequestUnreadable},
		"redirect_uri twice":         {url.Values{"client_id": {ers}, "redirect_uri": {callback, "https://evil.example"}}, fault.RequestUnreadable},
		"more than 16 KiB":           {ask("state", strings.Repeat("s", 17<<10)), fault.RequestUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			b := h.browser()
			b.withApp(amara)
			a := b.authorize(test.query)
			if a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
				t.Errorf("answer %d to %q, want a page", a.status, a.header.Get("Location"))
			}
			f := h.faults.last()
			if f.Kind != test.want {
				t.Errorf("the fault is %s, want %s", f.Kind.Name, test.want.Name)
			}
			if !strings.Contains(a.body, f.Ref) {
				t.Error("the page does not tell the reference")
			}
			if strings.Contains(a.body, "alert(1)") || strings.Contains(a.body, "evil.example") {
				t.Error("the page repeats what was sent")
			}
			pagetest.Check(t, a.body)
		})
	}
	if a := h.browser().get(oidc.RealmPath + "/authorize?client_id=%zz"); a.status != http.StatusBadRequest || h.faults.last().Kind != fault.RequestUnreadable {
		t.Errorf("a broken encoding: %d, %s", a.status, h.faults.last().Kind.Name)
	}
}

func TestMistakesOfARelyingPartyComeBackAsOAuthErrors(t *testing.T) {
	h := open(t)
	for name, test := range map[string]struct {
		query url.Values
		want  string
	}{
		"no response_type":          {ask("response_type", ""), "invalid_request"},
		"implicit":                  {ask("response_type", "token"), "unsupported_response_type"},
		"hybrid":                    {ask("response_type", "code id_token"), "unsupported_response_type"},
		"response_mode":             {ask("response_mode", "fragment"), "invalid_request"},
		"no claims":                 {ask("claims", "[]"), "invalid_request"},
		"claims twice":              {twice("claims", "{}", "{}"), "invalid_request"},
		"an essential unknown acr":  {ask("claims", `{"id_token":{"acr":{"essential":true,"values":["gold"]}}}`), "unmet_authentication_requirements"},
		"no scope":                  {ask("scope", ""), "invalid_scope"},
		"no openid":                 {ask("scope", "profile email"), "invalid_scope"},
		"no request object":         {ask("request", "eyJ"), "invalid_request_object"},
		"an unsigned object":        {ask("request", "eyJhbGciOiJub25lIn0.e30."), "request_not_supported"},
		"an encrypted object":       {ask("request", "a.b.c.d.e"), "request_not_supported"},
		"object and request_uri":    {ask("request", "a.b.c", "request_uri", "https://rp.example/r"), "invalid_request"},
		"an unknown request_uri":    {ask("request_uri", "https://rp.example/r"), "invalid_request_uri"},
		"registration":              {ask("registration", "{}"), "registration_not_supported"},
		"unknown prompt":            {ask("prompt", "create"), "invalid_request"},
		"none and login":            {ask("prompt", "none login"), "invalid_request"},
		"negative max_age":          {ask("max_age", "-1"), "invalid_request"},
		"max_age in words":          {ask("max_age", "five"), "invalid_request"},
		"max_age beyond all":        {ask("max_age", "99999999999999999999"), "invalid_request"},
		"plain PKCE":                {ask("code_challenge", strings.Repeat("a", 43), "code_challenge_method", "plain"), "invalid_request"},
		"PKCE without method":       {ask("code_challenge", strings.Repeat("a", 43)), "invalid_request"},
		"PKCE method alone":         {ask("code_challenge_method", "S256"), "invalid_request"},
		"short challenge":           {ask("code_challenge", "abc", "code_challenge_method", "S256"), "invalid_request"},
		"endless nonce":             {ask("nonce", strings.Repeat("n", 1025)), "invalid_request"},
		"scope twice":               {twice("scope", "openid", "openid profile"), "invalid_request"},
		"max_age twice":             {twice("max_age", "1", "100000"), "invalid_request"},
		"a level that nobody gives": {ask("acr_values", "AAL1_USERPASS"), "unmet_authentication_requirements"},
		"a method not accepted":     {ask("client_id", mesh, "acr_values", "AAL2_NHSMAIL"), "unmet_authentication_requirements"},
		"AAL2 of an AAL3 client":    {ask("client_id", cdr, "acr_values", "AAL2_ANY"), "unmet_authentication_requirements"},
		"strict without PAR":        {ask("client_id", strict, "code_challenge", challenge(), "code_challenge_method", "S256"), "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			b := h.browser()
			b.withApp(amara)
			a := b.authorize(test.query)
			got := a.to().Query()
			if a.status != http.StatusFound || !a.atClient() || got.Get("error") != test.want {
				t.Fatalf("answer %d to %q, want %s\n%s", a.status, a.header.Get("Location"), test.want, a.body)
			}
			if got.Get("state") != "s-1" || got.Get("iss") != h.provider.Issuer() || len(got) != 4 {
				t.Errorf("the answer carries %v, want error, error_description, state and iss (RFC 9207)", got)
			}
			if got.Get("code") != "" {
				t.Error("an error came with a code")
			}
			description := got.Get("error_description")
			if f := h.faults.last(); !strings.HasSuffix(description, "Reference "+f.Ref) || !strings.Contains(h.log.String(), f.Ref) {
				t.Errorf("error_description %q: the reference %s is not there or not in the log", description, f.Ref)
			}
			for _, r := range description { // RFC 6749 section 4.1.2.1
				if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
					t.Errorf("error_description holds %q", r)
				}
			}
		})
	}
}

func twice(name string, values ...string) url.Values {
	query := ask()
	query[name] = values
	return query
}
