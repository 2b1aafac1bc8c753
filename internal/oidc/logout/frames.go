package logout

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/oidc/grant"
)

// Frames returns the addresses that a browser opens in frames to sign a person
// out of the relying parties of a session (OpenID Connect Front-Channel Logout
// section 3). Each has iss and sid, so that a relying party can tell which of
// its sessions is meant, and that it is us who ask.
func (l *Logout) Frames(ctx context.Context, sid string) ([]string, error) {
	var clients []string
	err := l.DB.Read(ctx, func(tx *db.Tx) (err error) {
		clients, err = grant.Clients(tx, sid)
		return err
	})
	if err != nil {
		return nil, err
	}
	var all []string
	for _, client := range clients {
		rp, err := l.Directory.ByID(ctx, client)
		if errors.Is(err, db.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if rp.FrontchannelLogoutURI == "" {
			continue
		}
		address, err := WithQuery(rp.FrontchannelLogoutURI, url.Values{"iss": {l.Issuer}, "sid": {sid}})
		if err != nil {
			return nil, fmt.Errorf("reading the front channel of %s: %w", client, err)
		}
		all = append(all, address)
	}
	return all, nil
}

// WithQuery returns an address with more parameters. Those that it has keep
// their form.
func WithQuery(address string, more url.Values) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	if u.RawQuery != "" && len(more) > 0 {
		u.RawQuery += "&"
	}
	u.RawQuery += more.Encode()
	return u.String(), nil
}
