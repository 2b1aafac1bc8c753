package oidc

import (
	"encoding/json"
	"fmt"

	"carekey.dev/carekey/internal/care"
)

// maxClaims is the longest claims parameter that is read, in bytes.
const maxClaims = 8 << 10

// wish is what a relying party asks of the sign-in, by acr_values and by the
// claims parameter.
type wish struct {
	// acrs are the classes named, the preferred first.
	acrs []string
	// essential are the classes of an essential acr claim: nothing else will
	// do (OpenID Connect Core section 5.5.1.1).
	essential []string
	// subject is the person that a value of the claim sub names, or "".
	subject care.UID
}

// claimRequest is one member of the claims parameter (OpenID Connect Core
// section 5.5.1). null means the claim in the ordinary way.
type claimRequest struct {
	Essential bool     `json:"essential"`
	Value     *string  `json:"value"`
	Values    []string `json:"values"`
}

func (c claimRequest) all() []string {
	if c.Value != nil {
		return append([]string{*c.Value}, c.Values...)
	}
	return c.Values
}

// readClaims reads the claims parameter. acr and sub of the ID token mean
// something here (decision 11); what each scope yields is not asked for one by
// one, so every other member is ignored, as section 5.5 lets a provider do.
func (w *wish) readClaims(text string) *refusal {
	if text == "" {
		return nil
	}
	if len(text) > maxClaims {
		return invalidRequest(fmt.Sprintf("claims is longer than %d bytes", maxClaims))
	}
	var asked struct {
		IDToken  map[string]json.RawMessage `json:"id_token"`
		Userinfo map[string]json.RawMessage `json:"userinfo"`
	}
	if err := json.Unmarshal([]byte(text), &asked); err != nil {
		return invalidRequest("claims must be a JSON object whose members id_token and userinfo are objects")
	}
	acr, e := readClaim(asked.IDToken, "acr")
	if e != nil {
		return e
	}
	if acr.Essential {
		w.essential = acr.all()
	} else {
		w.acrs = append(w.acrs, acr.all()...)
	}
	sub, e := readClaim(asked.IDToken, "sub")
	if e != nil {
		return e
	}
	named := sub.all()
	if len(named) > 1 {
		return invalidRequest("claims names more than one sub")
	}
	if len(named) == 1 {
		w.subject = care.UID(named[0])
	}
	return nil
}

func readClaim(members map[string]json.RawMessage, name string) (claimRequest, *refusal) {
	var c claimRequest
	text, there := members[name]
	if !there {
		return c, nil
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, invalidRequest("in claims, " + name + " of id_token must be null or an object with essential (true or false), value (text) and values (texts)")
	}
	return c, nil
}
