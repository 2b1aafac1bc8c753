package oidc

import (
	"slices"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/relyingparty"
)

// OpenID Connect Core section 5.5.1.1: acr_values is voluntary; domain, 1.8.
func TestAcceptableClasses(t *testing.T) {
	all, four := care.Methods(), []care.Method{care.Smartcard, care.WindowsHello, care.SecurityKey, care.IPadApp}
	type acrs = []care.ACR
	for _, test := range []struct {
		asked    []string
		methods  []care.Method
		fallback care.ACR
		want     acrs // nil: refused
	}{
		{nil, all, care.AAL2OrAAL3Any, acrs{care.AAL2OrAAL3Any}},
		{nil, all, "", acrs{care.AAL3Any}},
		{nil, []care.Method{care.NHSmail}, care.AAL3Any, nil},
		{[]string{"AAL3_ANY"}, all, care.AAL2OrAAL3Any, acrs{care.AAL3Any}},
		{[]string{"AAL2_ANY", "AAL3_ANY"}, all, care.AAL3Any, acrs{care.AAL2Any, care.AAL3Any}},
		{[]string{"AAL2_ANY", "AAL2_ANY"}, all, care.AAL3Any, acrs{care.AAL2Any}},
		{[]string{"AAL2_ANY", "AAL3_ANY"}, four, care.AAL3Any, acrs{care.AAL3Any}},
		{[]string{"AAL2_ANY"}, four, care.AAL3Any, nil},
		{[]string{"AAL1_USERPASS"}, all, care.AAL2OrAAL3Any, nil},
		{[]string{"AAL1_USERPASS", "AAL2_TOTP"}, all, care.AAL3Any, acrs{"AAL2_TOTP"}},
		{[]string{"gold"}, all, care.AAL2OrAAL3Any, acrs{care.AAL2OrAAL3Any}},
		{[]string{"gold", "AAL3_ANY"}, all, care.AAL2OrAAL3Any, acrs{care.AAL3Any}},
		{[]string{"aal3_any"}, all, care.AAL2OrAAL3Any, acrs{care.AAL2OrAAL3Any}},
		{[]string{"AAL3_NEW"}, all, care.AAL2OrAAL3Any, acrs{care.AAL3Any}},
		{[]string{"AAL3_NEW"}, []care.Method{care.NHSmail}, care.AAL2OrAAL3Any, nil},
		{[]string{"AAL2_NEW"}, all, care.AAL2OrAAL3Any, acrs{care.AAL2OrAAL3Any}},
		{[]string{"gold", "AAL2_ANY"}, four, care.AAL3Any, nil},
		{[]string{"AAL3_SMARTCARD", "AAL2_TOTP", "AAL3_ANY"}, all, care.AAL3Any, acrs{"AAL3_SMARTCARD", "AAL2_TOTP", care.AAL3Any}},
	} {
		got, e := acceptable(wish{acrs: test.asked}, relyingparty.RelyingParty{Methods: test.methods, DefaultACR: test.fallback})
		if !slices.Equal(got, test.want) || (e == nil) != (test.want != nil) {
			t.Errorf("acceptable(%v) with default %q and %v = %v, %v; want %v", test.asked, test.fallback, test.methods, got, e, test.want)
		}
	}
}

func TestWhichSignInCounts(t *testing.T) {
	now := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	never := time.Time{}
	for _, test := range []struct {
		name   string
		again  bool
		maxAge time.Duration
		asked  time.Time
		want   time.Time
	}{
		{"nothing asked", false, -1, never, never},
		{"nothing asked, coming back", false, -1, ago(time.Minute), never},
		{"prompt=login", true, -1, never, now},
		{"prompt=login, coming back", true, -1, ago(time.Minute), ago(time.Minute)},
		{"prompt=login, long ago", true, -1, ago(20 * time.Minute), ago(settled)},
		{"max_age", false, 5 * time.Minute, never, ago(5 * time.Minute)},
		{"max_age, coming back", false, time.Second, ago(time.Minute), ago(time.Minute)},
		{"max_age, coming back soon", false, 5 * time.Minute, ago(time.Minute), ago(5 * time.Minute)},
		{"max_age=0", false, 0, never, now},
		{"both", true, time.Hour, never, now},
		{"both, coming back", true, time.Hour, ago(time.Minute), ago(time.Minute)},
	} {
		if got := (request{again: test.again, maxAge: test.maxAge}).after(now, test.asked); !got.Equal(test.want) {
			t.Errorf("%s: sign-ins count from %v, want %v", test.name, got, test.want)
		}
	}
}

// OpenID Connect Core section 5.5.1.1: an essential acr is met by one of its
// values or not at all.
func TestAnEssentialClassIsMetOrRefused(t *testing.T) {
	all, four := care.Methods(), []care.Method{care.Smartcard, care.WindowsHello, care.SecurityKey, care.IPadApp}
	type acrs = []care.ACR
	for _, test := range []struct {
		claims, acrValues string
		methods           []care.Method
		want              acrs // nil: refused
	}{
		{`{"essential":true,"values":["AAL3_ANY"]}`, "", all, acrs{care.AAL3Any}},
		{`{"essential":true,"value":"AAL3_ANY"}`, "", all, acrs{care.AAL3Any}},
		{`{"essential":true,"values":["AAL2_ANY","AAL3_ANY"]}`, "", all, acrs{care.AAL2Any, care.AAL3Any}},
		{`{"essential":true,"values":["AAL2_ANY","AAL3_ANY"]}`, "AAL3_ANY", all, acrs{care.AAL3Any}},
		{`{"essential":true,"values":["AAL3_ANY"]}`, "AAL2_ANY", all, acrs{care.AAL3Any}},
		{`{"essential":true,"values":["gold","AAL3_ANY"]}`, "", all, acrs{care.AAL3Any}},
		{`{"essential":true,"values":["gold"]}`, "", all, nil},
		{`{"essential":true,"values":["gold"]}`, "AAL3_ANY", all, nil},
		{`{"essential":true,"values":["AAL1_USERPASS"]}`, "", all, nil},
		{`{"essential":true,"values":["AAL2_ANY"]}`, "", four, nil},
		{`{"essential":true}`, "", all, acrs{care.AAL2OrAAL3Any}}, // any acr will do, and there is one always
		{`{"values":["AAL3_ANY"]}`, "", all, acrs{care.AAL3Any}},
		{`{"values":["gold"]}`, "", all, acrs{care.AAL2OrAAL3Any}},
		{`{"values":["AAL2_ANY"]}`, "AAL3_ANY", all, acrs{care.AAL3Any, care.AAL2Any}},
		{`null`, "AAL3_ANY", all, acrs{care.AAL3Any}},
	} {
		asked := wish{acrs: strings.Fields(test.acrValues)}
		if e := asked.readClaims(`{"id_token":{"acr":` + test.claims + `}}`); e != nil {
			t.Fatalf("%s: %v", test.claims, e.description)
		}
		got, e := acceptable(asked, relyingparty.RelyingParty{Methods: test.methods, DefaultACR: care.AAL2OrAAL3Any})
		if !slices.Equal(got, test.want) || (e == nil) != (test.want != nil) {
			t.Errorf("%s with acr_values %q = %v, %v; want %v", test.claims, test.acrValues, got, e, test.want)
		}
		if e != nil && e.code != "unmet_authentication_requirements" {
			t.Errorf("%s is refused with %s", test.claims, e.code)
		}
	}
}

// OpenID Connect Core section 5.5: what is not understood is ignored, what is
// no claims request is refused.
func TestClaimsThatAreUnderstood(t *testing.T) {
	for text, good := range map[string]bool{
		"":   true,
		"{}": true,
		`{"userinfo":{"given_name":{"essential":true},"nickname":null},"id_token":{"auth_time":{"essential":true}},"verified":[1]}`: true,
		`{"id_token":null,"userinfo":null}`:             true,
		`{"id_token":{"sub":{"value":"555000100101"}}}`: true,
		`{"id_token":{"acr":{"essential":"yes"}}}`:      false,
		`{"id_token":{"acr":{"values":"AAL3_ANY"}}}`:    false,
		`{"id_token":{"acr":[]}}`:                       false,
		`{"id_token":{"sub":{"values":["1","2"]}}}`:     false,
		`{"id_token":[]}`:                               false,
		`[]`:                                            false,
		`{`:                                             false,
		`acr`:                                           false,
		`{"x":"` + strings.Repeat("x", maxClaims) + `"}`: false,
	} {
		var w wish
		e := w.readClaims(text)
		if (e == nil) != good || e != nil && e.code != "invalid_request" {
			t.Errorf("claims=%.80s: %v, want it taken: %t", text, e, good)
		}
		if named, ok := strings.CutPrefix(text, `{"id_token":{"sub":{"value":"`); ok && string(w.subject)+`"}}}` != named {
			t.Errorf("the person is %q", w.subject)
		}
	}
}
