// Package entry reads what a tired person types: codes of digits, and codes in
// Crockford's base 32. Text comes in; the plain code leaves, or the answer that
// it is none, which is a mistake in a form and never a counted attempt.
package entry

import (
	"strings"
	"unicode"
)

// most is longer than any code with its spaces; longer text is not looked at.
const most = 128

// Crockford is base 32 without I, L, O and U.
const Crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Digits returns the n digits of a code as it was typed or pasted: with
// spaces, dashes, and full-width digits.
func Digits(typed string, n int) (string, bool) {
	bare, ok := compact(typed)
	if !ok || len(bare) != n || strings.Trim(bare, "0123456789") != "" {
		return "", false
	}
	return bare, true
}

// Base32 returns the n characters of a code in Crockford's base 32: case,
// spaces and dashes do not matter, O is 0, I and L are 1.
func Base32(typed string, n int) (string, bool) {
	bare, ok := compact(typed)
	if !ok {
		return "", false
	}
	bare = strings.NewReplacer("O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(bare))
	if len(bare) != n || strings.Trim(bare, Crockford) != "" {
		return "", false
	}
	return bare, true
}

// compact leaves out what separates, and returns ASCII, or false.
func compact(typed string) (string, bool) {
	if len(typed) > most {
		return "", false
	}
	var bare strings.Builder
	for _, r := range typed {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), unicode.Is(unicode.Cf, r), r == '−':
			// Pasted codes carry thin spaces, dashes and invisible marks.
		case r >= '！' && r <= '～':
			bare.WriteRune(r - '！' + '!') // full-width forms
		case r > '!' && r < unicode.MaxASCII:
			bare.WriteRune(r)
		default:
			return "", false
		}
	}
	return bare.String(), true
}
