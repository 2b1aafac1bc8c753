package clientauth

import "fmt"

// Cause is a reason for which a relying party was not authenticated, as its
// owner finds it again. There are few, so what is stored of them is little.
type Cause string

// The causes.
const (
	Malformed   Cause = "malformed"             // the request is no attempt of one kind
	Unknown     Cause = "unknown client"        // nobody registered it
	WrongMethod Cause = "wrong method"          // registered for another way
	NoSecret    Cause = "no secret"             //
	WrongSecret Cause = "wrong secret"          //
	NoAssertion Cause = "no assertion"          //
	Unreadable  Cause = "assertion unreadable"  // no signed JWT with claims
	Algorithm   Cause = "assertion algorithm"   //
	Type        Cause = "assertion type"        // a JWT for another end
	KeysAway    Cause = "keys unreadable"       // of jwks_uri
	NoKey       Cause = "no key"                // none with the kid
	Signature   Cause = "assertion signature"   //
	Subject     Cause = "assertion subject"     // iss or sub
	Audience    Cause = "assertion audience"    //
	Expired     Cause = "assertion expired"     //
	Lifetime    Cause = "assertion lifetime"    // no exp, or too far away
	TooEarly    Cause = "assertion too early"   // nbf or iat
	NoName      Cause = "assertion without jti" //
	Replayed    Cause = "assertion used before" //

	NoCertificate    Cause = "no certificate"        //
	BadCertificate   Cause = "certificate not valid" // its time or its issuer
	OtherCertificate Cause = "another certificate"   // not that of the client
)

// Refused says why a caller was not authenticated.
type Refused struct {
	// ClientID is the registered relying party that the caller named; "" if
	// there is none.
	ClientID string
	Cause    Cause
	// Reason is for the relying party's owner. It may quote what was sent,
	// escaped and cut, and never a secret.
	Reason string
	// Assertion: the caller sent one, so it is told in those words (wire rule
	// 7).
	Assertion bool
	// InvalidRequest: the request is malformed, and Reason may be told.
	InvalidRequest bool
}

// Error is the reason.
func (r *Refused) Error() string { return r.Reason }

func refuse(cause Cause, format string, args ...any) *Refused {
	return &Refused{Cause: cause, Reason: fmt.Sprintf(format, args...)}
}

// malformed is a request that mixes ways of authentication (RFC 6749 section
// 2.3).
func malformed(reason string) *Refused {
	return &Refused{Cause: Malformed, Reason: reason, InvalidRequest: true}
}
