-- +goose Up
CREATE TABLE throttle (
    key           BYTEA  NOT NULL PRIMARY KEY, -- HMAC of what is counted
    rule          BIGINT NOT NULL,             -- 1 browser class of an address, 2 address, 3 network
    failures      BIGINT NOT NULL,             -- attempts that were let through and have not been refunded
    refused       BIGINT NOT NULL,             -- attempts that were not let through
    last_refused  BIGINT NOT NULL,             -- 1 if the latest attempt was refused by this row
    blocked_until BIGINT NOT NULL,
    forget_at     BIGINT NOT NULL,             -- from then on the row means nothing
    forget_before BIGINT NOT NULL              -- forget_at before the latest attempt
);
