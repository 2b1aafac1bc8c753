package account

import (
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/page"
)

// inboxMistakes returns what a person can mend on the page of an emailed code,
// or nil.
func inboxMistakes(err error) []page.FieldError {
	return page.Mistakes(err, "code", page.AndNext,
		fault.WrongMailCode, fault.MailCodeExpired, fault.MailCodeSpent, fault.MailCodeTooSoon,
		fault.MailCodeTooMany, fault.MailCodeMistyped, fault.MailCodeMissing)
}

// appMistakes returns what a person can mend on the page of the app's code, or
// nil.
func appMistakes(err error) []page.FieldError {
	return page.Mistakes(err, "code", page.AndNext, fault.WrongAppCode, fault.AppCodeUsed, fault.AppCodeMistyped)
}

// passwordMistakes returns why a new password is refused (N13), or nil.
func passwordMistakes(err error) []page.FieldError {
	if problems := page.Mistakes(err, "confirm", (*fault.Error).Message, fault.PasswordsDiffer); problems != nil {
		return problems
	}
	return page.Mistakes(err, "password", (*fault.Error).Message,
		fault.PasswordMissing, fault.PasswordTooShort, fault.PasswordTooLong, fault.PasswordCommon,
		fault.PasswordPersonal, fault.PasswordUnusable)
}
