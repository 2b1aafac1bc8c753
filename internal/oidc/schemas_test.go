package oidc_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/oidc/claims/claimstest"
	"carekey.dev/carekey/internal/relyingparty"
)

// The schemas that suppliers fetch are JSON Schema, and discovery names every
// claim of theirs that is of use.
func TestTheSchemasArePublished(t *testing.T) {
	h := open(t)
	b := h.browser()
	supported := object(t, b.get(discoveryPath).body)["claims_supported"].([]any)
	for _, name := range []string{"id-token.json", "userinfo.json", "logout-token.json"} {
		a := b.get(oidc.RealmPath + "/schemas/" + name)
		if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || a.header.Get("ETag") == "" {
			t.Fatalf("%s: %d %v", name, a.status, a.header)
		}
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(a.body))
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource(h.server.URL+"/"+name, document); err != nil {
			t.Fatal(err)
		}
		if _, err := compiler.Compile(h.server.URL + "/" + name); err != nil {
			t.Error(err)
		}
		if name == "logout-token.json" {
			continue
		}
		for claim := range object(t, a.body)["properties"].(map[string]any) {
			useless := []string{"subname", "auditTrackingId", "tokenName", "tokenType", "realm", "org.forgerock.openidconnect.ops"}
			if !slices.Contains(supported, any(claim)) && !slices.Contains(useless, claim) {
				t.Errorf("claims_supported lacks %s of %s", claim, name)
			}
		}
	}
	if a := b.get(oidc.RealmPath + "/schemas/claims.go"); a.status != http.StatusNotFound {
		t.Errorf("a schema that is none: %d", a.status)
	}
}

// Wire rule 9 and the switch: some libraries want the levels as numbers (domain,
// 1.7), others a list of one entry as that entry (domain, 1.6).
func TestTheSwitchesOfARelyingPartyChangeWhatItIsSent(t *testing.T) {
	for _, on := range []bool{false, true} {
		h := open(t)
		rp := relyingparty.RelyingParty{ClientID: ers, Name: "e-RS", RedirectURIs: []string{callback}, Secrets: [][]byte{keys.Hash(ersSecret)}}
		rp.Quirks.NumericLevels, rp.Quirks.SingleAsObject = on, on
		rp.Complete()
		rp.DefaultACR = "AAL2_OR_AAL3_ANY"
		h.register(rp)
		_, code := h.issue("scope", "openid nhsperson nationalrbacaccess associatedorgs")
		got := h.tokens(code)
		claims := claimsOf(t, got["id_token"].(string))
		for _, level := range []string{"id_assurance_level", "idassurancelevel", "authentication_assurance_level"} {
			if _, number := claims[level].(float64); number != on {
				t.Errorf("with the switch %t, %s is %v", on, level, claims[level])
			}
		}
		info := object(t, h.userinfo(got["access_token"].(string)).body)
		for _, list := range []string{"nhsid_nrbac_roles", "nhsid_user_orgs"} {
			if _, single := info[list].(map[string]any); single != on {
				t.Errorf("with the switch %t, %s is %v", on, list, info[list])
			}
		}
		if info["idassurancelevel"] != "3" {
			t.Errorf("with the switch %t, idassurancelevel of userinfo is %v, which has always been a string", on, info["idassurancelevel"])
		}
	}
}

// OpenID Connect Core section 5.3.2: signed where the relying party registered
// that, with iss and aud.
func TestUserinfoIsSignedForWhoeverRegisteredThat(t *testing.T) {
	for _, algorithm := range relyingparty.SigningAlgorithms() {
		h := open(t)
		rp := relyingparty.RelyingParty{ClientID: ers, Name: "e-RS", RedirectURIs: []string{callback}, Secrets: [][]byte{keys.Hash(ersSecret)}}
		rp.UserinfoAlg = algorithm
		rp.Complete()
		rp.DefaultACR = "AAL2_OR_AAL3_ANY"
		h.register(rp)
		_, code := h.issue("scope", "openid profile")
		a := h.userinfo(h.tokens(code)["access_token"].(string))
		if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/jwt" || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: %d %v %s", algorithm, a.status, a.header, a.body)
		}
		var published jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(h.browser().get(oidc.RealmPath+"/connect/jwk_uri").body), &published); err != nil {
			t.Fatal(err)
		}
		signed, err := jose.ParseSignedCompact(a.body, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		verified, err := signed.Verify(published.Key(signed.Signatures[0].Protected.KeyID)[0])
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		claimstest.Validate(t, claimstest.Userinfo, string(verified))
		info := object(t, string(verified))
		if info["iss"] != h.provider.Issuer() || info["aud"] != ers || info["sub"] != string(amara) || info["name"] != "OSEI Amara Dr" {
			t.Errorf("%s: userinfo tells %v", algorithm, info)
		}
	}
}
