package care

import (
	"errors"
	"fmt"
	"regexp"
)

// UID is a worker's national identifier: 10 to 12 digits (12 in everything
// issued today; directory fixtures of 10 digits exist and are accepted).
type UID string

// ODSCode names an organisation: 1 to 12 letters and digits, upper case.
type ODSCode string

// RoleCode is a national role, "S8000:G8000:R8001": staff group, sub-group,
// role.
type RoleCode string

var (
	uidForm  = regexp.MustCompile(`^[0-9]{10,12}$`)
	odsForm  = regexp.MustCompile(`^[A-Z0-9]{1,12}$`)
	roleForm = regexp.MustCompile(`^S[0-9]{4}:G[0-9]{4}:R[0-9]{4}$`)
)

// Errors of the parsers below, each with what a right value looks like.
var (
	ErrUID      = errors.New("a care identity number has 10 to 12 digits")
	ErrODSCode  = errors.New("an ODS code has 1 to 12 capital letters and digits")
	ErrRoleCode = errors.New("a role code looks like S8000:G8000:R8001")
)

// ParseUID returns s as a UID, or ErrUID.
func ParseUID(s string) (UID, error) {
	if !uidForm.MatchString(s) {
		return "", fmt.Errorf("%q: %w", s, ErrUID)
	}
	return UID(s), nil
}

// ParseODSCode returns s as an ODSCode, or ErrODSCode.
func ParseODSCode(s string) (ODSCode, error) {
	if !odsForm.MatchString(s) {
		return "", fmt.Errorf("%q: %w", s, ErrODSCode)
	}
	return ODSCode(s), nil
}

// ParseRoleCode returns s as a RoleCode, or ErrRoleCode.
func ParseRoleCode(s string) (RoleCode, error) {
	if !roleForm.MatchString(s) {
		return "", fmt.Errorf("%q: %w", s, ErrRoleCode)
	}
	return RoleCode(s), nil
}
