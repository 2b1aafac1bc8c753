package journey

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
)

// RequirementLife is how long a person may take to meet a requirement, from
// the authorization request to the way back.
const RequirementLife = 30 * time.Minute

// RefusalParameter is the query parameter in which a refusal travels back to
// the address of care.Requirement.ReturnTo.
const RefusalParameter = "carekey_refused"

// Requirements seals what the provider asks of the sign-in room, and the
// room's answer that the person did not meet it. Nothing else passes between
// the two, and they never import each other.
//
// A sealed requirement is not bound to a browser: it gives no right, it only
// says what is missing, just as the authorization request itself does.
type Requirements struct {
	asks, refusals *keys.Sealer
	now            func() time.Time
}

// NewRequirements returns the sealer of requirements and refusals.
func NewRequirements(ring *keys.Ring, now func() time.Time) *Requirements {
	return &Requirements{asks: ring.Sealer("requirement"), refusals: ring.Sealer("refusal"), now: now}
}

type sealedRequirement struct {
	Expires     time.Time        `json:"e"`
	Requirement care.Requirement `json:"r"`
}

// SealRequirement returns the text that goes into /signin?req=.
func (q *Requirements) SealRequirement(r care.Requirement) (string, error) {
	return keys.SealJSON(q.asks, nil, sealedRequirement{q.now().Add(RequirementLife), r})
}

// OpenRequirement returns what was sealed. Faults: JourneyTampered, and
// JourneyExpired, with which the requirement is returned too, so that the page
// can name the service to go back to.
func (q *Requirements) OpenRequirement(sealed string) (care.Requirement, error) {
	s, err := keys.OpenJSON[sealedRequirement](q.asks, nil, sealed)
	if err != nil {
		return care.Requirement{}, fault.New(fault.JourneyTampered, err)
	}
	if !q.now().Before(s.Expires) {
		return s.Requirement, fault.New(fault.JourneyExpired, nil)
	}
	return s.Requirement, nil
}

// Refusal is why a person goes back without having met a requirement.
type Refusal string

// Cancelled: the person does not want to sign in.
const Cancelled Refusal = "cancelled"

type sealedRefusal struct {
	Expires time.Time `json:"e"`
	Why     Refusal   `json:"w"`
}

// SealRefusal returns the address to send the browser to when r is not met:
// ReturnTo with the sealed refusal, which counts for that address alone.
func (q *Requirements) SealRefusal(r care.Requirement, why Refusal) (string, error) {
	to, err := url.Parse(r.ReturnTo)
	if err != nil {
		return "", fmt.Errorf("reading where to go back to: %w", err)
	}
	query := to.Query()
	query.Del(RefusalParameter)
	sealed, err := keys.SealJSON(q.refusals, address(to.Path, query), sealedRefusal{q.now().Add(RequirementLife), why})
	if err != nil {
		return "", err
	}
	query.Set(RefusalParameter, sealed)
	to.RawQuery = query.Encode()
	return to.String(), nil
}

// OpenRefusal returns the refusal in the query of an address, and false if
// there is none, or none that was sealed for this very address and is live.
func (q *Requirements) OpenRefusal(path string, query url.Values) (Refusal, bool) {
	sealed := query.Get(RefusalParameter)
	if sealed == "" {
		return "", false
	}
	rest := url.Values{}
	for name, values := range query {
		if name != RefusalParameter {
			rest[name] = values
		}
	}
	s, err := keys.OpenJSON[sealedRefusal](q.refusals, address(path, rest), sealed)
	if err != nil || !q.now().Before(s.Expires) {
		return "", false
	}
	return s.Why, true
}

// address is the canonical form of an address that a refusal is bound to.
func address(path string, query url.Values) []byte {
	digest := sha256.Sum256([]byte(path + "?" + query.Encode()))
	return digest[:]
}
