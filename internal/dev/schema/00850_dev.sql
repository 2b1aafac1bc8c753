-- +goose Up
CREATE TABLE dev_mail (
    -- The Message-ID: a second delivery is no second mail.
    id        TEXT   NOT NULL PRIMARY KEY,
    at        BIGINT NOT NULL,
    sender    TEXT   NOT NULL,
    recipient TEXT   NOT NULL,
    subject   TEXT   NOT NULL,
    text      TEXT   NOT NULL
);

CREATE INDEX dev_mail_by_time ON dev_mail (at);

-- +goose Down
DROP TABLE dev_mail;
