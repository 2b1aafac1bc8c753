-- +goose Up
CREATE TABLE authenticator (
    id            TEXT   NOT NULL PRIMARY KEY,
    uid           TEXT   NOT NULL,
    method        TEXT   NOT NULL,
    name          TEXT   NOT NULL,
    -- The journey that registered it: a journey can be finished once.
    journey       TEXT   NOT NULL UNIQUE,
    registered_at BIGINT NOT NULL,
    last_used_at  BIGINT NOT NULL DEFAULT 0,
    suspended_at  BIGINT NOT NULL DEFAULT 0,
    suspended_why TEXT   NOT NULL DEFAULT '',
    disabled_at   BIGINT NOT NULL DEFAULT 0,
    version       BIGINT NOT NULL DEFAULT 1
);

CREATE INDEX authenticator_by_person ON authenticator (uid);

-- For the rooms of the methods, which join it to their own rows.
CREATE VIEW authenticator_state AS
SELECT id, uid, method, suspended_at, disabled_at, version FROM authenticator;

-- +goose Down
DROP VIEW authenticator_state;
DROP TABLE authenticator;
