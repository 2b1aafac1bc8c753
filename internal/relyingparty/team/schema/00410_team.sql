-- +goose Up
CREATE TABLE team (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE team_secret (
    id         TEXT   NOT NULL PRIMARY KEY, -- public: sessions name it
    team       TEXT   NOT NULL REFERENCES team (id),
    hash       BYTEA  NOT NULL UNIQUE,      -- SHA-256
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL              -- 0 for never
);
CREATE INDEX team_secret_team ON team_secret (team);

-- +goose Down
DROP TABLE team_secret;
DROP TABLE team;
