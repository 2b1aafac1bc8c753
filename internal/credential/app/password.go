package app

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/fault"
)

const (
	// PasswordLeast is seed 0's "at least 8 characters", allowed because the
	// password is one of two factors (N12; ASVS 6.2.1).
	PasswordLeast = 8
	// PasswordMost is above the 64 that must be accepted (N12; ASVS 6.2.9).
	// Longer ones are refused, never cut off.
	PasswordMost = 128
)

// prepare returns the form of a password that is hashed: RFC 8265
// OpaqueString, which is NFC with every space made an ordinary one, so that
// the same keys mean the same password on every device (N12). Case and spaces
// count.
func prepare(password string) (string, bool) {
	if password == "" || !utf8.ValidString(password) {
		return "", false
	}
	prepared, err := precis.OpaqueString.String(password)
	return prepared, err == nil
}

// CheckPassword reports what is wrong with a new password, as the fault of the
// first reason (N13: the reason is given; no composition rules). name is the
// person's name, in any order.
func (a *App) CheckPassword(password, confirm string, email care.Email, name string) error {
	if _, err := a.acceptable(password); err != nil {
		return err
	}
	if personal(password, email, name, a.o.Issuer) {
		return fault.New(fault.PasswordPersonal, nil)
	}
	if password != confirm {
		return fault.New(fault.PasswordsDiffer, nil)
	}
	return nil
}

// acceptable returns the prepared form of a password that anybody may choose.
func (a *App) acceptable(password string) (string, error) {
	prepared, err := measured(password)
	if err != nil {
		return "", err
	}
	if a.common.has(prepared) {
		return "", fault.New(fault.PasswordCommon, nil)
	}
	return prepared, nil
}

// measured returns the prepared form of a password of the right length. Each
// code point counts as one character (N12).
func measured(password string) (string, error) {
	if password == "" {
		return "", fault.New(fault.PasswordMissing, nil)
	}
	if utf8.RuneCountInString(password) > 4*PasswordMost {
		return "", fault.New(fault.PasswordTooLong, nil) // before any work is done on it
	}
	prepared, ok := prepare(password)
	if !ok {
		return "", fault.New(fault.PasswordUnusable, nil)
	}
	switch length := utf8.RuneCountInString(prepared); {
	case length < PasswordLeast:
		return "", fault.New(fault.PasswordTooShort, nil)
	case length > PasswordMost:
		return "", fault.New(fault.PasswordTooLong, nil)
	}
	return prepared, nil
}

// personal reports whether the password is the address, its local part, names
// of the person in any order, or the service's name, with nothing but digits
// and symbols around it.
func personal(password string, email care.Email, name, issuer string) bool {
	folded := fold(password)
	if folded == string(email) {
		return true
	}
	core := strings.TrimFunc(folded, notLetter)
	letters := onlyLetters(core)
	if letters == "" {
		return false
	}
	local, _, _ := strings.Cut(string(email), "@")
	if letters == onlyLetters(fold(local)) || letters == onlyLetters(fold(issuer)) {
		return true
	}
	return madeOf(letters, names(name), 0)
}

func names(name string) []string {
	var list []string
	for _, one := range strings.FieldsFunc(fold(name), notLetter) {
		if utf8.RuneCountInString(one) >= wordLeast {
			list = append(list, one)
		}
	}
	return list
}

// madeOf reports whether text is a chain of the words. depth bounds it: nobody
// has more names than that.
func madeOf(text string, words []string, depth int) bool {
	if text == "" {
		return depth > 0
	}
	for _, word := range words {
		if rest, ok := strings.CutPrefix(text, word); ok && depth < 6 && madeOf(rest, words, depth+1) {
			return true
		}
	}
	return false
}

func notLetter(r rune) bool { return !unicode.IsLetter(r) }

func onlyLetters(s string) string {
	return strings.Map(func(r rune) rune {
		if notLetter(r) {
			return -1
		}
		return r
	}, s)
}
