-- +goose Up
-- Authorization requests that relying parties pushed (RFC 9126).
CREATE TABLE oidc_pushed_request (
    name       BYTEA  NOT NULL PRIMARY KEY, -- SHA-256 of the request_uri
    client_id  TEXT   NOT NULL,
    parameters TEXT   NOT NULL, -- as a form encodes them
    browser    BYTEA  NOT NULL, -- SHA-256 of the browser's mark, '' before the first use
    pushed_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL  -- when its code was issued, 0 before
);

CREATE INDEX oidc_pushed_request_by_end ON oidc_pushed_request (expires_at);

-- +goose Down
DROP TABLE oidc_pushed_request;
