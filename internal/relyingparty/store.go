package relyingparty

import (
	"encoding/json"
	"fmt"

	"carekey.dev/carekey/internal/db"
)

const columns = `client_id, name, short_name, profile, token_endpoint_auth_method, jwks_uri, jwks,
	jwks_uri_signing_algorithm, redirect_uris, post_logout_redirect_uris, backchannel_logout_uri,
	scopes, methods, default_acr, secrets, metadata`

// ByID returns the relying party, or db.ErrNoRows. Directory.ByID is the one
// for requests.
func ByID(tx *db.Tx, clientID string) (RelyingParty, error) {
	rp, err := scan(tx.Row(`SELECT `+columns+` FROM relying_party WHERE client_id = $1`, clientID))
	if err != nil {
		return RelyingParty{}, fmt.Errorf("reading relying party %q: %w", clientID, err)
	}
	return rp, nil
}

// All returns every relying party in the order of the client ids.
func All(tx *db.Tx) ([]RelyingParty, error) {
	rows, err := tx.Rows(`SELECT ` + columns + ` FROM relying_party ORDER BY client_id`)
	if err != nil {
		return nil, fmt.Errorf("reading relying parties: %w", err)
	}
	defer rows.Close()
	var all []RelyingParty
	for rows.Next() {
		rp, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("reading relying parties: %w", err)
		}
		all = append(all, rp)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading relying parties: %w", err)
	}
	return all, nil
}

type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (RelyingParty, error) {
	var rp RelyingParty
	var jwks, redirects, logouts, scopes, methods, secrets, metadata string
	err := row.Scan(&rp.ClientID, &rp.Name, &rp.ShortName, &rp.Profile, &rp.AuthMethod, &rp.JWKSURI, &jwks,
		&rp.SigningAlgorithm, &redirects, &logouts, &rp.BackchannelLogoutURI,
		&scopes, &methods, &rp.DefaultACR, &secrets, &metadata)
	if err != nil {
		return RelyingParty{}, err
	}
	if jwks != "" {
		rp.JWKS = json.RawMessage(jwks)
	}
	for _, list := range []struct {
		text string
		into any
	}{
		{redirects, &rp.RedirectURIs},
		{logouts, &rp.PostLogoutRedirectURIs},
		{scopes, &rp.Scopes},
		{methods, &rp.Methods},
		{secrets, &rp.Secrets},
		{metadata, &rp.Metadata},
	} {
		if err := json.Unmarshal([]byte(list.text), list.into); err != nil {
			return RelyingParty{}, fmt.Errorf("reading relying party %s: %w", rp.ClientID, err)
		}
	}
	return rp, nil
}

// Put stores rp in place of what the table held under its client id.
func Put(tx *db.Tx, rp RelyingParty) error {
	_, err := tx.Exec(`
		INSERT INTO relying_party (`+columns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
		ON CONFLICT (client_id) DO UPDATE SET name = excluded.name, short_name = excluded.short_name,
		       profile = excluded.profile, token_endpoint_auth_method = excluded.token_endpoint_auth_method,
		       jwks_uri = excluded.jwks_uri, jwks = excluded.jwks,
		       jwks_uri_signing_algorithm = excluded.jwks_uri_signing_algorithm,
		       redirect_uris = excluded.redirect_uris,
		       post_logout_redirect_uris = excluded.post_logout_redirect_uris,
		       backchannel_logout_uri = excluded.backchannel_logout_uri, scopes = excluded.scopes,
		       methods = excluded.methods, default_acr = excluded.default_acr, secrets = excluded.secrets,
		       metadata = excluded.metadata`,
		rp.ClientID, rp.Name, rp.ShortName, rp.Profile, rp.AuthMethod, rp.JWKSURI, string(rp.JWKS),
		rp.SigningAlgorithm, list(rp.RedirectURIs), list(rp.PostLogoutRedirectURIs), rp.BackchannelLogoutURI,
		list(rp.Scopes), list(rp.Methods), rp.DefaultACR, list(rp.Secrets), encoded(rp.Metadata))
	if err != nil {
		return fmt.Errorf("storing relying party %s: %w", rp.ClientID, err)
	}
	return nil
}

// Delete takes a relying party away: nobody signs in to it any more.
func Delete(tx *db.Tx, clientID string) error {
	if _, err := tx.Exec(`DELETE FROM relying_party WHERE client_id = $1`, clientID); err != nil {
		return fmt.Errorf("deleting relying party %s: %w", clientID, err)
	}
	return nil
}

func list[T any](values []T) string {
	if len(values) == 0 {
		return "[]"
	}
	return encoded(values)
}

func encoded(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // texts, numbers and lists of them always encode
	}
	return string(text)
}
