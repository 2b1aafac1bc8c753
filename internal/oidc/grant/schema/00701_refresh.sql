-- +goose Up
-- What a refresh token buys is a row too, inserted under the refresh token's
-- name and so only once. It belongs to the family of the code that began it:
-- revoked_at of that code's row holds for all of them, token_revoked_at for
-- the one access token alone.
ALTER TABLE oidc_grant ADD COLUMN family BYTEA; -- "code" of the row that began it, NULL there
ALTER TABLE oidc_grant ADD COLUMN token_revoked_at BIGINT NOT NULL DEFAULT 0;
-- What the token is bound to, '' for a bearer token: the SHA-256 thumbprint of
-- a DPoP key, or of a certificate, in base64url.
ALTER TABLE oidc_grant ADD COLUMN jkt TEXT NOT NULL DEFAULT '';
ALTER TABLE oidc_grant ADD COLUMN x5t TEXT NOT NULL DEFAULT '';
-- How the person signed in, for resource servers that introspect.
ALTER TABLE oidc_grant ADD COLUMN acr TEXT NOT NULL DEFAULT '';
ALTER TABLE oidc_grant ADD COLUMN aal BIGINT NOT NULL DEFAULT 0;
ALTER TABLE oidc_grant ADD COLUMN auth_time BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE oidc_grant DROP COLUMN auth_time;
ALTER TABLE oidc_grant DROP COLUMN aal;
ALTER TABLE oidc_grant DROP COLUMN acr;
ALTER TABLE oidc_grant DROP COLUMN x5t;
ALTER TABLE oidc_grant DROP COLUMN jkt;
ALTER TABLE oidc_grant DROP COLUMN token_revoked_at;
ALTER TABLE oidc_grant DROP COLUMN family;
