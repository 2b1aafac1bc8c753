package register

import (
	"slices"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/relyingparty"
)

// Policy is what an initial access token allows, and what its relying parties
// get that do not say. An operator who changes one of them afterwards changes
// the policy of that one.
type Policy struct {
	Profile    relyingparty.Profile `json:"profile"`
	DefaultACR care.ACR             `json:"default_acr"`
	// Scopes are those that may be registered; nil means all.
	Scopes []string `json:"scopes,omitzero"`
	// RefreshTokens lets a program ask for the grant type refresh_token.
	RefreshTokens bool `json:"refresh_tokens,omitempty"`
}

// check holds a policy to what a registration is held to, so that no token is
// given out that nobody can use.
func (p Policy) check() error {
	rp := relyingparty.RelyingParty{
		ClientID: "any", Name: "any", RedirectURIs: []string{"https://any.example/"}, AuthMethod: relyingparty.TLSClientAuth,
		Profile: p.Profile, DefaultACR: p.DefaultACR, Scopes: p.Scopes,
		Metadata: relyingparty.Metadata{TLSBound: true, TLSSubject: relyingparty.TLSSubject{DN: "CN=any"}},
	}
	rp.Complete()
	for _, mistake := range relyingparty.Check(rp) {
		return mistake
	}
	return nil
}

// given is what a relying party has of what a policy is about.
func given(rp relyingparty.RelyingParty) Policy {
	return Policy{Profile: rp.Profile, DefaultACR: rp.DefaultACR, Scopes: rp.Scopes, RefreshTokens: rp.RefreshTokens}
}

// since returns the policy for updates: was is what the program's last one left
// the relying party with. What is something else by now was set by an operator,
// and no program raises its own rights above that.
func (p Policy) since(was Policy, rp relyingparty.RelyingParty) Policy {
	is := given(rp)
	if is.Profile != was.Profile {
		p.Profile = is.Profile
	}
	if is.DefaultACR != was.DefaultACR {
		p.DefaultACR = is.DefaultACR
	}
	if is.RefreshTokens != was.RefreshTokens {
		p.RefreshTokens = is.RefreshTokens
	}
	if !slices.Equal(is.Scopes, was.Scopes) {
		p.Scopes = append([]string{}, is.Scopes...) // none of them is none, not all
	}
	return p
}
