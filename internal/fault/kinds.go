package fault

import "net/http"

// Kinds returns every kind, in the order of their numbers.
func Kinds() []*Kind {
	return []*Kind{
		Internal, Busy, Full, Uncertain,
		NotFound, MethodNotAllowed, FormTooLarge, FormUnreadable, FormForged,
		JourneyExpired, JourneyTampered, JourneyOtherBrowser, JourneyWrongStep,
		WrongEmailOrPassword, SignInTooOld, WrongAppCode, AppCodeUsed, AppCodeMistyped, AuthenticatorSuspended,
		PasswordMissing, PasswordTooShort, PasswordTooLong, PasswordCommon, PasswordPersonal, PasswordUnusable, PasswordsDiffer,
		BookmarkUnknown, GotoRefused,
		ScriptMissing, PasskeyNotOpen,
		NotAdmitted, LevelTooLow, NotFresh, AlreadyRegistered, JourneyFinished, AddressTaken, NoAuthenticator, DisavowalUnreadable,
		TooManyAttempts, TriesUsedUp,
		FIDOCancelled, FIDOTimedOut, FIDOAlreadyOnKey, FIDONoPIN, FIDOWrongDevice, FIDOUnsupported, FIDOBroken,
		FIDOAnotherTab, FIDORefused, FIDOOrigin, FIDOUnknownKey, FIDOWrongMethod, FIDONotVerified, FIDOSuspended, FIDOCounterBack,
		FIDOModelRefused, FIDOModelRevoked, FIDOAttestationMissing,
		WrongMailCode, MailCodeExpired, MailCodeSpent, MailCodeUsed, MailCodeTooSoon, MailCodeTooMany, MailCodeMistyped, MailCodeMissing,
		LinkUnknown, LinkExpired, LinkUsed, LinkReplaced, LinkNotConfirmed, LinkRefused, LinkTooLate, LinkNotWaiting,
		WrongRecoveryCode, RecoveryCodeUsed, RecoveryCodeMistyped,
		UnknownClient, RedirectMismatch, RequestUnreadable, RequestRefused, ClientRefused, GrantRefused, TokenRefused, RefreshRefused, TokenQuestionRefused, RequestOver,
		ProofRefused, TokenProofRefused, TokenMisused,
		HeadlessMethod, HeadlessUnreadable, HeadlessMedia, HeadlessRefused, RegistrationRefused, RegistrationTokenRefused,
		TeamRefused, ConfigRefused, ConfigChanged, ConfigUnknown, TeamForbidden,
		OtherPerson, AddressReplaced,
		SignInGone, LastAuthenticator, MarkLinkUnusable,
		NotEncrypted,
	}
}

// KindOf returns the kind with the number, or nil.
func KindOf(number int) *Kind {
	for _, k := range Kinds() {
		if k.Number == number {
			return k
		}
	}
	return nil
}

// Faults of the house itself.
var (
	Internal = &Kind{
		Number: 100, Name: "internal", Status: http.StatusInternalServerError,
		Title:    "Sorry, there is a problem with the service",
		Sentence: "Something went wrong on our side. Nothing you did was lost or half done.",
		Next:     "Try again. If it happens again, call your service desk and read out the reference.",
		Desk:     "An error that Carekey did not foresee. The log has one line with this reference and the cause.",
	}
	Busy = &Kind{
		Number: 101, Name: "busy", Status: http.StatusServiceUnavailable,
		Title:    "The service is very busy",
		Sentence: "We could not finish this in time. Nothing was changed.",
		Next:     "Wait a few seconds and try again.",
		Desk:     "The database was locked, overloaded or out of reach, or all password workers were busy; the cause says which. Look at the load, at other programs that use the database, and at the database itself.",
	}
	Full = &Kind{
		Number: 102, Name: "storage full", Status: http.StatusServiceUnavailable,
		Title:    "The service cannot save anything at the moment",
		Sentence: "There is no room left to store this. Nothing was changed.",
		Next:     "Try again later. Your service desk has to make room first.",
		Desk:     "The disk that holds the database is full. Free some space; Carekey recovers without a restart.",
	}
)

// Uncertain is the only fault that cannot promise that nothing was changed.
var Uncertain = &Kind{
	Number: 103, Name: "outcome unknown", Status: http.StatusServiceUnavailable,
	Title:    "We cannot tell whether that was saved",
	Sentence: "The connection to our records was lost at the last moment, so what you did may or may not have been saved.",
	Next:     "Wait a minute and look before you do it again.",
	Desk:     "The database was lost during a COMMIT and could not be asked since. When it is back, look at the record itself before you advise anything.",
}

// Faults of pages and forms.
var (
	NotFound = &Kind{
		Number: 204, Name: "page not found", Status: http.StatusNotFound,
		Title:    "Page not found",
		Sentence: "There is no page at this address.",
		Next:     "Check the address, or start again from the home page.",
		Desk:     "A mistyped or old address. Nothing is wrong with the service.",
	}
	MethodNotAllowed = &Kind{
		Number: 205, Name: "method not allowed", Status: http.StatusMethodNotAllowed,
		Title:    "This page cannot be used that way",
		Sentence: "The address is right, but it does not accept this kind of request.",
		Next:     "Go back and use the buttons on the page.",
		Desk:     "A program or an old form called an address with the wrong HTTP method.",
	}
	FormTooLarge = &Kind{
		Number: 206, Name: "form too large", Status: http.StatusRequestEntityTooLarge,
		Title:    "That is too much text",
		Sentence: "The form was larger than this page accepts.",
		Next:     "Go back and shorten what you entered.",
		Desk:     "A form of more than 64 KiB. People never send one by hand: suspect a program.",
	}
	FormUnreadable = &Kind{
		Number: 207, Name: "form unreadable", Status: http.StatusBadRequest,
		Title:    "We could not read that form",
		Sentence: "What your browser sent is not a form that this page understands.",
		Next:     "Go back, reload the page and try again.",
		Desk:     "The form was cut off or changed on its way.",
	}
	FormForged = &Kind{
		Number: 208, Name: "form from elsewhere", Status: http.StatusForbidden,
		Title:    "Please try that again",
		Sentence: "We could not be sure that this form came from you, so nothing was changed.",
		Next:     "Go back, reload the page and send it again. Your browser must accept cookies.",
		Desk:     "The form's token does not belong to this browser: cookies are blocked or were cleared, the page is old, or another site sent the form.",
	}
)

// Faults of sealed journeys.
var (
	JourneyExpired = &Kind{
		Number: 301, Name: "journey expired", Status: http.StatusGone,
		Title:    "You took longer than we allow",
		Sentence: "For your security this page has expired. Nothing was changed.",
		Next:     "Start again. It only takes a minute.",
		Desk:     "The person left a sign-in or registration open for too long. Starting again helps.",
	}
	JourneyTampered = &Kind{
		Number: 302, Name: "journey unreadable", Status: http.StatusBadRequest,
		Title:    "This page cannot go on",
		Sentence: "The address of this page is incomplete or was changed. Nothing was changed in your account.",
		Next:     "Start again from the service that you want to use.",
		Desk:     "A sealed journey did not open: the address was cut, edited or comes from another installation.",
	}
	JourneyOtherBrowser = &Kind{
		Number: 303, Name: "journey of another browser", Status: http.StatusForbidden,
		Title:    "Start again in this browser",
		Sentence: "This page was opened in another browser, or cookies were cleared since. Nothing was changed.",
		Next:     "Start again here, or go back to the browser where you began.",
		Desk:     "A journey is bound to the browser that began it. A copied address never works elsewhere; cookies must be allowed.",
	}
	JourneyWrongStep = &Kind{
		Number: 304, Name: "journey at another step", Status: http.StatusConflict,
		Title:    "That step is not the next one",
		Sentence: "This form belongs to another step of what you are doing. Nothing was changed.",
		Next:     "Go on from the page that is open, or start again.",
		Desk:     "A form was sent to a step that it does not belong to: an old tab, or a program.",
	}
)

// Faults of throttling (decision 9). Their words are the same whether or not
// anybody has the address that was typed.
var (
	TooManyAttempts = &Kind{
		Number: 390, Name: "too many attempts", Status: http.StatusTooManyRequests,
		Title:    "Too many tries",
		Sentence: "For security we have paused this after too many wrong tries.",
		Next:     "Wait, then try again, or use another way to log in.",
		Desk:     "Wrong passwords or codes: five make a short wait, ten make 15 minutes in that browser. Many wrong tries from one network make browsers that never signed in there wait. The wait ends by itself; a browser that signed in before has its own count. An operator can name a trusted network as exempt. New passwords and recovery codes of one person are counted too, right ones as well: a hundred in 15 minutes.",
	}
	TriesUsedUp = &Kind{
		Number: 391, Name: "tries used up", Status: http.StatusTooManyRequests,
		Title:    "This way of logging in is switched off",
		Sentence: "There were too many wrong tries in a row, so for security this can no longer be used.",
		Next:     "Use another way to log in, or ask your Registration Authority to register you again.",
		Desk:     "100 wrong tries in a row (NIST SP 800-63B-4, 3.2.2). If the address has an identity, its authenticator is disabled: register it again, with the person present or by another authenticator of theirs.",
	}
)

// Faults of the gate.
var (
	NotAdmitted = &Kind{
		Number: 340, Name: "not admitted", Status: http.StatusForbidden,
		Title:    "We could not let you in",
		Sentence: "What was shown to us is not enough, or something changed while you were doing it. Nothing was changed.",
		Next:     "Start again. If it happens again, call your Registration Authority and read out the reference.",
		Desk:     "The gate refused: the identity is closed, the authenticator was suspended, replaced or removed meanwhile, or the proofs do not belong together. The log line with this reference says which.",
	}
	LevelTooLow = &Kind{
		Number: 341, Name: "level too low", Status: http.StatusForbidden,
		Title:    "This needs a stronger way to sign in",
		Sentence: "The way you signed in does not reach the level that is asked for.",
		Next:     "Use another way to sign in. If none of yours is enough, ask your Registration Authority for a registration link.",
		Desk:     "The service or the change asks for a higher assurance level than the method used can reach.",
	}
	NotFresh = &Kind{
		Number: 342, Name: "sign-in too old", Status: http.StatusForbidden,
		Title:    "Sign in again first",
		Sentence: "For your security, this change needs a sign-in of the last few minutes.",
		Next:     "Sign in again and then make the change.",
		Desk:     "Authenticators and addresses can only be changed shortly after signing in.",
	}
	AlreadyRegistered = &Kind{
		Number: 343, Name: "already registered", Status: http.StatusConflict,
		Title:    "You have this authenticator already",
		Sentence: "You can register one of each type of authenticator.",
		Next:     "To use a new device, replace the one that you have.",
		Desk:     "The person holds an authenticator of this type. They can replace it in Care Identity Management, or by a new registration link.",
	}
	JourneyFinished = &Kind{
		Number: 344, Name: "journey finished", Status: http.StatusConflict,
		Title:    "This registration is finished",
		Sentence: "The device was registered by this page already.",
		Next:     "Sign in with it, or look at your authenticators in Care Identity Management.",
		Desk:     "The last form of a registration was sent twice. The first one counted; nothing is wrong.",
	}
	AddressTaken = &Kind{
		Number: 345, Name: "address taken", Status: http.StatusConflict,
		Title:    "This email address cannot be used",
		Sentence: "This address cannot become your sign-in address. Nothing was changed.",
		Next:     "Use another address, or call your Registration Authority.",
		Desk:     "Another identity has verified this address. One person may have two identities: look for a duplicate.",
	}
	NoAuthenticator = &Kind{
		Number: 346, Name: "no such authenticator", Status: http.StatusNotFound,
		Title:    "That authenticator is not there",
		Sentence: "You have no such authenticator any more.",
		Next:     "Look at the list of your authenticators.",
		Desk:     "It was replaced or removed in the meantime, perhaps in another tab.",
	}
	DisavowalUnreadable = &Kind{
		Number: 347, Name: "notice link unreadable", Status: http.StatusGone,
		Title:    "This link no longer works",
		Sentence: "Links in our notices work for ten days, and only when they are complete.",
		Next:     "If you think that somebody else uses your identity, call your Registration Authority now.",
		Desk:     "A \"this wasn't me\" link that is older than ten days or was cut off by a mail program. Suspend the authenticator for the person.",
	}
)

// Faults of the sign-in pages.
var (
	BookmarkUnknown = &Kind{
		Number: 305, Name: "unknown sign-in address", Status: http.StatusBadRequest,
		Title:    "This sign-in address does not work",
		Sentence: "The address names a way to sign in that does not exist here.",
		Next:     "Check the address that you were given, or start from Care Identity Management.",
		Desk:     "A bookmarked /openam/XUI/ address with another realm or tree. AAL2AuthDecisionTree and AAL3AuthDecisionTree are known.",
	}
	GotoRefused = &Kind{
		Number: 306, Name: "destination refused", Status: http.StatusBadRequest,
		Title:    "We cannot take you there",
		Sentence: "The address asks us to send you to a place that is not registered with this service.",
		Next:     "Open the service that you want to use and sign in from there.",
		Desk:     "The goto parameter of an /openam/XUI/ address must be this server, or the address of a registered relying party. Suspect a copied CIS2 bookmark, or phishing.",
	}
)
