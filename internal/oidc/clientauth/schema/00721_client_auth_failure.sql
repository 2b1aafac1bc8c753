-- +goose Up
-- Why relying parties were not authenticated, for their owners: one row for
-- each cause, whatever strangers send, so that it stays small.
CREATE TABLE client_auth_failure (
    client_id TEXT   NOT NULL,
    cause     TEXT   NOT NULL,
    reason    TEXT   NOT NULL, -- of the last one; it never holds a secret
    ref       TEXT   NOT NULL, -- the reference that the caller was told
    path      TEXT   NOT NULL,
    network   TEXT   NOT NULL, -- address that it came from, or ''
    times     BIGINT NOT NULL, -- since first_at
    first_at  BIGINT NOT NULL,
    last_at   BIGINT NOT NULL,
    PRIMARY KEY (client_id, cause)
);

CREATE INDEX client_auth_failure_by_time ON client_auth_failure (last_at);

-- +goose Down
DROP TABLE client_auth_failure;
