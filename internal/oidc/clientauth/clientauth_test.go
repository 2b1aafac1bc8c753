package clientauth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/oidc/clientauth"
)

// Wire rules 3 and 4; RFC 6749 section 2.3.1 (the server MUST support Basic).
func TestASecretIsTakenFromTheBodyAndFromBasicEncodedOrNot(t *testing.T) {
	a := authenticator(registered())
	encoded := url.QueryEscape(ersSecret)
	for name, test := range map[string]struct {
		headers []string
		form    url.Values
	}{
		"in the body":                   {nil, url.Values{"client_id": {ers}, "client_secret": {ersSecret}}},
		"the secret before, still good": {nil, url.Values{"client_id": {ers}, "client_secret": {"the one before"}}},
		"Basic":                         {basic(ers, encoded), url.Values{}},
		"Basic, dots encoded":           {basic(strings.ReplaceAll(ers, ".", "%2E"), encoded), url.Values{}},
		"Basic, not encoded":            {basic(ers, "the one before"), url.Values{}},
		"Basic, client_id in the body":  {basic(ers, encoded), url.Values{"client_id": {ers}}},
		"Basic, an empty secret beside": {basic(ers, encoded), url.Values{"client_secret": {""}}},
		"an empty assertion beside":     {nil, url.Values{"client_id": {ers}, "client_secret": {ersSecret}, "client_assertion": {""}}},
	} {
		t.Run(name, func(t *testing.T) { mustPass(t, a, request(endpoint, test.headers...), test.form, ers) })
	}
}

func TestWhyASecretIsRefusedIsSaidToItsOwner(t *testing.T) {
	a := authenticator(registered())
	body := func(id, secret string) url.Values { return url.Values{"client_id": {id}, "client_secret": {secret}} }
	for name, test := range map[string]struct {
		headers []string
		form    url.Values
		cause   clientauth.Cause
		says    string
	}{
		"wrong":                   {nil, body(ers, "wrong"), clientauth.WrongSecret, "secret is wrong"},
		"none":                    {nil, url.Values{"client_id": {ers}}, clientauth.NoSecret, "no client secret"},
		"nobody":                  {nil, url.Values{}, clientauth.Unknown, "names no client"},
		"unknown":                 {nil, body("made up", "x"), clientauth.Unknown, `"made up"`},
		"no Basic":                {[]string{"Authorization", "Bearer x"}, url.Values{}, clientauth.Malformed, "not Basic"},
		"for another way":         {nil, body(ncrs, ersSecret), clientauth.WrongMethod, "private_key_jwt"},
		"a secret for mTLS":       {nil, body(authed, ersSecret), clientauth.WrongMethod, "tls_client_auth"},
		"strict":                  {nil, body(weak, ersSecret), clientauth.WrongMethod, "strict"}, // FAPI 2.0 section 5.3.2.1
		"a missing assertion":     {nil, url.Values{"client_id": {ncrs}}, clientauth.NoAssertion, "no client_assertion"},
		"Basic and a secret":      {basic(ers, ersSecret), body(ers, ersSecret), clientauth.Malformed, "more than one"}, // RFC 6749 section 2.3
		"Basic and an assertion":  {basic(ncrs, "x"), form("a.b.c"), clientauth.Malformed, "more than one"},
		"secret and assertion":    {nil, form("a.b.c", "client_id", ncrs, "client_secret", "x"), clientauth.Malformed, "more than one"},
		"two clients":             {basic(ers, ersSecret), url.Values{"client_id": {ncrs}}, clientauth.Malformed, "differs"},
		"a type and no assertion": {nil, url.Values{"client_id": {ncrs}, "client_assertion_type": {urn}}, clientauth.Malformed, "client_assertion is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			mustRefuse(t, a, request(endpoint, test.headers...), test.form, test.cause, test.says)
		})
	}
}

// Wire rules 5 and 6; RFC 7523 sections 2.2 and 3; OpenID Connect Core section
// 9; FAPI 2.0 section 5.3.2.1.
func TestAGoodAssertionIsAccepted(t *testing.T) {
	a := authenticator(registered())
	par := issuer + "/par"
	for name, test := range map[string]struct {
		client string
		at     string
		by     signature
		change []any
	}{
		"RS256":                             {ncrs, endpoint, signature{}, nil},
		"RS256 with kid":                    {ncrs, endpoint, signature{kid: "r"}, nil},
		"RS512":                             {ncrs, endpoint, signature{alg: "RS512"}, nil},
		"RS512, registered":                 {rs512, endpoint, signature{alg: "RS512", kid: "r"}, nil},
		"PS256":                             {ncrs, endpoint, signature{alg: "PS256"}, nil},
		"ES256":                             {ncrs, endpoint, signature{alg: "ES256", key: ecKey}, nil},
		"typ JWT":                           {ncrs, endpoint, signature{typ: "JWT"}, nil},
		"typ client-authentication+jwt":     {ncrs, endpoint, signature{typ: "client-authentication+jwt"}, nil},
		"without iat and nbf":               {ncrs, endpoint, signature{}, []any{"iat", nil, "nbf", nil}},
		"aud the issuer":                    {ncrs, endpoint, signature{}, []any{"aud", issuer}},
		"aud a list":                        {ncrs, endpoint, signature{}, []any{"aud", []string{endpoint}}},
		"aud a list of both":                {ncrs, endpoint, signature{}, []any{"aud", []string{issuer, endpoint}}},
		"aud the mTLS alias":                {ncrs, mutual + path + "/access_token", signature{}, []any{"aud", mutual + path + "/access_token"}},
		"at PAR, aud the token endpoint":    {ncrs, par, signature{}, nil}, // RFC 9126 section 2: MUST accept all three
		"at PAR, aud PAR":                   {ncrs, par, signature{}, []any{"aud", par}},
		"at PAR, aud the issuer":            {ncrs, par, signature{}, []any{"aud", issuer}},
		"aud the issuer, as switched":       {only, endpoint, signature{}, []any{"aud", issuer}},
		"aud the endpoint, as switched":     {classic, endpoint, signature{}, nil},
		"a clock 29 s ahead":                {ncrs, endpoint, signature{}, []any{"iat", now.Add(29 * time.Second).Unix(), "nbf", now.Add(29 * time.Second).Unix(), "exp", now.Add(5*time.Minute + 29*time.Second).Unix()}},
		"a clock 29 s behind":               {ncrs, endpoint, signature{}, []any{"exp", now.Add(-29 * time.Second).Unix()}},
		"a time with a fraction":            {ncrs, endpoint, signature{}, []any{"exp", 1e-3 + float64(now.Add(time.Minute).Unix())}},
		"strict: PS256, aud the issuer":     {fapi, endpoint, signature{alg: "PS256"}, []any{"aud", issuer}},
		"strict: ES256, aud the issuer":     {fapi, endpoint, signature{alg: "ES256", key: ecKey}, []any{"aud", issuer}},
		"strict: at PAR":                    {fapi, par, signature{alg: "PS256"}, []any{"aud", issuer}},
		"a claim that nobody knows besides": {ncrs, endpoint, signature{}, []any{"scope", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			assertion := test.by.of(claims(test.client, test.change...))
			mustPass(t, a, request(test.at), form(assertion), test.client) // wire rule 6: no client_id
			mustPass(t, a, request(test.at), form(assertion, "client_id", test.client), test.client)
		})
	}
}

// RFC 7523 section 3, by its numbered rules; OpenID Connect Core section 9;
// wire rule 5.
func TestWhyAnAssertionIsRefusedIsSaidToItsOwner(t *testing.T) {
	a := authenticator(registered())
	at := func(some time.Duration) int64 { return now.Add(some).Unix() }
	for name, test := range map[string]struct {
		client string
		by     signature
		change []any
		cause  clientauth.Cause
		says   string
	}{
		"another's iss":        {ncrs, signature{}, []any{"iss", ers}, clientauth.Subject, ers},                          // 3 (1)
		"another's sub":        {ncrs, signature{}, []any{"sub", ers}, clientauth.Subject, ers},                          // 3 (2)
		"no aud":               {ncrs, signature{}, []any{"aud", nil}, clientauth.Audience, endpoint},                    // 3 (3)
		"another's aud":        {ncrs, signature{}, []any{"aud", "https://x.example"}, clientauth.Audience, "x.example"}, // 3 (3)
		"aud without the port": {ncrs, signature{}, []any{"aud", strings.ReplaceAll(endpoint, ":443", "")}, clientauth.Audience, ":443"},
		"aud for others too":   {ncrs, signature{}, []any{"aud", []string{endpoint, "https://x.example"}}, clientauth.Audience, "x.example"},
		"an empty list":        {ncrs, signature{}, []any{"aud", []string{}}, clientauth.Audience, "accepted are"},
		"aud a number":         {ncrs, signature{}, []any{"aud", 5}, clientauth.Unreadable, "claims"},
		"no exp":               {ncrs, signature{}, []any{"exp", nil}, clientauth.Lifetime, "missing"},                     // 3 (4)
		"expired":              {ncrs, signature{}, []any{"exp", at(-30 * time.Second)}, clientauth.Expired, "30s ago"},    // 3 (4)
		"exp far away":         {ncrs, signature{}, []any{"exp", at(331 * time.Second)}, clientauth.Lifetime, "5 minutes"}, // 3 (4)
		"exp beyond time":      {ncrs, signature{}, []any{"exp", 1e300}, clientauth.Lifetime, "5 minutes"},
		"exp a text":           {ncrs, signature{}, []any{"exp", "soon"}, clientauth.Unreadable, `"exp"`},
		"nbf in the future":    {ncrs, signature{}, []any{"nbf", at(31 * time.Second)}, clientauth.TooEarly, "nbf is 31s"}, // 3 (5)
		"iat in the future":    {ncrs, signature{}, []any{"iat", at(31 * time.Second)}, clientauth.TooEarly, "iat is 31s"}, // 3 (6)
		"no jti":               {ncrs, signature{}, []any{"jti", nil}, clientauth.NoName, "jti"},                           // Core 9
		"a long jti":           {ncrs, signature{}, []any{"jti", strings.Repeat("j", 1025)}, clientauth.NoName, "1024"},
		"another's key":        {ncrs, signature{key: wrong}, nil, clientauth.Signature, "none of the client's keys"}, // 3 (9)
		"an unknown kid":       {ncrs, signature{kid: "x"}, nil, clientauth.NoKey, `"x"`},
		"RS384":                {ncrs, signature{alg: "RS384"}, nil, clientauth.Algorithm, "RS384"},
		"another algorithm":    {rs512, signature{alg: "RS256"}, nil, clientauth.Algorithm, "RS512"},
		"a request object":     {ncrs, signature{typ: "oauth-authz-req+jwt"}, nil, clientauth.Type, "oauth-authz-req+jwt"}, // RFC 8725 section 3.12
		"keys out of reach":    {away, signature{}, nil, clientauth.KeysAway, "127.0.0.1"},
		"a client of secrets":  {ers, signature{}, nil, clientauth.WrongMethod, "client_secret_post"},
		"an unknown client":    {"made-up", signature{}, nil, clientauth.Unknown, "made-up"},
		"strict with RS256":    {fapi, signature{}, []any{"aud", issuer}, clientauth.Algorithm, "RS256"}, // FAPI 2.0 section 5.4.1
		"strict, the endpoint": {fapi, signature{alg: "PS256"}, nil, clientauth.Audience, "strict"},
		"strict, a list":       {fapi, signature{alg: "PS256"}, []any{"aud", []string{issuer}}, clientauth.Audience, "single text"},
		"switched to issuer":   {only, signature{}, nil, clientauth.Audience, "accepted are"},
		"switched to endpoint": {classic, signature{}, []any{"aud", issuer}, clientauth.Audience, "accepted are"},
	} {
		t.Run(name, func(t *testing.T) {
			assertion := test.by.of(claims(test.client, test.change...))
			mustRefuse(t, a, request(endpoint), form(assertion, "client_id", test.client), test.cause, test.says)
		})
	}
}

func TestAnUnreadableAssertionIsRefused(t *testing.T) {
	a := authenticator(registered())
	good := signature{}.of(claims(ncrs))
	parts := strings.Split(good, ".")
	for name, test := range map[string]struct {
		form  url.Values
		cause clientauth.Cause
		says  string
	}{
		"no JWT":               {form("abc", "client_id", ncrs), clientauth.Unreadable, "1 parts"},
		"no JWT and no client": {form("abc"), clientauth.Unknown, "names no client"},
		"an object as payload": {form(parts[0]+".W10."+parts[2], "client_id", ncrs), clientauth.Signature, ""},
		"a list as payload":    {form(signature{}.of([]int{1}), "client_id", ncrs), clientauth.Unreadable, "claims"},
		"unsigned":             {form("eyJhbGciOiJub25lIn0."+parts[1]+".", "client_id", ncrs), clientauth.Algorithm, "none"},
		"two signatures":       {form(good+".x", "client_id", ncrs), clientauth.Unreadable, "4 parts"},
		"another type":         {url.Values{"client_assertion": {good}, "client_assertion_type": {"saml"}}, clientauth.NoAssertion, `"saml"`}, // RFC 7523 section 2.2
		"no type":              {url.Values{"client_assertion": {good}}, clientauth.NoAssertion, "jwt-bearer"},
		"another client_id":    {form(good, "client_id", rs512), clientauth.Algorithm, ""}, // RFC 7521 section 4.2
		"another's, same alg":  {form(good, "client_id", only), clientauth.Subject, ncrs},
	} {
		t.Run(name, func(t *testing.T) { mustRefuse(t, a, request(endpoint), test.form, test.cause, test.says) })
	}
}

func TestNoReasonHoldsASecretOrAnAssertion(t *testing.T) {
	a := authenticator(registered())
	long := signature{}.of(claims(ncrs, "iss", strings.Repeat("\x1b[31m", 1000)))
	for name, f := range map[string]url.Values{
		"secret":    {"client_id": {ers}, "client_secret": {"hush-hush"}},
		"assertion": form(long, "client_id", ncrs),
		"type":      {"client_assertion": {long}, "client_assertion_type": {strings.Repeat("\n", 1000)}},
	} {
		_, refused, err := a.Authenticate(request(endpoint), f)
		if err != nil || refused == nil {
			t.Fatal(refused, err)
		}
		if strings.Contains(refused.Reason, "hush") || strings.Contains(refused.Reason, long) || strings.ContainsAny(refused.Reason, "\x1b\n") || len(refused.Reason) > 500 {
			t.Errorf("%s: the reason is %.600q", name, refused.Reason)
		}
	}
}

// FuzzCredentials: no header and no form makes the reading of credentials fail
// in another way than by a Refused, and nobody gets in.
func FuzzCredentials(f *testing.F) {
	f.Add("Basic OTk5JTJFYXBwcw==", "client_id=a&client_secret=b")
	f.Add("", "client_id="+ncrs+"&client_assertion=a.b.c&client_assertion_type="+url.QueryEscape(urn))
	f.Add("", form(signature{key: wrong}.of(claims(ncrs))).Encode())
	f.Add("Basic !", "client_assertion=x")
	f.Add("Bearer x", "client_id=%00")
	a := authenticator(registered())
	f.Fuzz(func(t *testing.T, header, body string) {
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		r := httptest.NewRequest(http.MethodPost, "/access_token", nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		caller, refused, err := a.Authenticate(r, form)
		if err != nil || refused == nil || refused.Reason == "" || refused.Cause == "" {
			t.Errorf("%+v got in, or is refused without a reason: %+v, %v", caller, refused, err)
		}
		clientauth.Named(r, form)
	})
}

// FuzzAssertionClaims: whatever a client signs, only an assertion that keeps
// the rules is accepted.
func FuzzAssertionClaims(f *testing.F) {
	f.Add(`{"iss":"` + ncrs + `","sub":"` + ncrs + `","aud":"` + issuer + `","jti":"1","exp":1793523660}`)
	f.Add(`{"iss":"` + ncrs + `","sub":"` + ncrs + `","aud":["` + issuer + `"],"jti":"1","exp":1e300,"nbf":-1e300}`)
	f.Add(`{"aud":{"x":[null]},"exp":null}`)
	a := authenticator(registered())
	f.Fuzz(func(t *testing.T, payload string) {
		_, refused, err := a.Authenticate(request(endpoint), form(raw(payload), "client_id", ncrs))
		if err != nil {
			t.Fatal(err)
		}
		if refused == nil && (!strings.Contains(payload, ncrs) || !strings.Contains(payload, "northmoor.example")) {
			t.Errorf("%q was accepted", payload)
		}
	})
}
