-- +goose Up
CREATE TABLE registration_link (
    id          TEXT   NOT NULL PRIMARY KEY,
    -- SHA-256 of the token in the address.
    token_hash  BYTEA  NOT NULL UNIQUE,
    uid         TEXT   NOT NULL,
    method      TEXT   NOT NULL,
    made_by     TEXT   NOT NULL,
    made_at     BIGINT NOT NULL,
    -- The one journey that consumed it, and the browser of that journey.
    journey     TEXT,
    browser     BYTEA,
    started_at  BIGINT NOT NULL DEFAULT 0,
    -- What both screens show when the worker's part is done.
    number      TEXT   NOT NULL DEFAULT '',
    answer      TEXT   NOT NULL DEFAULT '', -- '', confirmed, refused
    answered_by TEXT   NOT NULL DEFAULT '',
    answered_at BIGINT NOT NULL DEFAULT 0,
    finished_at BIGINT NOT NULL DEFAULT 0,
    -- A newer link for the same person and type ends this one.
    void_at     BIGINT NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX registration_link_by_journey ON registration_link (journey);
CREATE INDEX registration_link_by_person ON registration_link (uid);

-- +goose Down
DROP TABLE registration_link;
