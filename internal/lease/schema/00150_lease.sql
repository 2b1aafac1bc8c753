-- +goose Up
CREATE TABLE lease (
    name   TEXT   NOT NULL PRIMARY KEY,
    holder TEXT   NOT NULL, -- node
    epoch  BIGINT NOT NULL, -- one more with each new holder
    until  BIGINT NOT NULL  -- 0: released
);
