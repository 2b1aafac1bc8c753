-- +goose Up
CREATE TABLE recovery_set (
    uid     TEXT   NOT NULL PRIMARY KEY,
    -- argon2id parameters, pepper and salt of the whole set, in PHC format
    -- without a sum: one hash decides a try against all ten (N24).
    blank   TEXT   NOT NULL,
    made_at BIGINT NOT NULL
);

CREATE TABLE recovery_code (
    uid      TEXT   NOT NULL REFERENCES recovery_set (uid) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    sum      BYTEA  NOT NULL,
    used_at  BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (uid, position)
);

-- +goose Down
DROP TABLE recovery_code;
DROP TABLE recovery_set;
