package fault

import "net/http"

// Faults of programs that sign in or register by themselves.
var (
	HeadlessMethod = &Kind{
		Number: 555, Name: "no method without pages", Status: http.StatusForbidden,
		Title:    "A program cannot sign in this way",
		Sentence: "None of the login methods that are asked for can be used by a program.",
		Next:     "Ask for AAL2_OR_AAL3_ANY or AAL2_TOTP, and accept the authenticator app.",
		Desk:     "Headless sign-in works with the authenticator app alone. The relying party asks for AAL3, or does not accept the app.",
	}
	HeadlessUnreadable = &Kind{
		Number: 556, Name: "headless request unreadable", Status: http.StatusBadRequest,
		Title:    "We could not read that request",
		Sentence: "The body is not what the last answer asked for.",
		Next:     "Send the last answer back with the value of each input filled in.",
		Desk:     "A test script sent JSON that is cut off, lacks authId, or has a value that cannot be right. The log line says which.",
	}
	HeadlessMedia = &Kind{
		Number: 557, Name: "headless request not JSON", Status: http.StatusUnsupportedMediaType,
		Title:    "This address is for programs",
		Sentence: "Only application/json is accepted here.",
		Next:     "Set Content-Type to application/json. To sign in yourself, start from the service that you want to use.",
		Desk:     "Something other than a test script called the headless sign-in, or a script that does not set Content-Type.",
	}
	RegistrationRefused = &Kind{
		Number: 559, Name: "registration refused", Status: http.StatusBadRequest,
		Title:    "The registration has mistakes",
		Sentence: "What was sent cannot be registered. Nothing was changed.",
		Next:     "Mend what the message names and send it again.",
		Desk:     "A program that registers relying parties by itself was told what to mend. What only an operator may set is set with carekey rp set.",
	}
	RegistrationTokenRefused = &Kind{
		Number: 548, Name: "registration token refused", Status: http.StatusUnauthorized,
		Title:    "The program may not register anything",
		Sentence: "The registration token is missing, wrong, expired or used up.",
		Next:     "Ask the operator for a new registration token.",
		Desk:     "A program called the registration endpoint without a live token. carekey rp registration-token makes one. A relying party's own token ends when the relying party is removed.",
	}
	HeadlessRefused = &Kind{
		Number: 558, Name: "goto refused", Status: http.StatusBadRequest,
		Title:    "The address to go on to was refused",
		Sentence: "The authorization request in goto cannot be met.",
		Next:     "Correct the request and start again.",
		Desk:     "A test script's authorization request got an OAuth error or an error page before anybody signed in. The log line before this one says which.",
	}
)
