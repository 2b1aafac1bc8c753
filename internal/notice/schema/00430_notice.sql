-- +goose Up
CREATE TABLE notice (
    id           TEXT   NOT NULL PRIMARY KEY,
    show_from    BIGINT NOT NULL, -- when people see it
    show_until   BIGINT NOT NULL,
    outage_from  BIGINT NOT NULL, -- what is planned; 0 for a notice without an outage
    outage_until BIGINT NOT NULL,
    services     TEXT   NOT NULL, -- JSON array
    body         TEXT   NOT NULL
);
