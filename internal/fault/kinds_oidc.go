package fault

import "net/http"

// Faults of the OpenID provider. The first three have a page, because there is
// nowhere safe to send the browser to; the others are told to the relying
// party as an OAuth error whose description ends with the reference.
var (
	UnknownClient = &Kind{
		Number: 501, Name: "unknown relying party", Status: http.StatusBadRequest,
		Title:    "We do not know the service that sent you here",
		Sentence: "The service that you came from is not registered with us, so we cannot sign you in to it.",
		Next:     "Go back to that service and tell its support team. You did nothing wrong.",
		Desk:     "The client_id of the authorization request is missing or not registered here: a wrong environment, a mistyped client_id, or a relying party that was removed. Add it with carekey apply.",
	}
	RedirectMismatch = &Kind{
		Number: 502, Name: "redirect_uri not registered", Status: http.StatusBadRequest,
		Title:    "We cannot send you back to that service",
		Sentence: "The service asked us to send you to an address that is not registered for it. For your safety we stopped here.",
		Next:     "Go back to that service and tell its support team. You did nothing wrong.",
		Desk:     "The redirect_uri of the authorization request is missing, or differs from every registered one. They are compared character by character: look at http or https, the host, the port and a trailing slash. The log line names the relying party.",
	}
	RequestUnreadable = &Kind{
		Number: 503, Name: "authorization request unreadable", Status: http.StatusBadRequest,
		Title:    "We could not read that sign-in request",
		Sentence: "The service that you came from sent a request that we cannot read.",
		Next:     "Go back to that service and try again. If it happens again, tell its support team.",
		Desk:     "The authorization request is cut off, too long (more than 16 KiB), wrongly encoded, or names client_id or redirect_uri twice.",
	}
	RequestRefused = &Kind{
		Number: 510, Name: "authorization request refused", Status: http.StatusBadRequest,
		Title:    "The service sent a request that we refused",
		Sentence: "The service that you came from asked for something that we cannot give.",
		Next:     "Go back to that service. If it happens again, tell its support team.",
		Desk:     "The relying party was told an OAuth error at its redirect_uri. The log line has the error and the reason. login_required and access_denied are everyday answers; invalid_request and invalid_scope are mistakes of the relying party.",
	}
	ClientRefused = &Kind{
		Number: 511, Name: "relying party not authenticated", Status: http.StatusUnauthorized,
		Title:    "The service could not prove who it is",
		Sentence: "The service that you came from could not prove to us that it is itself.",
		Next:     "Go back to that service and tell its support team.",
		Desk:     "A relying party's server sent a wrong or missing client secret, an assertion or a certificate that is not valid, or a client_id that nobody registered. The cause says which; carekey rp explain CLIENT lists it for the service's developers. The authorization code was not used up.",
	}
	GrantRefused = &Kind{
		Number: 512, Name: "token request refused", Status: http.StatusBadRequest,
		Title:    "The service could not finish your sign-in",
		Sentence: "The service that you came from could not exchange your sign-in for its tokens.",
		Next:     "Sign in to that service again.",
		Desk:     "The authorization code was used before, older than 60 seconds, made for another relying party or redirect_uri, sent with a wrong PKCE verifier, or the session had ended. The log line says which. A code that is used twice revokes what it bought.",
	}
	TokenRefused = &Kind{
		Number: 513, Name: "access token refused", Status: http.StatusUnauthorized,
		Title:    "The service may not ask about you any more",
		Sentence: "The permission that your sign-in gave to that service has ended.",
		Next:     "Sign in to that service again.",
		Desk:     "A userinfo request came without a live access token: it expired, was revoked, or the session that it came from was ended.",
	}
	RefreshRefused = &Kind{
		Number: 530, Name: "refresh token refused", Status: http.StatusBadRequest,
		Title:    "The service cannot go on with your sign-in",
		Sentence: "The service that you came from asked to go on with an earlier sign-in, which has ended.",
		Next:     "Sign in to that service again.",
		Desk:     "The refresh token was used before, revoked, made for another relying party or key, or what it goes on with has ended: the session, the person's identity, their chosen role, or the relying party's right to refresh tokens. The log line says which. A refresh token that is used twice revokes all that came from its sign-in.",
	}
	ProofRefused = &Kind{
		Number: 532, Name: "DPoP proof refused", Status: http.StatusBadRequest,
		Title:    "The service could not prove that your sign-in is in its hands",
		Sentence: "The service that you came from could not show the key that your sign-in is bound to.",
		Next:     "Go back to that service. If it happens again, tell its support team.",
		Desk:     "A token request came with a DPoP proof that does not hold, or without one where the relying party is registered for it. The log line says which. If it is about iat, that relying party's clock is off by more than a minute; a proof that was used before was sent twice by its program, or copied by somebody.",
	}
	TokenProofRefused = &Kind{
		Number: 533, Name: "DPoP proof of an access token refused", Status: http.StatusUnauthorized,
		Title:    "The service could not prove that it may ask about you",
		Sentence: "The service that you came from could not show the key that its permission is bound to.",
		Next:     "Go back to that service. If it happens again, tell its support team.",
		Desk:     "A userinfo request came with a DPoP proof that does not hold, or without one. The log line says which; see also 532.",
	}
	RequestOver = &Kind{
		Number: 525, Name: "pushed request over", Status: http.StatusBadRequest,
		Title:    "That sign-in request is over",
		Sentence: "The service that you came from sent you here with a request that was used, has expired, or was begun in another browser.",
		Next:     "Go back to that service. If you are not signed in there, sign in again.",
		Desk:     "The request_uri of a pushed authorization request (PAR) is good for 60 seconds, then for one sign-in of half an hour in the browser that brought it first, and for one code. The log line says what was the matter. Going back to an old page after a sign-in is the everyday reason.",
	}
	TokenMisused = &Kind{
		Number: 534, Name: "access token sent wrongly", Status: http.StatusBadRequest,
		Title:    "The service asked about you in a way that we cannot answer",
		Sentence: "The service that you came from sent its permission in more than one place.",
		Next:     "Go back to that service. If it happens again, tell its support team.",
		Desk:     "A userinfo request carried an access token both in its header and in its body, or twice. It is a mistake in that relying party's program.",
	}
	TokenQuestionRefused = &Kind{
		Number: 531, Name: "introspection or revocation refused", Status: http.StatusBadRequest,
		Title:    "The service asked something that we refused",
		Sentence: "The service that you came from asked about a sign-in in a way that we cannot answer.",
		Next:     "Sign in to that service again.",
		Desk:     "A request to introspect or revoke a token had no token in it, or one that belongs to another relying party. The log line says which. It is a mistake in that relying party's program.",
	}
)

// Faults of signing out on a relying party's word.
var (
	SignOutUnreadable = &Kind{
		Number: 540, Name: "sign-out request unreadable", Status: http.StatusBadRequest,
		Title:    "We could not read that sign-out request",
		Sentence: "The service that you came from sent a request that we cannot read, so you are still signed in.",
		Next:     "Sign out with the button on any page of Care Identity Management.",
		Desk:     "The sign-out request is cut off, too long (more than 16 KiB), wrongly encoded, or sends a parameter twice.",
	}
	SignOutRefused = &Kind{
		Number: 541, Name: "sign-out request refused", Status: http.StatusBadRequest,
		Title:    "We could not send you back to that service",
		Sentence: "The service that you came from sent a sign-out request with a mistake in it.",
		Next:     "Close this page, or go back to that service by its own address. You did nothing wrong.",
		Desk:     "The log line says what: an id_token_hint that is not ours or that was issued to another client, a client_id that is not registered, or a post_logout_redirect_uri that differs from every registered one (compared character by character). The person is signed out if the id_token_hint was good, and was asked otherwise.",
	}
)
