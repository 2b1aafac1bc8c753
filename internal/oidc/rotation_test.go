package oidc_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	coreos "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/oidc/signing"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/relyingparty"
)

const jwksPath = oidc.RealmPath + "/connect/jwk_uri"

// beside is a second node on the house's database.
func (h *house) beside(d *db.DB) *httptest.Server {
	h.t.Helper()
	mux := http.NewServeMux()
	kit := pagetest.Kit(h.t)
	provider, err := oidc.New(h.t.Context(), oidc.Options{
		DB: d, Kit: kit, Ring: ring, Requirements: h.requirements, Directory: relyingparty.NewDirectory(d), BaseURL: h.server.URL,
		Outbox: h.outbox, Fetch: h.provider.Fetch, Random: h.provider.Random, Log: h.provider.Log,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	provider.Routes(mux)
	server := httptest.NewTLSServer(kit.Wrap(mux))
	h.t.Cleanup(server.Close)
	return server
}

// OpenID Connect Core section 10.1.1: keys rotate without a failed
// verification. An independent library takes the public keys from one node and
// the tokens from the other, through 200 days of the schedule.
func TestAnIndependentLibraryNoticesNoRotation(t *testing.T) {
	past := &atomic.Int64{}
	address := dbtest.Postgres(t, schemas...)
	h := newHouse(t, dbtest.OpenWith(t, db.Config{Now: clock(past)}, address), past)
	other := h.beside(dbtest.OpenWith(t, db.Config{Now: clock(past)}, address))
	ctx := coreos.ClientContext(t.Context(), other.Client())
	verifiers := map[string]*coreos.IDTokenVerifier{}
	for name, node := range map[string]*httptest.Server{"own": h.server, "other": other} {
		set := coreos.NewRemoteKeySet(ctx, node.URL+jwksPath)
		verifiers[name] = coreos.NewVerifier(h.server.URL+oidc.RealmPath, set, &coreos.Config{ClientID: ers, Now: h.Now})
	}
	seen := map[string]bool{}
	for range 200 {
		h.pass(24 * time.Hour)
		if err := h.provider.RotateKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := h.browser()
		b.withApp(amara)
		token := h.tokens(b.code(b.authorize(ask())))["id_token"].(string)
		for name, verifier := range verifiers {
			if _, err := verifier.Verify(ctx, token); err != nil {
				t.Fatalf("%s, keys of the %s node: %v", h.Now(), name, err)
			}
		}
		seen[strings.Split(token, ".")[0]] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d keys signed in 200 days, want 3", len(seen))
	}
}

// OpenID Connect Registration section 2, id_token_signed_response_alg, and
// FAPI 2.0 section 5.4.1 for the profile strict. at_hash is made with the hash
// of the algorithm (OpenID Connect Core section 3.1.3.6), which the library
// checks.
func TestEachRelyingPartyGetsTheAlgorithmThatItChose(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := coreos.ClientContext(t.Context(), h.server.Client())
		provider, err := coreos.NewProvider(ctx, h.server.URL+oidc.RealmPath)
		if err != nil {
			t.Fatal(err)
		}
		for i, test := range []struct{ chosen, want string }{
			{"", "RS256"}, {"RS256", "RS256"}, {"ES256", "ES256"}, {"PS256", "PS256"},
		} {
			client := "chooser-" + string(rune('a'+i))
			h.write(func(tx *db.Tx) error {
				rp := relyingparty.RelyingParty{
					ClientID: client, Name: client, Profile: relyingparty.CIS2, AuthMethod: relyingparty.ClientSecret, RedirectURIs: []string{callback},
					Secrets: [][]byte{keys.Hash("s")}, Methods: care.Methods(), DefaultACR: care.AAL2OrAAL3Any, Scopes: relyingparty.Scopes(),
				}
				rp.IDTokenAlg = test.chosen
				return relyingparty.Put(tx, rp)
			})
			b := h.browser()
			b.withApp(amara)
			code := b.code(b.authorize(ask("client_id", client)))
			a := h.post("/access_token", redemption(code, "client_id", client, "client_secret", "s"))
			if a.status != http.StatusOK {
				t.Fatalf("%s: %d %s", client, a.status, a.body)
			}
			answer := object(t, a.body)
			token, err := provider.Verifier(&coreos.Config{ClientID: client, Now: h.Now, SupportedSigningAlgs: []string{test.want}}).
				Verify(ctx, answer["id_token"].(string))
			if err != nil {
				t.Fatalf("%q: %v", test.chosen, err)
			}
			if err := token.VerifyAccessToken(answer["access_token"].(string)); err != nil {
				t.Errorf("%q: %v", test.chosen, err)
			}
		}
	})
}

// Wire rule 19: the public set is told apart from the one before it by its
// ETag, and may be kept for less than a new key waits before it signs.
func TestTheKeySetSaysHowLongItMayBeKept(t *testing.T) {
	h := open(t)
	fetch := func() (answer, jose.JSONWebKeySet) {
		t.Helper()
		a := h.browser().get(jwksPath)
		var set jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(a.body), &set); err != nil {
			t.Fatal(err)
		}
		return a, set
	}
	before, first := fetch()
	h.pass(signing.DefaultEvery)
	if err := h.provider.RotateKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.pass(time.Minute)
	after, second := fetch()
	if len(first.Keys) != 3 || len(second.Keys) != 6 || before.header.Get("ETag") == after.header.Get("ETag") {
		t.Errorf("%d keys with %s, then %d with %s", len(first.Keys), before.header.Get("ETag"), len(second.Keys), after.header.Get("ETag"))
	}
	age, found := strings.CutPrefix(after.header.Get("Cache-Control"), "public, max-age=")
	kept, err := time.ParseDuration(age + "s")
	if !found || err != nil || 2*kept > signing.LeastPublish {
		t.Errorf("the set may be kept for %s, and a key waits %s", age, signing.LeastPublish)
	}
}
