-- +goose Up
-- Initial access tokens: whoever has one may register relying parties, as many
-- and of such a kind as the operator said.
CREATE TABLE registration_token (
    token      BYTEA  NOT NULL PRIMARY KEY, -- SHA-256
    name       TEXT   NOT NULL,             -- public, for the audit log
    policy     TEXT   NOT NULL,             -- JSON
    expires_at BIGINT NOT NULL,
    uses_left  BIGINT NOT NULL
);

-- Relying parties that registered themselves, and the token with which each
-- looks after its registration.
CREATE TABLE registered_client (
    client_id TEXT   NOT NULL PRIMARY KEY,
    token     BYTEA  NOT NULL, -- SHA-256
    policy    TEXT   NOT NULL, -- of the initial access token
    issued_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE registered_client;
DROP TABLE registration_token;
