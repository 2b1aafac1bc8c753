-- +goose Up
-- What the FIDO Alliance publishes, as it was imported last.
CREATE TABLE fido_metadata (
    one         BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    no          BIGINT NOT NULL,
    next_update BIGINT NOT NULL,
    imported_at BIGINT NOT NULL,
    -- SHA-256 of the file, and what its signature rests on.
    sum         TEXT   NOT NULL,
    anchor      TEXT   NOT NULL,
    signer      TEXT   NOT NULL,
    -- 1: no certificate of the signature was on a revocation list.
    checked     BIGINT NOT NULL,
    -- How many entries are of models that cannot be registered here, and what
    -- could not be read (a JSON array).
    others      BIGINT NOT NULL,
    unread      TEXT   NOT NULL
);

-- A model by its AAGUID, or by the key identifier of its attestation
-- certificates where it has none (U2F).
CREATE TABLE fido_model (
    name        TEXT   NOT NULL PRIMARY KEY,
    description TEXT   NOT NULL,
    hardware    BIGINT NOT NULL,
    anchors     TEXT   NOT NULL,
    reports     TEXT   NOT NULL
);

-- Whose holders know that their model is refused.
CREATE TABLE fido_model_told (
    authenticator_id TEXT   NOT NULL PRIMARY KEY REFERENCES authenticator (id) ON DELETE CASCADE,
    told_at          BIGINT NOT NULL
);

-- +goose Down
DROP TABLE fido_model_told;
DROP TABLE fido_model;
DROP TABLE fido_metadata;
