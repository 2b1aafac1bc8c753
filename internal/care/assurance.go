package care

import "strconv"

// AAL is an authenticator assurance level (NIST SP 800-63B-4): 0 means that
// nothing was proven.
type AAL int

// The levels.
const (
	AALNone AAL = iota
	AAL1
	AAL2
	AAL3
)

// String returns "AAL2" and so on.
func (a AAL) String() string { return "AAL" + strconv.Itoa(int(a)) }

// Evidence is what one proof shows. Only verifiers make it.
type Evidence struct {
	Method Method
	// Password and TypedCode are factors of the authenticator app.
	Password  bool
	TypedCode bool
	// Key is a public-key signature; the three below say of what kind.
	Key               bool
	PhishingResistant bool
	DeviceBound       bool // attestation chains to a trusted root, never synced
	UserVerified      bool
	// Synced: the key may be copied to other devices.
	Synced bool
	// Federated is an upstream's word for a sign-in with two factors.
	Federated bool
	// Mailbox and Introduced are never evidence of a level: an emailed code
	// shows control of an address (NIST SP 800-63B-4 section 3.1.3.1; ASVS
	// 6.3.6), a link an RA's introduction.
	Mailbox    bool
	Introduced bool
	// RecoveryCode is a saved recovery code. It opens a registration and
	// never a session (decision: recovery never raises a level).
	RecoveryCode bool
	// Limit is the level of what stood behind the binding of a key; it never
	// counts for more, however good it is (N6, N23). AALNone: no limit.
	Limit AAL
}

// CountsAs is the method that a relying party is told, and has to accept: a key
// that may be copied is a passkey, whatever its holder chose when it was
// registered.
func (e Evidence) CountsAs() Method {
	if e.Synced {
		return Passkey
	}
	return e.Method
}

// Level is the assurance level that the evidence reaches together. It is the
// only place where a level is decided.
//
//   - AAL3: a phishing-resistant key that is shown to be bound to its device,
//     with the user verified (NIST SP 800-63B-4 sections 2.3 and 3.2.5, app. B).
//   - AAL2: any other user-verified key; password and typed code of the same
//     person; an upstream's two factors.
//   - AAL1: one factor.
//   - none: mailbox, introduction or recovery code, in any number.
func Level(evidence ...Evidence) AAL {
	best := AALNone
	var password, code bool
	for _, e := range evidence {
		password = password || e.Password
		code = code || e.TypedCode
		best = max(best, keyLevel(e))
		if e.Federated {
			best = max(best, AAL2)
		}
	}
	switch {
	case password && code:
		best = max(best, AAL2)
	case password || code:
		best = max(best, AAL1)
	}
	return best
}

func keyLevel(e Evidence) AAL {
	level := AAL2
	switch {
	case !e.Key:
		return AALNone
	case !e.UserVerified:
		level = AAL1
	case e.PhishingResistant && e.DeviceBound:
		level = AAL3
	}
	if e.Limit != AALNone {
		level = min(level, e.Limit)
	}
	return level
}
