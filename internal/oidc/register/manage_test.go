package register_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/oidc/register"
	"carekey.dev/carekey/internal/relyingparty"
)

// RFC 7592 sections 2.1 and 2.3: with its token a program reads what it
// registered and takes it away; then neither the relying party nor the token is
// good any more.
func TestAProgramReadsAndRemovesWhatItRegistered(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		made := h.registered()
		other := h.registered()
		read, err := h.Read(t.Context(), made.ClientID, made.Token)
		h.must(err)
		want := made
		want.Secret, want.SecretExpires = "", nil // only its hash is kept
		if diff := cmp.Diff(object(t, want), object(t, read)); diff != "" {
			t.Errorf("read (-want +got):\n%s", diff)
		}
		for _, c := range [][2]string{{made.ClientID, other.Token}, {made.ClientID, ""}, {"555000000000.apps.national", made.Token}, {"", ""}} {
			_, err := h.Read(t.Context(), c[0], c[1])
			refused(t, err, register.InvalidToken)
			_, err = h.Replace(t.Context(), c[0], c[1], sent("client_id", c[0]))
			refused(t, err, register.InvalidToken)
			refused(t, h.Remove(t.Context(), c[0], c[1]), register.InvalidToken)
		}
		h.must(h.Remove(t.Context(), made.ClientID, made.Token))
		if _, err := h.stored(made.ClientID); !errors.Is(err, db.ErrNoRows) {
			t.Errorf("it is still there: %v", err)
		}
		_, err = h.Read(t.Context(), made.ClientID, made.Token)
		refused(t, err, register.InvalidToken)
		if _, err := h.Read(t.Context(), other.ClientID, other.Token); err != nil {
			t.Errorf("the other one: %v", err)
		}
	})
}

// RFC 7592 section 2.2: what an update leaves out has its default again, and
// what an operator set is not the program's to touch.
func TestAnUpdateTakesTheWholePlace(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		made := h.registered("default_max_age", 600, "post_logout_redirect_uris", []string{"https://rota.example.nhs.uk/bye"}, "dpop_bound_access_tokens", true)
		h.operator(made.ClientID, func(rp *relyingparty.RelyingParty) {
			rp.Introspects, rp.Team, rp.Quirks.NumericLevels = true, "north", true
		})
		after, err := h.Replace(t.Context(), made.ClientID, made.Token,
			sent("client_id", made.ClientID, "client_secret", made.Secret, "client_name", "New", "redirect_uris", []string{callback + "2"}))
		h.must(err)
		if after.Secret != "" || after.Token != made.Token || after.URI != made.URI || after.IssuedAt != made.IssuedAt {
			t.Errorf("told %+v", after)
		}
		rp, err := h.stored(made.ClientID)
		h.must(err)
		if rp.Name != "New" || rp.ShortName != "New" || !rp.Redirects(callback+"2") || rp.Redirects(callback) ||
			rp.DefaultMaxAge != nil || len(rp.PostLogoutRedirectURIs) > 0 || rp.DPoPBound {
			t.Errorf("stored %+v", rp)
		}
		if !rp.Introspects || rp.Team != "north" || !rp.Quirks.NumericLevels || !rp.CheckSecret(made.Secret) {
			t.Errorf("the operator's settings or the secret are gone: %+v", rp)
		}
	})
}

// No program raises its own rights: what an operator takes from a registration
// (scopes, refresh tokens) or asks of it (the profile, the class) since it was
// made binds the updates that come after, whatever its token allowed (RFC 7592
// section 2.2: the server MAY replace requested values).
func TestAnUpdateDoesNotUndoWhatAnOperatorTookAway(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		token := h.allow(func(a *register.Allowance) { a.RefreshTokens = true })
		made, err := h.Register(t.Context(), token, sent("grant_types", []string{"authorization_code", "refresh_token"},
			"scope", "openid profile email offline_access", "token_endpoint_auth_method", "private_key_jwt",
			"jwks_uri", "https://rota.example.nhs.uk/jwks", "dpop_bound_access_tokens", true))
		h.must(err)
		h.operator(made.ClientID, func(rp *relyingparty.RelyingParty) {
			rp.Profile, rp.DefaultACR, rp.RefreshTokens, rp.Scopes = relyingparty.Strict, care.AAL3Any, false, []string{"openid", "profile"}
		})
		update := func(pairs ...any) relyingparty.RelyingParty {
			t.Helper()
			_, err := h.Replace(t.Context(), made.ClientID, made.Token, sent(append([]any{"client_id", made.ClientID,
				"grant_types", []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method", "private_key_jwt",
				"jwks_uri", "https://rota.example.nhs.uk/jwks", "dpop_bound_access_tokens", true}, pairs...)...))
			h.must(err)
			rp, err := h.stored(made.ClientID)
			h.must(err)
			return rp
		}
		for range 2 { // what the first update left is no permission for the second
			rp := update("client_name", "New")
			if rp.Profile != relyingparty.Strict || rp.DefaultACR != care.AAL3Any || rp.RefreshTokens || !slices.Equal(rp.Scopes, []string{"openid", "profile"}) {
				t.Errorf("after an update: %s, %s, refresh tokens %t, scopes %q", rp.Profile, rp.DefaultACR, rp.RefreshTokens, rp.Scopes)
			}
			update("scope", "openid")
		}
		// The program may have less, and later again what the operator left it.
		if rp := update("scope", "openid nationalrbacaccess"); !slices.Equal(rp.Scopes, []string{"openid"}) {
			t.Errorf("asked for less and more: %q", rp.Scopes)
		}
		h.operator(made.ClientID, func(rp *relyingparty.RelyingParty) { rp.Scopes = []string{"openid", "email"} })
		if rp := update("scope", "openid email"); !slices.Equal(rp.Scopes, []string{"openid", "email"}) {
			t.Errorf("the operator gave another one: %q", rp.Scopes)
		}
	})
}

// RFC 7592 section 2.2: client_id MUST match, a client_secret MUST be the
// issued one and is never overwritten, and four fields MUST NOT be there.
func TestAnUpdateThatIsNotAllowed(t *testing.T) {
	h := open(t)
	made := h.registered()
	for name, pairs := range map[string][]any{
		"no client_id":      {},
		"another client_id": {"client_id", "555000000000.apps.national"},
		"a chosen secret":   {"client_id", made.ClientID, "client_secret", "chosen by me"},
		"an empty secret":   {"client_id", made.ClientID, "client_secret", ""},
		"the token":         {"client_id", made.ClientID, "registration_access_token", made.Token},
		"the address":       {"client_id", made.ClientID, "registration_client_uri", made.URI},
		"when issued":       {"client_id", made.ClientID, "client_id_issued_at", 1},
		"when it expires":   {"client_id", made.ClientID, "client_secret_expires_at", 0},
	} {
		_, err := h.Replace(t.Context(), made.ClientID, made.Token, sent(append(pairs, "client_name", "Changed")...))
		if why, ok := errors.AsType[*register.Refused](err); !ok || why.Code != register.InvalidMetadata {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := h.Replace(t.Context(), made.ClientID, made.Token, sent("client_id", made.ClientID, "redirect_uris", nil))
	refused(t, err, register.InvalidRedirect)
	if rp, err := h.stored(made.ClientID); err != nil || rp.Name != "Rota" || !rp.CheckSecret(made.Secret) {
		t.Errorf("stored %+v, %v", rp, err)
	}
}

// A secret comes and goes with the way of authentication, and is always made
// here (decision 15).
func TestAChangedWayOfAuthenticationChangesTheSecret(t *testing.T) {
	h := open(t)
	made := h.registered()
	update := func(pairs ...any) register.Registration {
		after, err := h.Replace(t.Context(), made.ClientID, made.Token, sent(append(pairs, "client_id", made.ClientID)...))
		h.must(err)
		return after
	}
	update("token_endpoint_auth_method", "private_key_jwt", "jwks_uri", "https://rota.example.nhs.uk/jwks")
	if rp, err := h.stored(made.ClientID); err != nil || rp.CheckSecret(made.Secret) || rp.AuthMethod != relyingparty.PrivateKeyJWT {
		t.Errorf("the old secret is still good: %v", err)
	}
	back := update("token_endpoint_auth_method", "client_secret_post")
	if rp, err := h.stored(made.ClientID); err != nil || back.Secret == "" || back.Secret == made.Secret || !rp.CheckSecret(back.Secret) {
		t.Errorf("no new secret: %v", err)
	}
}

// RFC 7592 section 2.1: the token of a relying party that is gone SHOULD be
// revoked: it means nothing should the name come back, were it a moment later.
func TestAnOperatorsRemovalEndsTheToken(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		made, kept := h.registered(), h.registered()
		before, err := h.stored(made.ClientID)
		h.must(err)
		h.must(h.db.Write(t.Context(), func(tx *db.Tx) error { return relyingparty.Delete(tx, made.ClientID) }))
		_, err = h.Read(t.Context(), made.ClientID, made.Token)
		refused(t, err, register.InvalidToken)
		h.must(h.db.Write(t.Context(), func(tx *db.Tx) error { return relyingparty.Add(tx, "operator", before) }))
		_, err = h.Read(t.Context(), made.ClientID, made.Token)
		refused(t, err, register.InvalidToken)
		_, err = h.Replace(t.Context(), made.ClientID, made.Token, sent("client_id", made.ClientID))
		refused(t, err, register.InvalidToken)
		refused(t, h.Remove(t.Context(), made.ClientID, made.Token), register.InvalidToken)
		h.pass(usual().For)
		h.must(h.db.Write(t.Context(), register.Prune))
		if h.count("registered_client") != 1 || h.count("registration_token") != 0 {
			t.Errorf("%d registrations and %d tokens are left", h.count("registered_client"), h.count("registration_token"))
		}
		_, err = h.Read(t.Context(), kept.ClientID, kept.Token)
		h.must(err)
	})
}
