-- +goose Up
CREATE TABLE relying_party (
    client_id                  TEXT NOT NULL PRIMARY KEY,
    name                       TEXT NOT NULL,
    short_name                 TEXT NOT NULL,
    profile                    TEXT NOT NULL, -- cis2 | strict
    token_endpoint_auth_method TEXT NOT NULL,
    jwks_uri                   TEXT NOT NULL,
    jwks                       TEXT NOT NULL, -- JSON; '' for none
    jwks_uri_signing_algorithm TEXT NOT NULL,
    redirect_uris              TEXT NOT NULL, -- JSON arrays
    post_logout_redirect_uris  TEXT NOT NULL,
    backchannel_logout_uri     TEXT NOT NULL,
    scopes                     TEXT NOT NULL,
    methods                    TEXT NOT NULL,
    default_acr                TEXT NOT NULL,
    -- SHA-256 of each secret that is good now, base64, JSON array: two while
    -- one is being replaced.
    secrets                    TEXT NOT NULL
);
