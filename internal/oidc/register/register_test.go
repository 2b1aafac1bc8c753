package register_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/oidc/register"
	"carekey.dev/carekey/internal/relyingparty"
)

// refused fails the test unless err is the answer of the protocol with a code.
func refused(t testing.TB, err error, code string) *register.Refused {
	t.Helper()
	why, ok := errors.AsType[*register.Refused](err)
	if !ok || why.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	return why
}

// RFC 7591 section 3.2.1: the answer MUST have client_id, MUST have
// client_secret_expires_at with a secret, and MUST tell all registered
// metadata, defaults too. RFC 7592 section 3: and the registration access
// token and its address.
func TestAProgramIsToldAllThatWasRegistered(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		made := h.registered("client_name", nil, "logo_uri", "https://rota.example.nhs.uk/logo.png", "unheard_of", map[string]int{"a": 1})
		got := object(t, made)
		for _, random := range []string{"client_id", "client_secret", "registration_access_token"} {
			if text, _ := got[random].(string); len(text) < 20 {
				t.Errorf("%s is %v", random, got[random])
			}
			delete(got, random)
		}
		want := map[string]any{
			"client_secret_expires_at": 0.0, "client_id_issued_at": float64(start.Unix()),
			"registration_client_uri": endpoint + "?client_id=" + made.ClientID,
			"redirect_uris":           []any{callback}, "token_endpoint_auth_method": "client_secret_basic",
			"grant_types": []any{"authorization_code"}, "response_types": []any{"code"}, "client_name": "rota.example.nhs.uk",
			"scope":        strings.Join(slices.DeleteFunc(relyingparty.Scopes(), func(s string) bool { return s == "offline_access" }), " "),
			"subject_type": "public", "id_token_signed_response_alg": "RS256", "default_acr_values": []any{"AAL2_OR_AAL3_ANY"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		rp, err := h.stored(made.ClientID)
		if err != nil || !rp.CheckSecret(made.Secret) || rp.Profile != relyingparty.CIS2 || !rp.Redirects(callback) {
			t.Errorf("stored %+v, %v", rp, err)
		}
		if n := h.count(`registered_client WHERE token <> ''`); n != 1 {
			t.Errorf("%d registrations", n)
		}
	})
}

// Each field that a program can say reaches the relying party, and comes back.
func TestEveryFieldIsStoredAndToldAgain(t *testing.T) {
	h := open(t)
	fields := []any{
		"redirect_uris", []any{callback, "https://rota.example.nhs.uk/other?x=1"}, "client_name", "Rota",
		"token_endpoint_auth_method", "private_key_jwt", "token_endpoint_auth_signing_alg", "ES256",
		"jwks_uri", "https://rota.example.nhs.uk/jwks", "scope", "openid profile",
		"id_token_signed_response_alg", "ES256", "userinfo_signed_response_alg", "PS256", "default_max_age", 600.0,
		"default_acr_values", []any{"AAL3_ANY"}, "request_object_signing_alg", "PS256",
		"request_uris", []any{"https://rota.example.nhs.uk/request"}, "require_signed_request_object", true,
		"require_pushed_authorization_requests", true, "tls_client_certificate_bound_access_tokens", true, "dpop_bound_access_tokens", true,
		"post_logout_redirect_uris", []any{"https://rota.example.nhs.uk/bye"},
		"backchannel_logout_uri", "https://rota.example.nhs.uk/bcl", "backchannel_logout_session_required", true,
		"frontchannel_logout_uri", "https://rota.example.nhs.uk/fcl", "frontchannel_logout_session_required", true,
		"grant_types", []any{"authorization_code"}, "response_types", []any{"code"}, "subject_type", "public",
	}
	made := h.registered(fields...)
	read, err := h.Read(t.Context(), made.ClientID, made.Token)
	h.must(err)
	for _, told := range []register.Registration{made, read} {
		got := object(t, told)
		for i := 0; i < len(fields); i += 2 {
			if diff := cmp.Diff(fields[i+1], got[fields[i].(string)]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", fields[i], diff)
			}
		}
		if told.Secret != "" || told.SecretExpires != nil {
			t.Error("a client without a secret was told one")
		}
	}
	byCertificate := h.registered("token_endpoint_auth_method", "tls_client_auth", "tls_client_auth_san_dns", "rota.example.nhs.uk")
	if rp, err := h.stored(byCertificate.ClientID); err != nil || rp.TLSSubject.DNS != "rota.example.nhs.uk" || rp.AuthMethod != relyingparty.TLSClientAuth {
		t.Errorf("stored %+v, %v", rp, err)
	}
}

// RFC 7591 section 3.2.2: redirect addresses that are not acceptable have a
// code of their own, everything else invalid_client_metadata.
func TestWhatCannotBeRegisteredHasItsError(t *testing.T) {
	h := open(t)
	token := h.allow()
	const metadata, redirect = register.InvalidMetadata, register.InvalidRedirect
	for name, c := range map[string]struct {
		body []byte
		code string
	}{
		"no redirect address":      {sent("redirect_uris", nil), redirect},
		"empty redirect addresses": {sent("redirect_uris", []string{}), redirect},
		"fragment":                 {sent("redirect_uris", []string{callback + "#x"}), redirect}, // OpenID Connect Core section 3.1.2.1
		"plain http":               {sent("redirect_uris", []string{"http://rota.example.nhs.uk/callback"}), redirect},
		"a script":                 {sent("redirect_uris", []string{"javascript:alert(1)"}), redirect},
		"one of two is wrong":      {sent("redirect_uris", []string{callback, "/callback"}), redirect},
		"redirect_uris is a text":  {sent("redirect_uris", callback), metadata},
		"public client":            {sent("token_endpoint_auth_method", "none"), metadata},
		"client_secret_jwt":        {sent("token_endpoint_auth_method", "client_secret_jwt"), metadata},
		"assertions without keys":  {sent("token_endpoint_auth_method", "private_key_jwt"), metadata},
		"two key sets":             {sent("jwks_uri", "https://rota.example.nhs.uk/jwks", "jwks", map[string]any{"keys": []any{}}), metadata}, // RFC 7591 section 2: MUST NOT both be present
		"a private key":            {sent("jwks", map[string]any{"keys": []any{map[string]any{"kty": "oct", "k": "AAAA"}}}), metadata},
		"implicit flow":            {sent("response_types", []string{"id_token"}), metadata},
		"other grant":              {sent("grant_types", []string{"client_credentials"}), metadata},
		"pairwise":                 {sent("subject_type", "pairwise"), metadata},
		"unsigned ID tokens":       {sent("id_token_signed_response_alg", "none"), metadata},
		"HMAC":                     {sent("id_token_signed_response_alg", "HS256"), metadata},
		"unsigned request objects": {sent("request_object_signing_alg", "none"), metadata},
		"encrypted ID tokens":      {sent("id_token_encrypted_response_alg", "RSA-OAEP"), metadata},
		"encrypted userinfo":       {sent("userinfo_encrypted_response_alg", "RSA-OAEP"), metadata},
		"encrypted requests":       {sent("request_object_encryption_alg", "RSA-OAEP"), metadata},
		"unknown classes":          {sent("default_acr_values", []string{"urn:x"}), metadata},
		"negative age":             {sent("default_max_age", -1), metadata},
		"logout by plain http":     {sent("backchannel_logout_uri", "http://rota.example.nhs.uk/bcl"), metadata},
		"long name":                {sent("client_name", strings.Repeat("x", 300)), metadata},
		"name on two lines":        {sent("client_name", "a\nb"), metadata},
		"software statement":       {sent("software_statement", "eyJ"), register.UnapprovedSoftware},
		"no JSON":                  {[]byte(`{`), metadata},
		"nothing":                  {nil, metadata},
		"a list":                   {[]byte(`[]`), metadata},
		"null":                     {[]byte(` null`), metadata},
		"two objects":              {append(sent(), sent()...), metadata},
	} {
		_, err := h.Register(t.Context(), token, c.body)
		why, ok := errors.AsType[*register.Refused](err)
		if !ok || why.Code != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
			continue
		}
		if strings.ContainsFunc(why.Description, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) || len(why.Description) > 500 {
			t.Errorf("%s: error_description %q", name, why.Description)
		}
	}
	if n := h.count("relying_party"); n != 0 {
		t.Errorf("%d relying parties were stored", n)
	}
	if n := h.count("registration_token WHERE uses_left = 100"); n != 1 {
		t.Error("a refusal used the token")
	}
}

// No program raises its own rights: what is not the registry's to say is
// ignored, and what the operator did not allow is not given.
func TestATokensPolicyHolds(t *testing.T) {
	h := open(t)
	greedy := sent(
		"grant_types", []string{"authorization_code", "refresh_token"}, "scope", "openid profile nationalrbacaccess offline_access made_up",
		"introspects", true, "refresh_tokens", true, "team", "north", "quirks", map[string]bool{"numeric_levels": true}, "profile", "cis2",
		"methods", []string{"authenticator_app"},
	)
	made, err := h.Register(t.Context(), h.allow(func(a *register.Allowance) { a.Scopes = []string{"openid", "profile", "email"} }), greedy)
	h.must(err)
	rp, err := h.stored(made.ClientID)
	h.must(err)
	if diff := cmp.Diff([]string{"openid", "profile"}, rp.Scopes); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
	if rp.Introspects || rp.RefreshTokens || rp.Team != "" || rp.Quirks != (relyingparty.Quirks{}) || len(rp.Methods) != len(care.Methods()) {
		t.Errorf("the program raised its rights: %+v", rp.Metadata)
	}
	if diff := cmp.Diff([]string{"authorization_code"}, made.GrantTypes); diff != "" {
		t.Errorf("grant types (-want +got):\n%s", diff)
	}
	made, err = h.Register(t.Context(), h.allow(func(a *register.Allowance) { a.RefreshTokens = true }), greedy)
	h.must(err)
	if !slices.Contains(made.GrantTypes, "refresh_token") || !strings.Contains(made.Scope, "offline_access") {
		t.Errorf("refresh tokens were allowed and are not given: %v, %s", made.GrantTypes, made.Scope)
	}
	strict := h.allow(func(a *register.Allowance) { a.Profile = relyingparty.Strict })
	_, err = h.Register(t.Context(), strict, sent()) // a secret is not enough there
	refused(t, err, register.InvalidMetadata)
	made, err = h.Register(t.Context(), strict, sent("token_endpoint_auth_method", "private_key_jwt", "jwks_uri", "https://rota.example.nhs.uk/jwks", "dpop_bound_access_tokens", true))
	h.must(err)
	if made.IDTokenAlg != "PS256" {
		t.Errorf("strict signs with %s", made.IDTokenAlg)
	}
}

func TestAnInitialTokenEnds(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		token := h.allow()
		for _, wrong := range []string{"", "nonsense", token + "x"} {
			_, err := h.Register(t.Context(), wrong, sent())
			refused(t, err, register.InvalidToken)
		}
		h.pass(time.Hour - time.Second)
		_, err := h.Register(t.Context(), token, sent())
		h.must(err)
		h.pass(2 * time.Second)
		_, err = h.Register(t.Context(), token, sent())
		refused(t, err, register.InvalidToken)

		once := h.allow(func(a *register.Allowance) { a.Uses = 1 })
		_, err = h.Register(t.Context(), once, sent())
		h.must(err)
		_, err = h.Register(t.Context(), once, sent())
		refused(t, err, register.InvalidToken)
	})
}

func TestNoTokenIsGivenOutThatNobodyCouldUse(t *testing.T) {
	h := open(t)
	for name, change := range map[string]func(*register.Allowance){
		"profile": func(a *register.Allowance) { a.Profile = "lax" },
		"class":   func(a *register.Allowance) { a.DefaultACR = "AAL9" },
		"scope":   func(a *register.Allowance) { a.Scopes = []string{"everything"} },
		"no time": func(a *register.Allowance) { a.For = 0 },
		"a year":  func(a *register.Allowance) { a.For = 365 * 24 * time.Hour },
		"no uses": func(a *register.Allowance) { a.Uses = 0 },
		"uses":    func(a *register.Allowance) { a.Uses = register.MostUses + 1 },
	} {
		a := usual()
		change(&a)
		if _, err := register.Allow(t.Context(), h.db, rand.Reader, a); err == nil {
			t.Errorf("%s: a token was made", name)
		}
	}
}

// Of programs that register at the same moment on two nodes, no more get
// through than the operator allowed.
func TestRacingRegistrationsNeverExceedTheToken(t *testing.T) {
	const racers, allowed = 60, 7
	url := dbtest.Postgres(t, schemas...)
	var nodes []*house
	for range 2 {
		past := &atomic.Int64{}
		nodes = append(nodes, on(t, dbtest.OpenWith(t, db.Config{Now: clock(past)}, url), past))
	}
	token := nodes[0].allow(func(a *register.Allowance) { a.Uses = allowed })
	var won atomic.Int64
	var group sync.WaitGroup
	for i := range racers {
		group.Go(func() {
			_, err := nodes[i%2].Register(context.Background(), token, sent())
			why, ok := errors.AsType[*register.Refused](err)
			switch {
			case err == nil:
				won.Add(1)
			case !ok || why.Code != register.InvalidToken:
				t.Error(err)
			}
		})
	}
	group.Wait()
	if won.Load() != allowed || nodes[0].count("relying_party") != allowed {
		t.Errorf("%d got through, %d are stored, want %d", won.Load(), nodes[0].count("relying_party"), allowed)
	}
}

// OpenID Connect Registration section 5: the redirect addresses MUST be in the
// document of sector_identifier_uri.
func TestASectorListsEveryRedirectAddress(t *testing.T) {
	h := open(t)
	body := `["` + callback + `","https://other.example/"]`
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/sector" {
			http.NotFound(w, r)
			return
		}
		w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	h.Fetch = server.Client()
	token := h.allow()
	_, err := h.Register(t.Context(), token, sent("sector_identifier_uri", server.URL+"/sector"))
	h.must(err)
	for name, pairs := range map[string][]any{
		"not listed": {"sector_identifier_uri", server.URL + "/sector", "redirect_uris", []string{callback, callback + "2"}},
		"not there":  {"sector_identifier_uri", server.URL + "/none"},
		"plain http": {"sector_identifier_uri", "http" + strings.TrimPrefix(server.URL, "https") + "/sector"},
		"no host":    {"sector_identifier_uri", "https:"},
	} {
		_, err := h.Register(t.Context(), token, sent(pairs...))
		if why, ok := errors.AsType[*register.Refused](err); !ok || why.Code != register.InvalidMetadata {
			t.Errorf("%s: %v", name, err)
		}
	}
	body = `{"not":"a list"}`
	_, err = h.Register(t.Context(), token, sent("sector_identifier_uri", server.URL+"/sector"))
	refused(t, err, register.InvalidMetadata)
}

// FuzzRegister: whatever is sent is refused with a code of the protocol, or
// becomes a relying party that passes the check of every way in and gave
// itself no right.
func FuzzRegister(f *testing.F) {
	shared := open(f)
	f.Add(sent())
	f.Add(sent("scope", "openid offline_access", "introspects", true, "jwks", nil, "default_acr_values", []string{"AAL2_TOTP"}))
	f.Add([]byte(`{"redirect_uris":["http://localhost:*/x"],"jwks":null,"client_name":"\u0000","quirks":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		h := on(t, shared.db, shared.past)
		made, err := h.Register(t.Context(), h.allow(), body)
		if err != nil {
			why, ok := errors.AsType[*register.Refused](err)
			if !ok || !slices.Contains([]string{register.InvalidMetadata, register.InvalidRedirect, register.UnapprovedSoftware}, why.Code) {
				t.Fatal(err)
			}
			return
		}
		rp, err := h.stored(made.ClientID)
		if err != nil || len(relyingparty.Check(rp)) > 0 || rp.Introspects || rp.RefreshTokens || rp.Team != "" || rp.Profile != relyingparty.CIS2 {
			t.Fatalf("%s became %+v, %v", body, rp, err)
		}
	})
}
