package relyingparty_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/relyingparty"
)

const publicKey = `{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`

func registration(change func(*relyingparty.RelyingParty)) relyingparty.RelyingParty {
	rp := relyingparty.RelyingParty{ClientID: "one", Name: "One", RedirectURIs: []string{"https://one.example/callback"}}
	if change != nil {
		change(&rp)
	}
	rp.Complete()
	return rp
}

func TestWhatIsLeftOutGetsTheSafeDefault(t *testing.T) {
	rp := registration(nil)
	if rp.Profile != relyingparty.CIS2 || rp.AuthMethod != relyingparty.ClientSecret || rp.ShortName != "One" || rp.DefaultACR != care.AAL3Any ||
		len(rp.Methods) != len(care.Methods()) || slices.Contains(rp.Scopes, relyingparty.OfflineAccess) || !slices.Contains(rp.Scopes, "openid") {
		t.Errorf("completed to %+v", rp)
	}
	if found := relyingparty.Check(rp); found != nil {
		t.Errorf("mistakes: %v", found)
	}
}

func TestEachMistakeOfARegistrationIsNamedWithItsField(t *testing.T) {
	negative := int64(-1)
	for want, change := range map[string]func(*relyingparty.RelyingParty){
		"client_id": func(rp *relyingparty.RelyingParty) { rp.ClientID = "one two" },
		"name":      func(rp *relyingparty.RelyingParty) { rp.Name = "One\nTwo" },
		"private_key_jwt needs": func(rp *relyingparty.RelyingParty) {
			rp.AuthMethod = relyingparty.PrivateKeyJWT
		},
		"use jwks_uri or jwks, not both": func(rp *relyingparty.RelyingParty) {
			rp.AuthMethod, rp.JWKSURI, rp.JWKS = relyingparty.PrivateKeyJWT, "https://one.example/jwks", json.RawMessage(publicKey)
		},
		"is not a public key": func(rp *relyingparty.RelyingParty) {
			rp.AuthMethod, rp.JWKS = relyingparty.PrivateKeyJWT, json.RawMessage(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`)
		},
		"self_signed_tls_client_auth needs": func(rp *relyingparty.RelyingParty) { rp.AuthMethod = relyingparty.SelfSignedTLS },
		// RFC 8705 section 2.1.2: exactly one.
		"exactly one of": func(rp *relyingparty.RelyingParty) {
			rp.AuthMethod, rp.TLSSubject = relyingparty.TLSClientAuth, relyingparty.TLSSubject{DN: "CN=a", DNS: "a.example"}
		},
		"tls_client_auth_san_ip": func(rp *relyingparty.RelyingParty) {
			rp.AuthMethod, rp.TLSSubject.IP = relyingparty.TLSClientAuth, "10.0.0.999"
		},
		"tls_client_auth_subject_dn": func(rp *relyingparty.RelyingParty) {
			rp.AuthMethod, rp.TLSSubject.DN = relyingparty.TLSClientAuth, "e-RS at Northmoor"
		},
		"tls_client_auth_… is for": func(rp *relyingparty.RelyingParty) { rp.DNS = "a.example" },
		"frontchannel_logout_uri": func(rp *relyingparty.RelyingParty) {
			rp.FrontchannelLogoutURI = "http://one.example/out"
		},
		"request_uris[0]": func(rp *relyingparty.RelyingParty) { rp.RequestURIs = []string{"http://localhost:*/request"} },
		"redirect_uris[0]": func(rp *relyingparty.RelyingParty) {
			rp.RedirectURIs = []string{"https://*.example/callback", "http://127.0.0.1:*/callback"}[1:]
		},
		"default_max_age": func(rp *relyingparty.RelyingParty) { rp.DefaultMaxAge = &negative },
		// FAPI 2.0 section 5.3.2.1.
		"the profile strict needs private_key_jwt": func(rp *relyingparty.RelyingParty) {
			rp.Profile, rp.DPoPBound = relyingparty.Strict, true
		},
		"the profile strict needs tls_client_certificate_bound": func(rp *relyingparty.RelyingParty) {
			rp.Profile, rp.AuthMethod, rp.JWKSURI = relyingparty.Strict, relyingparty.PrivateKeyJWT, "https://one.example/jwks"
		},
		"the profile strict signs with PS256 or ES256": func(rp *relyingparty.RelyingParty) {
			rp.Profile, rp.AuthMethod, rp.JWKSURI, rp.DPoPBound = relyingparty.Strict, relyingparty.PrivateKeyJWT, "https://one.example/jwks", true
			rp.SigningAlgorithm = "RS256"
		},
	} {
		t.Run(want, func(t *testing.T) {
			found := relyingparty.Check(registration(change))
			if !slices.ContainsFunc(found, func(m relyingparty.Mistake) bool { return strings.Contains(m.Error(), want) }) {
				t.Errorf("mistakes %v, want one with %q", found, want)
			}
		})
	}
}

// OpenID Connect Core sections 3.1.2.1 and 6.2: no fragment in a redirect
// address, but one in the address of a request object says which version lies
// there.
// What a supplier calls its service stands in sentences of ours.
func TestANameHoldsNothingThatCannotBeSeen(t *testing.T) {
	for name, good := range map[string]bool{
		"e-Referral Service": true, "Ysbyty Gwynedd – Fferyllfa": true, "Dr\u00a0Shah’s Rota (№ 7)": true, "日本語 عربي": true,
		"\u202eecivreS lanoitaN": false, "a\u200bb": false, "a\u2028b": false, "\u2066a\u2069": false, "a\x1b[2Jb": false, "a\u0085b": false, "a\ufeff": false,
	} {
		rp := relyingparty.RelyingParty{ClientID: "a", Name: name, RedirectURIs: []string{"https://a.example/"}}
		rp.Complete()
		if mistakes := relyingparty.Check(rp); (len(mistakes) == 0) != good {
			t.Errorf("%+q: %v", name, mistakes)
		}
	}
}

func TestAFragmentIsForRequestObjectsAlone(t *testing.T) {
	const uri = "https://one.example/request#47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
	for field, change := range map[string]func(*relyingparty.RelyingParty){
		"":                         func(rp *relyingparty.RelyingParty) { rp.RequestURIs = []string{uri} },
		"redirect_uris[1]":         func(rp *relyingparty.RelyingParty) { rp.RedirectURIs = append(rp.RedirectURIs, uri) },
		"backchannel_logout_uri":   func(rp *relyingparty.RelyingParty) { rp.BackchannelLogoutURI = uri },
		"frontchannel_logout_uri":  func(rp *relyingparty.RelyingParty) { rp.FrontchannelLogoutURI = uri },
		"post_logout_redirect_uri": func(rp *relyingparty.RelyingParty) { rp.PostLogoutRedirectURIs = []string{uri} },
	} {
		found := relyingparty.Check(registration(change))
		if (field == "") != (len(found) == 0) || field != "" && !strings.Contains(found[0].Error(), field) {
			t.Errorf("%q: mistakes %v", field, found)
		}
	}
}

// OpenID Connect Front-Channel Logout section 2: scheme, host and port are those
// of a redirect address.
func TestAFrontChannelLeadsWhereARedirectLeads(t *testing.T) {
	for uri, good := range map[string]bool{
		"https://one.example/out":      true,
		"https://one.example:443/out":  true,
		"https://one.example:8443/out": false,
		"https://www.one.example/out":  false,
		"https://evil.example/out":     false,
		"http://localhost:3000/out":    true, // a developer's, on any port
		"http://localhost:3001/out":    true,
		"http://127.0.0.1:3000/out":    false,
	} {
		found := relyingparty.Check(registration(func(rp *relyingparty.RelyingParty) {
			rp.RedirectURIs, rp.FrontchannelLogoutURI = append(rp.RedirectURIs, "http://localhost:*/callback"), uri
		}))
		if (len(found) == 0) != good {
			t.Errorf("%s: mistakes %v", uri, found)
		}
	}
}

// Wire rule 13: only on localhost, only by http, only the port.
func TestADevelopersPortMayVary(t *testing.T) {
	rp := relyingparty.RelyingParty{RedirectURIs: []string{"http://localhost:*/callback"}, PostLogoutRedirectURIs: []string{"http://localhost:*"}}
	for uri, want := range map[string]bool{
		"http://localhost:3000/callback":           true,
		"http://localhost:65535/callback":          true,
		"http://localhost:*/callback":              false, // what is registered is no address
		"http://localhost/callback":                false,
		"http://localhost:3000/callback/":          false,
		"http://localhost:3000/other":              false,
		"http://localhost:3000@evil.example/":      false,
		"http://localhost:3000.evil.example/":      false,
		"http://localhost:/callback":               false,
		"https://localhost:3000/callback":          false,
		"http://localhost.example:3000/callback":   false,
		"http://localhost:3000/callback#fragment":  false,
		"http://localhost:3000/callback?state=abc": false,
	} {
		if got := rp.Redirects(uri); got != want {
			t.Errorf("Redirects(%q) = %t", uri, got)
		}
	}
	if !rp.LogsOutTo("http://localhost:3000") || rp.LogsOutTo("http://localhost:3000/") {
		t.Error("the way back after a sign-out is not compared as a redirect is")
	}
}

// Decision 15: 256 bits, stored as a hash, two while one is being replaced.
func TestANewSecretLeavesTheOneBeforeGood(t *testing.T) {
	var rp relyingparty.RelyingParty
	var secrets []string
	for range 3 {
		secret, hash := relyingparty.NewSecret(rand.Reader)
		if len(secret) != 43 || !bytes.Equal(hash, keys.Hash(secret)) {
			t.Errorf("secret %q", secret)
		}
		rp.AddSecret(hash)
		secrets = append(secrets, secret)
	}
	for i, want := range []bool{false, true, true} {
		if rp.CheckSecret(secrets[i]) != want {
			t.Errorf("secret %d is good: %t", i, !want)
		}
	}
}

func TestOfflineAccessIsGrantedOnlyWhereItIsSwitchedOn(t *testing.T) {
	rp := relyingparty.RelyingParty{Scopes: relyingparty.Scopes()}
	if got := rp.Grant([]string{"openid", "offline_access"}); !slices.Equal(got, []string{"openid"}) {
		t.Errorf("granted %v", got)
	}
	rp.RefreshTokens = true
	if got := rp.Grant([]string{"openid", "offline_access"}); !slices.Equal(got, []string{"openid", "offline_access"}) {
		t.Errorf("granted %v", got)
	}
}
