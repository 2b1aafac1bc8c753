-- +goose Up
CREATE TABLE outbox (
    id         TEXT   NOT NULL PRIMARY KEY,
    kind       TEXT   NOT NULL,
    payload    BYTEA,           -- sealed; NULL once it is sent
    state      TEXT   NOT NULL, -- queued, sent, dead
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL, -- given up then
    next_at    BIGINT NOT NULL, -- not tried before; a claim puts it off
    attempts   BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL, -- sent or given up, else 0
    last_error TEXT   NOT NULL  -- no address, no code
);
CREATE INDEX outbox_next ON outbox (next_at) WHERE state = 'queued';
