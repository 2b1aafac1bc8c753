// Package claims says what a relying party is told about a person: the fields
// of the ID token and of userinfo, their names, types and order of words, as
// relying parties of CIS2 read them today.
//
// A person, their roles and the granted scopes come in; the claims leave, no
// more of them than the scopes grant (data minimisation: domain, 1.5). It is
// pure: no database, no clock, no HTTP.
package claims

import (
	"slices"
	"strconv"
	"time"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/person"
)

// The scopes with a meaning of their own. What each of the others yields is in
// Userinfo.
const (
	OpenID       = "openid"
	SelectedRole = "selectedrole"
	ChangedRole  = "changedrole"
)

// realm is the claim "realm" of an ID token.
const realm = "/NHSIdentity/Healthcare"

// SignIn is what an ID token says about one sign-in and its issue.
type SignIn struct {
	Issuer, ClientID string
	UID              care.UID
	// IDAssuranceLevel is how well the identity was proven, AAL and Method how
	// this sign-in was.
	IDAssuranceLevel int
	AAL              care.AAL
	Method           care.Method
	ACR              care.ACR
	SID              string
	// Role is the person_roleid chosen, or "".
	Role   string
	Scopes []string
	// Nonce is the relying party's, or "".
	Nonce                           string
	AccessHash, CodeHash, StateHash string
	// TrackingID joins the token to the audit log.
	TrackingID string
	// Opaque is a random text: CIS2's tokens carry one, nobody reads it.
	Opaque                      string
	AuthTime, IssuedAt, Expires time.Time
	// NumericLevels is the relying party's switch.
	NumericLevels bool
}

// Level is an assurance level: a string, or a number for a relying party that
// has the switch (domain, 1.7: both have been seen).
type Level struct {
	Value  int
	Number bool
}

// MarshalJSON writes "3", or 3.
func (l Level) MarshalJSON() ([]byte, error) {
	if l.Number {
		return strconv.AppendInt(nil, int64(l.Value), 10), nil
	}
	return strconv.AppendQuote(nil, strconv.Itoa(l.Value)), nil
}

// IDToken is the payload of an ID token (wire, field sets). Levels are strings
// in both spellings (wire rule 9), unless the relying party wants numbers, aud is a string and not a list (rule 8).
type IDToken struct {
	Issuer     string   `json:"iss"`
	Subject    string   `json:"sub"`
	Audience   string   `json:"aud"`
	Authorized string   `json:"azp"`
	Expires    int64    `json:"exp"`
	IssuedAt   int64    `json:"iat"`
	AuthTime   int64    `json:"auth_time"`
	Nonce      string   `json:"nonce,omitempty"`
	ACR        string   `json:"acr"`
	AMR        []string `json:"amr"`
	SID        string   `json:"sid"`
	AccessHash string   `json:"at_hash"`
	CodeHash   string   `json:"c_hash,omitempty"`
	StateHash  string   `json:"s_hash,omitempty"`

	IDAssuranceLevel             Level  `json:"id_assurance_level"`
	IDAssuranceLevelTogether     Level  `json:"idassurancelevel"`
	AuthenticationAssuranceLevel Level  `json:"authentication_assurance_level"`
	SelectedRole                 string `json:"selected_roleid,omitempty"`

	// Claims of the access management product behind CIS2, which some relying
	// parties have in their types.
	SubName    string `json:"subname"`
	TrackingID string `json:"auditTrackingId"`
	TokenName  string `json:"tokenName"`
	TokenType  string `json:"tokenType"`
	Realm      string `json:"realm"`
	Opaque     string `json:"org.forgerock.openidconnect.ops"`
}

// ForIDToken returns the payload of an ID token.
func ForIDToken(s SignIn) IDToken {
	identity := Level{s.IDAssuranceLevel, s.NumericLevels}
	return IDToken{
		Issuer: s.Issuer, Subject: string(s.UID), Audience: s.ClientID, Authorized: s.ClientID,
		Expires: s.Expires.Unix(), IssuedAt: s.IssuedAt.Unix(), AuthTime: s.AuthTime.Unix(),
		Nonce: s.Nonce, ACR: string(s.ACR), AMR: []string{s.Method.AMR()}, SID: s.SID,
		AccessHash: s.AccessHash, CodeHash: s.CodeHash, StateHash: s.StateHash,
		IDAssuranceLevel: identity, IDAssuranceLevelTogether: identity,
		AuthenticationAssuranceLevel: Level{int(s.AAL), s.NumericLevels},
		SelectedRole:                 Selected(s.Scopes, s.Role),
		SubName:                      string(s.UID), TrackingID: s.TrackingID,
		TokenName: "id_token", TokenType: "JWTToken", Realm: realm, Opaque: s.Opaque,
	}
}

// Selected is the claim "selected_roleid": the role, if the relying party may
// know it (wire rule 10).
func Selected(scopes []string, role string) string {
	if wantsRole(scopes) {
		return role
	}
	return ""
}

// wantsRole reports whether the scopes ask for one of the person's roles.
func wantsRole(scopes []string) bool {
	return slices.Contains(scopes, SelectedRole) || slices.Contains(scopes, ChangedRole)
}

// NeedsRoles reports whether Userinfo for the scopes reads the person's roles:
// to tell them, or to see whether the chosen one is still held.
func NeedsRoles(scopes []string, chosen string) bool {
	return slices.Contains(scopes, "nationalrbacaccess") || slices.Contains(scopes, "associatedorgs") ||
		slices.Contains(scopes, "organisationalmemberships") || Selected(scopes, chosen) != ""
}

// Subject is whom userinfo is about.
type Subject struct {
	Person person.Person
	// Roles are read only if NeedsRoles.
	Roles  []access.Role
	Role   string
	Scopes []string
	// SingleAsObject is the relying party's switch.
	SingleAsObject bool
}
