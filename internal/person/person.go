// Package person knows who the workers are: their names, their proven level of
// identity, their one sign-in address and the domains an address may have.
//
// Everybody who needs a person by number or by address comes in; a Person
// leaves. What someone may do is a matter of access, what they can prove of
// credential: this room knows neither. An address that has not been verified
// is never found by ByEmail, so nothing can be sent to or done with it but its
// own code.
package person

import (
	"embed"
	"io/fs"
	"strings"
	"time"
	"unicode/utf8"

	"carekey.dev/carekey/internal/care"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the migrations of this room's tables.
var Schema fs.FS = schema

// Person is one worker.
type Person struct {
	UID                    care.UID
	Title                  string
	GivenName, MiddleNames string
	FamilyName             string
	// IDAssuranceLevel is how well the identity was proven, 0 to 3.
	IDAssuranceLevel int
	// Email is the verified sign-in address, "" if none is verified.
	Email care.Email
	// EmailSince is when Email was verified.
	EmailSince time.Time
	// Pending is an address that waits for its code, or "". It is used for
	// nothing else until then.
	Pending care.Email
	// Memberships maps a professional body's claim ("gmc_id") to the number.
	Memberships map[string]string
	// Closed is set when the person signs in nowhere any more.
	Closed *Closure
	// Version grows with every change of the person or their addresses.
	Version int64
}

// Closure is the end of an identity.
type Closure struct {
	Reason string
	At     time.Time
}

// Memberships are the claims that a professional membership may have (wire
// format, scope professionalmemberships).
func Memberships() []string {
	return []string{"gmc_id", "gmp_id", "gdc_id", "gdp_id", "gphc_id", "nmc_id", "rcn_id", "consultant_id"}
}

// DisplayName is how pages and mails call the person: "Dr Amara OSEI".
func (p Person) DisplayName() string {
	return joined(p.Title, p.GivenName, p.FamilyName)
}

// Name is the userinfo claim "name", whose order relying parties have seen as
// family name, given name, title.
func (p Person) Name() string {
	return joined(p.FamilyName, p.GivenName, p.Title)
}

// Initials are the first letters of the middle names, as the claim "initials"
// has them (domain, 1.6): "L" for Priya Lakshmi Raman.
func (p Person) Initials() string {
	var letters strings.Builder
	for name := range strings.FieldsSeq(p.MiddleNames) {
		first, _ := utf8.DecodeRuneInString(name)
		letters.WriteRune(first)
	}
	return letters.String()
}

// Login is the address to show for the person: the verified one, or the one
// that waits for its code if there is no other.
func (p Person) Login() care.Email {
	if p.Email != "" {
		return p.Email
	}
	return p.Pending
}

func joined(parts ...string) string {
	return strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
}
