package fido

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
)

// RelatedPath is where a browser asks which further origins may use keys of
// this domain (WebAuthn, 5.11).
const RelatedPath = protocol.WellKnownPathWebAuthn

// Related returns what is served there, or the error of origins that a browser
// would not take: it knows five names of sites at most.
func Related(origins []string) ([]byte, error) {
	related, err := protocol.NewRelatedOrigins(origins...)
	if err != nil {
		return nil, fmt.Errorf("related origins: %w", err)
	}
	return related.Bytes()
}

// Within reports whether keys of a domain work at an origin without anything
// being served (WebAuthn, 4: "RP ID"): its host is the domain or below it.
func Within(rpID, origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	return host == rpID || strings.HasSuffix(host, "."+rpID)
}
