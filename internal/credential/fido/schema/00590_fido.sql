-- +goose Up
-- The user handle of a person: what their keys know them by. It is random and
-- says nothing about who it is (WebAuthn, 14.6.1).
CREATE TABLE fido_user (
    uid     TEXT   NOT NULL PRIMARY KEY,
    handle  BYTEA  NOT NULL UNIQUE,
    made_at BIGINT NOT NULL
);

CREATE TABLE fido_credential (
    authenticator_id TEXT   NOT NULL PRIMARY KEY REFERENCES authenticator (id) ON DELETE CASCADE,
    uid              TEXT   NOT NULL,
    method           TEXT   NOT NULL,
    credential_id    BYTEA  NOT NULL UNIQUE,
    public_key       BYTEA  NOT NULL, -- COSE_Key
    sign_count       BIGINT NOT NULL, -- the newest accepted counter; 0: the key has none
    aaguid           TEXT   NOT NULL, -- what the key says it is
    model            TEXT   NOT NULL, -- what its attestation has shown it to be, or ''
    format           TEXT   NOT NULL, -- of the attestation statement
    attested         BIGINT NOT NULL, -- 1: the attestation chains to a trusted root
    attachment       TEXT   NOT NULL, -- 'platform', 'cross-platform', or '' if the browser did not say
    transports       TEXT   NOT NULL, -- separated by spaces
    discoverable     BIGINT NOT NULL, -- 1: works without an address; 0: does not, or nobody knows
    backup_eligible  BIGINT NOT NULL, -- 1: may be synced
    backup_state     BIGINT NOT NULL, -- 1: was backed up when it was last used
    level_limit      BIGINT NOT NULL  -- the level of what stood behind its binding: it never counts for more
);

CREATE INDEX fido_credential_by_person ON fido_credential (uid);

-- Challenges that were used, until nobody would accept them any more. A
-- challenge that is not used leaves no trace.
CREATE TABLE fido_challenge (
    name  BYTEA  NOT NULL PRIMARY KEY,
    until BIGINT NOT NULL
);

-- +goose Down
DROP TABLE fido_challenge;
DROP TABLE fido_credential;
DROP TABLE fido_user;
