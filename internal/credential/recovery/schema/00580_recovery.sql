-- +goose Up
CREATE TABLE recovery_set (
    uid     TEXT   NOT NULL PRIMARY KEY,
    scheme  TEXT   NOT NULL, -- argon2id parameters and the salt of the set, in PHC format without a sum
    made_at BIGINT NOT NULL
);
CREATE TABLE recovery_code (
    uid      TEXT   NOT NULL REFERENCES recovery_set (uid) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    sum      BYTEA  NOT NULL,
    used_at  BIGINT NOT NULL, -- 0 until used
    PRIMARY KEY (uid, position)
);

-- +goose Down
DROP TABLE recovery_code;
DROP TABLE recovery_set;
