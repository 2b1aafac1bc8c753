package relyingparty

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
)

// Destination returns where the goto of a CIS2 address leads: a path of our
// own, below base, or an address at the origin of a registered relying party,
// whose origin is returned too. "" is no page in particular. Anything else is
// refused with the fault GotoRefused (RFC 9700 section 4.11: no open
// redirector).
func (d *Directory) Destination(ctx context.Context, base, text string) (to, origin string, err error) {
	if text == "" {
		return "", "", nil
	}
	if strings.ContainsAny(text, "\\\r\n\t") {
		return "", "", fault.New(fault.GotoRefused, errors.New("goto is not an address"))
	}
	origin, err = Origin(text)
	if err != nil {
		return "", "", fault.New(fault.GotoRefused, err)
	}
	own, err := Origin(base)
	if err != nil {
		return "", "", err
	}
	if origin == own {
		to, err = ownPath(text)
		return to, "", err
	}
	_, err = d.ByOrigin(ctx, origin)
	if errors.Is(err, db.ErrNoRows) {
		return "", "", fault.New(fault.GotoRefused, fmt.Errorf("%s is no registered relying party", origin))
	}
	return text, origin, err
}

// ownPath is the path and query of an address of our own, "" for a bare origin.
func ownPath(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", fault.New(fault.GotoRefused, err)
	}
	path := u.EscapedPath()
	if path == "" || path == "/" {
		return "", nil
	}
	if strings.HasPrefix(path, "//") {
		return "", fault.New(fault.GotoRefused, errors.New("goto's path would leave this server"))
	}
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	return path, nil
}
