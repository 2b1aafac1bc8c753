package care

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"

	"golang.org/x/net/idna"
)

// Email is a canonical email address: trimmed, lower case throughout, the
// domain in its ASCII form. Two spellings of one sign-in address are equal.
type Email string

// MaxEmail is the longest address accepted, in bytes (RFC 5321 section 4.5.3.1.3).
const MaxEmail = 254

// ErrEmail is the error of an address that cannot receive mail.
var ErrEmail = errors.New("an email address looks like name@example.nhs.uk")

// ParseEmail returns the canonical form of s, or ErrEmail. It accepts what a
// tired person types (surrounding spaces, capitals) and refuses display names,
// comments, quoted local parts and address literals.
func ParseEmail(s string) (Email, error) {
	s = strings.TrimSpace(s)
	if len(s) > MaxEmail || strings.ContainsAny(s, " \t\r\n<>()\",;\\") {
		return "", ErrEmail
	}
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Name != "" || parsed.Address != s {
		return "", ErrEmail
	}
	at := strings.LastIndexByte(s, '@')
	local, domain := s[:at], s[at+1:]
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil || !strings.Contains(ascii, ".") || len(local) > 64 {
		return "", ErrEmail
	}
	canonical := strings.ToLower(local) + "@" + strings.ToLower(ascii)
	if len(canonical) > MaxEmail {
		return "", ErrEmail
	}
	return Email(canonical), nil
}

// Domain returns the part after the @.
func (e Email) Domain() string {
	return string(e[strings.LastIndexByte(string(e), '@')+1:])
}

// AllowList holds the email domains that may be used (seed 0, step 3): a bare
// domain matches itself; an entry with a leading dot matches that domain and
// any depth below it.
type AllowList []string

// ParseAllowList checks each entry and returns the list in lower case.
func ParseAllowList(entries []string) (AllowList, error) {
	list := make(AllowList, 0, len(entries))
	for _, entry := range entries {
		lower := strings.ToLower(strings.TrimSpace(entry))
		bare := strings.TrimPrefix(lower, ".")
		if _, err := idna.Lookup.ToASCII(bare); err != nil || bare == "" || !strings.Contains(bare, ".") {
			return nil, fmt.Errorf("%q is not an email domain: write nhs.net, or .nhs.uk for a domain and all below it", entry)
		}
		list = append(list, lower)
	}
	return list, nil
}

// Accepts reports whether the domain of e is on the list.
func (l AllowList) Accepts(e Email) bool {
	domain := e.Domain()
	for _, entry := range l {
		if suffix, ok := strings.CutPrefix(entry, "."); ok {
			if domain == suffix || strings.HasSuffix(domain, entry) {
				return true
			}
		} else if domain == entry {
			return true
		}
	}
	return false
}
