-- +goose Up
CREATE TABLE audit_entry (
    id                 BYTEA  NOT NULL PRIMARY KEY, -- 16 random bytes
    idx                BIGINT UNIQUE,               -- place in the tree; NULL until sequenced
    version            BIGINT NOT NULL,             -- of the leaf's encoding
    at                 BIGINT NOT NULL,
    action             TEXT   NOT NULL,
    session            TEXT   NOT NULL,
    reference          TEXT   NOT NULL,
    result             TEXT   NOT NULL,
    subject            TEXT,                        -- NULL: erased
    subject_salt       BYTEA,                       -- NULL: erased
    subject_commitment BYTEA  NOT NULL,
    actor              TEXT,
    actor_salt         BYTEA,
    actor_commitment   BYTEA  NOT NULL,
    fields             TEXT   NOT NULL,             -- JSON array of {name, value, salt, commitment}
    leaf               BYTEA  NOT NULL              -- SHA-256, as docs/audit-leaf.md
);
CREATE INDEX audit_entry_waiting ON audit_entry (at, id) WHERE idx IS NULL;
CREATE INDEX audit_entry_subject ON audit_entry (subject, at);

-- The Merkle tree: one row for each complete subtree, by tlog's storage index.
CREATE TABLE audit_hash (
    position BIGINT NOT NULL PRIMARY KEY,
    hash     BYTEA  NOT NULL
);

-- One row: how many entries the tree holds. Locking it is what makes
-- sequencing one at a time, whatever leases say.
CREATE TABLE audit_tree (
    id   BIGINT NOT NULL PRIMARY KEY,
    size BIGINT NOT NULL
);
INSERT INTO audit_tree (id, size) VALUES (1, 0);

-- Signed checkpoints: the last of each hour stays.
CREATE TABLE audit_checkpoint (
    hour BIGINT NOT NULL PRIMARY KEY, -- hours since 1970
    size BIGINT NOT NULL,
    at   BIGINT NOT NULL,
    note TEXT   NOT NULL
);
CREATE UNIQUE INDEX audit_checkpoint_size ON audit_checkpoint (size);

CREATE TABLE audit_key (
    number     BIGINT NOT NULL PRIMARY KEY, -- 1 is the first; the highest signs
    verifier   TEXT   NOT NULL,
    sealed     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL
);
