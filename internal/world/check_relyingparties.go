package world

import (
	"encoding/json"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/relyingparty"
)

func (c *checker) relyingParties(entries []relyingPartyEntry) []wantedRelyingParty {
	if entries == nil {
		return nil
	}
	all := []wantedRelyingParty{}
	seen := map[string]bool{}
	for i, e := range entries {
		path := []any{"relying_parties", i}
		c.once(seen, at(path, "client_id"), "relying party", e.ClientID)
		w := wantedRelyingParty{secret: e.Secret, RelyingParty: c.relyingParty(path, e)}
		switch {
		case e.Secret != "" && c.mode != Dev:
			c.wrong(at(path, "secret"), "chosen secrets are accepted in dev mode only: leave it out, and one is made and shown once")
		case e.Secret != "" && !w.AuthMethod.HasSecret():
			c.wrong(at(path, "secret"), "a relying party with %s has no secret", w.AuthMethod)
		case e.Secret != "":
			w.Secrets = [][]byte{keys.Hash(e.Secret)}
		}
		all = append(all, w)
	}
	return all
}

// relyingParty returns what the entry registers, with every mistake at its
// place in the file.
func (c *checker) relyingParty(path []any, e relyingPartyEntry) relyingparty.RelyingParty {
	rp := relyingparty.RelyingParty{
		ClientID: e.ClientID, Name: e.Name, ShortName: e.ShortName,
		Profile: relyingparty.Profile(e.Profile), AuthMethod: relyingparty.AuthMethod(e.AuthMethod),
		JWKSURI: e.JWKSURI, SigningAlgorithm: e.SigningAlgorithm,
		RedirectURIs: e.RedirectURIs, PostLogoutRedirectURIs: e.PostLogoutRedirectURIs,
		BackchannelLogoutURI: e.BackchannelLogoutURI, Scopes: e.Scopes,
		DefaultACR: care.ACR(e.DefaultACR), Metadata: e.Metadata,
	}
	if e.JWKS != nil {
		text, err := json.Marshal(e.JWKS)
		if err != nil {
			c.wrong(at(path, "jwks"), "jwks: %v", err)
		}
		rp.JWKS = text
	}
	// What is no method is said once, and does not count as one.
	if e.Methods != nil {
		rp.Methods = []care.Method{}
	}
	for i, name := range e.Methods {
		method, err := care.ParseMethod(name)
		if err != nil {
			c.wrong(at(path, "methods", i), "%v", err)
			continue
		}
		rp.Methods = append(rp.Methods, method)
	}
	rp.Complete()
	for _, m := range relyingparty.Check(rp) {
		c.wrong(place(path, m), "%s", m.Text)
	}
	return rp
}

// place is where in the file a mistake is: at the field and entry that it names.
func place(path []any, m relyingparty.Mistake) []any {
	switch {
	case m.Field == "":
		return path
	case m.Index >= 0:
		return at(path, m.Field, m.Index)
	}
	return at(path, m.Field)
}
