-- +goose Up
-- What each authorization code bought. The row is also what makes a code
-- single-use: it is inserted when the code is redeemed, and only once.
CREATE TABLE oidc_grant (
    code         BYTEA  NOT NULL PRIMARY KEY, -- SHA-256 of the code's id
    access_token BYTEA  NOT NULL UNIQUE,      -- SHA-256 of the access token
    client_id    TEXT   NOT NULL,
    sid          TEXT   NOT NULL,
    uid          TEXT   NOT NULL,
    scope        TEXT   NOT NULL, -- granted, separated by spaces
    role         TEXT   NOT NULL, -- person_roleid, or ''
    issued_at    BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    revoked_at   BIGINT NOT NULL  -- 0 while it is good
);

CREATE INDEX oidc_grant_by_end ON oidc_grant (expires_at);

-- +goose Down
DROP TABLE oidc_grant;
