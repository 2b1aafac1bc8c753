-- +goose Up
-- One row for each journey: its newest code. The same row is written for an
-- address that nobody has.
CREATE TABLE mail_code (
    journey     TEXT   NOT NULL PRIMARY KEY,
    uid         TEXT   NOT NULL, -- '' if nobody has the address
    address     BYTEA  NOT NULL, -- sealed, bound to the journey
    address_key BYTEA  NOT NULL, -- HMAC, to count by asker and address
    deliver     BIGINT NOT NULL, -- 0: no mail was sent, so no code is right
    salt        BYTEA  NOT NULL,
    code        BYTEA  NOT NULL, -- HMAC of salt, journey and code
    sent_at     BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    sends       BIGINT NOT NULL, -- of this journey
    tries       BIGINT NOT NULL, -- wrong ones, of this code
    checked_at  BIGINT NOT NULL, -- when this journey entered it rightly, or 0
    used_at     BIGINT NOT NULL  -- when the gate used the proof, or 0
);
CREATE INDEX mail_code_address ON mail_code (address_key, sent_at);
CREATE INDEX mail_code_age ON mail_code (sent_at);

-- +goose Down
DROP TABLE mail_code;
