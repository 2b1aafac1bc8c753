-- +goose Up
CREATE TABLE registration_link (
    id         TEXT   NOT NULL PRIMARY KEY,
    token_hash BYTEA  NOT NULL UNIQUE, -- SHA-256 of 256 random bits
    uid        TEXT   NOT NULL,
    method     TEXT   NOT NULL,
    made_by    TEXT   NOT NULL,
    made_at    BIGINT NOT NULL,
    state      TEXT   NOT NULL, -- open, started, waiting, confirmed, refused, finished, replaced
    journey    TEXT   NOT NULL DEFAULT '', -- the one journey that started it
    browser    BYTEA,                      -- hash of the browser that started it
    started_at BIGINT NOT NULL DEFAULT 0,
    number     TEXT   NOT NULL DEFAULT '', -- shown on both screens
    decided_by TEXT   NOT NULL DEFAULT '',
    decided_at BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX registration_link_journey ON registration_link (journey) WHERE journey <> '';
CREATE INDEX registration_link_person ON registration_link (uid, method);
CREATE INDEX registration_link_age ON registration_link (made_at);

-- +goose Down
DROP TABLE registration_link;
