package fault

import "net/http"

// Faults of the pages of security keys, Windows Hello and passkeys.
var (
	ScriptMissing = &Kind{
		Number: 330, Name: "no answer of a browser", Status: http.StatusBadRequest,
		Title:    "This page needs JavaScript",
		Sentence: "Your browser did not ask your key or device, so there is nothing that we could check.",
		Next:     "Switch JavaScript on for this page and reload it, or use another way to sign in.",
		Desk:     "The form of a security key, Windows Hello or a passkey was sent empty: JavaScript is switched off or a script was blocked. The authenticator app works without it.",
	}
	PasskeyNotOpen = &Kind{
		Number: 331, Name: "passkey not open", Status: http.StatusForbidden,
		Title:    "Passkeys are in private beta",
		Sentence: "Your passkey was recognised, but passkeys are not open to you yet. You are not signed in.",
		Next:     "Use another way to sign in.",
		Desk:     "The operator opens passkeys to people and organisations by the setting passkey.people, and to services by passkey.relying_parties. Neither this person nor an organisation where they have a role is named there, or the service is not, or does not accept them. A key that may be copied is a passkey, whatever it was registered as.",
	}
)
