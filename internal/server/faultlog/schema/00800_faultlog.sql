-- +goose Up
CREATE TABLE fault_log (
    ref      TEXT   NOT NULL PRIMARY KEY,
    kind     BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    method   TEXT   NOT NULL,
    path     TEXT   NOT NULL, -- without its query
    request  TEXT   NOT NULL, -- the request's id in the log
    client   TEXT   NOT NULL, -- relying party, '' if unknown
    uid      TEXT   NOT NULL, -- person, '' if unknown
    detail   TEXT   NOT NULL,
    cause    TEXT   NOT NULL
);

CREATE INDEX fault_log_at ON fault_log (at);
