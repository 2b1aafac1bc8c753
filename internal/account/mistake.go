package account

import (
	"strings"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/page"
)

// inboxMistakes returns what a person can mend on the page of an emailed code,
// or nil.
func inboxMistakes(err error) []page.FieldError {
	return mistake(err, "code", andNext,
		fault.WrongMailCode, fault.MailCodeExpired, fault.MailCodeSpent, fault.MailCodeTooSoon,
		fault.MailCodeTooMany, fault.MailCodeMistyped, fault.MailCodeMissing)
}

// appMistakes returns what a person can mend on the page of the app's code, or
// nil.
func appMistakes(err error) []page.FieldError {
	return mistake(err, "code", andNext, fault.WrongAppCode, fault.AppCodeUsed, fault.AppCodeMistyped)
}

func andNext(f *fault.Error) string { return f.Message() + " " + f.Kind.Next }

// passwordMistakes returns why a new password is refused (N13), or nil.
func passwordMistakes(err error) []page.FieldError {
	if problems := mistake(err, "confirm", (*fault.Error).Message, fault.PasswordsDiffer); problems != nil {
		return problems
	}
	return mistake(err, "password", (*fault.Error).Message,
		fault.PasswordMissing, fault.PasswordTooShort, fault.PasswordTooLong, fault.PasswordCommon,
		fault.PasswordPersonal, fault.PasswordUnusable)
}

func mistake(err error, field string, words func(*fault.Error) string, kinds ...*fault.Kind) []page.FieldError {
	for _, kind := range kinds {
		if fault.Has(err, kind) {
			return []page.FieldError{{Field: field, Message: strings.TrimSuffix(words(fault.As(err)), ".")}}
		}
	}
	return nil
}
