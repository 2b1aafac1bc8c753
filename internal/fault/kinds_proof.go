package fault

import "net/http"

// Faults of the authenticator app: address, password and 6-digit code.
var (
	WrongEmailOrPassword = &Kind{
		Number: 310, Name: "wrong email or password", Status: http.StatusUnprocessableEntity,
		Title:    "Your email address or password is not right",
		Sentence: "The email address or the password is not right.",
		Next:     "Check both and try again. If you cannot remember your password, choose \"Forgotten your password?\".",
		Desk:     "Wrong address or password; also shown if the identity is closed, has no authenticator app, or has one that was switched off after too many wrong tries. Check the address on the profile, then let the person choose a new password.",
	}
	SignInTooOld = &Kind{
		Number: 311, Name: "password step too old", Status: http.StatusGone,
		Title:    "Please enter your password again",
		Sentence: "Too much time has passed since you entered your password, or you have signed in with it already, or something about your authenticator changed since.",
		Next:     "Start again with your email address and password.",
		Desk:     "The code must follow the password within ten minutes, and the password or the authenticator must not change in between. A password counts for one sign-in: whoever goes back to the page of the code after signing in or out starts again.",
	}
	WrongAppCode = &Kind{
		Number: 312, Name: "wrong app code", Status: http.StatusUnprocessableEntity,
		Title:    "That code is not right",
		Sentence: "The code is not right.",
		Next:     "Enter the 6 numbers that your authenticator app shows now for this service.",
		Desk:     "Usually the code of another account in the app, or a phone whose clock is wrong: let the phone set its time automatically.",
	}
	AppCodeUsed = &Kind{
		Number: 313, Name: "app code used", Status: http.StatusUnprocessableEntity,
		Title:    "That code was used already",
		Sentence: "Each code works once, and this one was used already.",
		Next:     "Wait until your authenticator app shows a new code, then enter that one.",
		Desk:     "A code is accepted once (RFC 6238, 5.2), so somebody who watches cannot use it again. The next code comes within 30 seconds.",
	}
	AppCodeMistyped = &Kind{
		Number: 314, Name: "app code mistyped", Status: http.StatusUnprocessableEntity,
		Title:    "Enter 6 numbers",
		Sentence: "Enter 6 numbers.",
		Next:     "The code is in your authenticator app. You can leave out the space.",
		Desk:     "What was entered is not a code of 6 digits. It does not count as a wrong try.",
	}
	AuthenticatorSuspended = &Kind{
		Number: 315, Name: "authenticator suspended", Status: http.StatusForbidden,
		Title:    "This authenticator was reported as lost",
		Sentence: "This authenticator app was suspended, so it cannot be used to log in.",
		Next:     "Use another way to log in, or ask your Registration Authority to register you again.",
		Desk:     "The password was right. The authenticator was reported lost, or a notice was answered with \"this wasn't me\". Register it again, with the person present or by another authenticator of theirs.",
	}
)

// Faults of a new password, one for each reason (N13: the reason is given).
var (
	PasswordMissing = passwordKind(320, "password missing", "Enter a password",
		"The field for the new password was left empty.")
	PasswordTooShort = passwordKind(321, "password too short", "Password must be at least 8 characters long",
		"Seed rule: at least 8 characters. Three words with spaces between them are easy to remember and long enough.")
	PasswordTooLong = passwordKind(322, "password too long", "Password must be 128 characters or fewer",
		"More than 128 characters. Nothing is cut off silently.")
	PasswordCommon = passwordKind(323, "password common", "This password is too easy to guess because many people use it or one like it. Choose another one",
		"It is on the list of common passwords, with its usual endings and letter swaps. Three words that do not belong together pass.")
	PasswordPersonal = passwordKind(324, "password personal", "Password must not be your name, your email address or the name of this service",
		"It is the person's own name or address, perhaps with a number after it.")
	PasswordUnusable = passwordKind(325, "password unusable", "Password contains a character that cannot be used. Choose letters, numbers, spaces or symbols",
		"Control characters, joined emoji and characters that are not assigned yet cannot be typed the same way on every device.")
	PasswordsDiffer = passwordKind(326, "passwords differ", "Passwords do not match. Enter the same password in both boxes",
		"The two boxes hold different passwords. Showing the password helps.")
)

func passwordKind(number int, name, sentence, desk string) *Kind {
	return &Kind{
		Number: number, Name: name, Status: http.StatusUnprocessableEntity,
		Title: "Choose another password", Sentence: sentence + ".",
		Next: "Three words that do not belong together make a good password.", Desk: desk,
	}
}

// Faults of the emailed 8-digit code.
var (
	WrongMailCode = &Kind{
		Number: 410, Name: "wrong emailed code", Status: http.StatusUnprocessableEntity,
		Title:    "That one-time password is not right",
		Sentence: "The one-time password is not right.",
		Next:     "Enter the 8 numbers of the newest email that we sent you.",
		Desk:     "A new email makes the earlier code void. Check that the person reads the newest one.",
	}
	MailCodeExpired = &Kind{
		Number: 411, Name: "emailed code expired", Status: http.StatusUnprocessableEntity,
		Title:    "That one-time password has expired",
		Sentence: "A one-time password works for 10 minutes, and this one is older.",
		Next:     "Ask for a new one-time password.",
		Desk:     "The mail took long, or the person did. A new code helps; if mails always come late, look at the mail system.",
	}
	MailCodeSpent = &Kind{
		Number: 412, Name: "emailed code spent", Status: http.StatusUnprocessableEntity,
		Title:    "That one-time password no longer works",
		Sentence: "It was entered wrongly 5 times, so it no longer works.",
		Next:     "Ask for a new one-time password.",
		Desk:     "Five wrong tries end a code. The person asks for a new one on the same page.",
	}
	MailCodeUsed = &Kind{
		Number: 413, Name: "emailed code used", Status: http.StatusConflict,
		Title:    "That one-time password was used already",
		Sentence: "What you asked for with this one-time password is done.",
		Next:     "Look whether it worked. If not, start again.",
		Desk:     "A form was sent again after its journey was finished. The first one counted.",
	}
	MailCodeTooSoon = &Kind{
		Number: 414, Name: "emailed code too soon", Status: http.StatusTooManyRequests,
		Title:    "We have just sent you an email",
		Sentence: "You can ask for a new one-time password once a minute.",
		Next:     "Look at your inbox and your junk mail first, then ask again.",
		Desk:     "One code a minute. Mail may take a few minutes: an earlier request makes the earlier code void.",
	}
	MailCodeTooMany = &Kind{
		Number: 415, Name: "too many emailed codes", Status: http.StatusTooManyRequests,
		Title:    "We cannot send you another one-time password",
		Sentence: "Too many one-time passwords were asked for.",
		Next:     "Start again later. If no email arrives, check the address on your profile with your Registration Authority.",
		Desk:     "Six codes for one journey, or twenty an hour for one address. If none arrived, the address is wrong or the mail system refuses the mail.",
	}
	MailCodeMistyped = &Kind{
		Number: 416, Name: "emailed code mistyped", Status: http.StatusUnprocessableEntity,
		Title:    "Enter 8 numbers",
		Sentence: "Enter 8 numbers.",
		Next:     "The one-time password is in the email that we sent you.",
		Desk:     "What was entered is not a code of 8 digits. It does not count as a wrong try.",
	}
	MailCodeMissing = &Kind{
		Number: 417, Name: "no emailed code", Status: http.StatusConflict,
		Title:    "We have not sent you a one-time password yet",
		Sentence: "There is no one-time password for this page.",
		Next:     "Ask for a one-time password first.",
		Desk:     "A form of an old tab, or a journey that was started again.",
	}
)

// Faults of registration links.
var (
	LinkUnknown = linkKind(420, "link unknown", "This registration link does not work",
		"The link is incomplete or was never made.",
		"The link was cut off by a mail program, or typed wrongly.")
	LinkExpired = linkKind(421, "link expired", "This registration link has expired",
		"The register link works for 3 minutes, and this one is older.",
		"Pressing \"Register\" must happen within 3 minutes of making the link. Make another one when the person is ready.")
	LinkUsed = linkKind(422, "link used", "This registration link was used already",
		"A link can be used once, and this one was started in another tab or on another device.",
		"If the person did not start it, somebody else has the link: refuse the confirmation and make a new one.")
	LinkReplaced = linkKind(423, "link replaced", "There is a newer registration link",
		"A newer link was made for you, so this one no longer works.",
		"Making a link for the same person and type voids the earlier ones.")
	LinkNotConfirmed = linkKind(424, "link not confirmed", "Your registration is not confirmed yet",
		"Your Registration Authority has not confirmed the number yet.",
		"The number on the person's screen must be confirmed by whoever made the link.")
	LinkRefused = linkKind(425, "link refused", "Your registration was not confirmed",
		"Your Registration Authority said that the numbers are not the same.",
		"The numbers differed, or the person could not be identified. If the person is sure, start again together.")
	LinkTooLate = linkKind(426, "link too late", "The registration took too long",
		"A registration must be confirmed within 30 minutes of its start.",
		"Start again with a new link.")
	LinkNotWaiting = linkKind(427, "link not waiting", "There is nothing to confirm yet",
		"The worker has not come to the end of their screens, or the registration is over.",
		"The number appears when the worker's screens are done.")
)

func linkKind(number int, name, title, sentence, desk string) *Kind {
	return &Kind{
		Number: number, Name: name, Status: http.StatusConflict, Title: title, Sentence: sentence,
		Next: "Ask your Registration Authority for another link.", Desk: desk,
	}
}

// Faults of recovery codes.
var (
	WrongRecoveryCode = &Kind{
		Number: 430, Name: "wrong recovery code", Status: http.StatusUnprocessableEntity,
		Title:    "That recovery code is not right",
		Sentence: "The recovery code is not right.",
		Next:     "Enter a code of the newest list that you saved.",
		Desk:     "Making a new list voids the old one. Without a list, register the person again.",
	}
	RecoveryCodeUsed = &Kind{
		Number: 431, Name: "recovery code used", Status: http.StatusUnprocessableEntity,
		Title:    "That recovery code was used already",
		Sentence: "Each recovery code works once, and this one was used already.",
		Next:     "Enter another code of your list.",
		Desk:     "Each of the ten codes works once. If the person did not use it, their list has been seen: suspend the authenticator.",
	}
	RecoveryCodeMistyped = &Kind{
		Number: 432, Name: "recovery code mistyped", Status: http.StatusUnprocessableEntity,
		Title:    "Enter a recovery code",
		Sentence: "Enter a recovery code of 13 letters and numbers, like 7K3M-Q9TX-2WB4N.",
		Next:     "The dashes and capital letters do not matter.",
		Desk:     "What was entered has another length than a recovery code. It does not count as a wrong try.",
	}
)
