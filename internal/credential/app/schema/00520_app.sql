-- +goose Up
CREATE TABLE app_credential (
    authenticator_id TEXT   NOT NULL PRIMARY KEY REFERENCES authenticator (id) ON DELETE CASCADE,
    uid              TEXT   NOT NULL,
    password_hash    TEXT   NOT NULL, -- argon2id in PHC format, under a pepper
    password_at      BIGINT NOT NULL, -- when the password was chosen
    secret           BYTEA  NOT NULL, -- sealed, bound to uid
    last_step        BIGINT NOT NULL, -- the newest accepted code's step: it and earlier ones are refused
    demo             BIGINT NOT NULL  -- 1: from a world file
);

-- +goose Down
DROP TABLE app_credential;
