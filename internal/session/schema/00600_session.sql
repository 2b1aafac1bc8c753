-- +goose Up
CREATE TABLE session (
    -- SHA-256 of the cookie's token.
    id               BYTEA  NOT NULL PRIMARY KEY,
    -- The public name: the claim "sid" of ID and logout tokens.
    sid              TEXT   NOT NULL UNIQUE,
    uid              TEXT   NOT NULL,
    aal              BIGINT NOT NULL,
    method           TEXT   NOT NULL,
    authenticator_id TEXT   NOT NULL,
    auth_time        BIGINT NOT NULL,
    last_seen        BIGINT NOT NULL,
    idle_until       BIGINT NOT NULL,
    until            BIGINT NOT NULL,
    role             TEXT   NOT NULL DEFAULT '',
    role_at          BIGINT NOT NULL DEFAULT 0,
    terms            TEXT   NOT NULL,
    ended_at         BIGINT NOT NULL DEFAULT 0,
    ended_why        TEXT   NOT NULL DEFAULT ''
);

CREATE INDEX session_by_person ON session (uid);
CREATE INDEX session_by_end ON session (until);

-- For the provider: is the session that a token came from still alive?
CREATE VIEW session_state AS
SELECT sid, uid, aal, method, auth_time, idle_until, until, role, ended_at FROM session;

-- +goose Down
DROP VIEW session_state;
DROP TABLE session;
