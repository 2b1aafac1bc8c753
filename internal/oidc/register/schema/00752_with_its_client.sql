-- +goose Up
-- A registration goes with its relying party, whoever takes that away: its token
-- must mean nothing should the name come back.
CREATE TABLE registration_with_its_client (
    client_id TEXT   NOT NULL PRIMARY KEY REFERENCES relying_party (client_id) ON DELETE CASCADE,
    token     BYTEA  NOT NULL, -- SHA-256
    policy    TEXT   NOT NULL, -- of the initial access token, as an operator left it
    issued_at BIGINT NOT NULL,
    given     TEXT   NOT NULL
);
INSERT INTO registration_with_its_client (client_id, token, policy, issued_at, given)
SELECT client_id, token, policy, issued_at, given FROM registered_client
WHERE client_id IN (SELECT client_id FROM relying_party);
DROP TABLE registered_client;
ALTER TABLE registration_with_its_client RENAME TO registered_client;

-- +goose Down
ALTER TABLE registered_client RENAME TO registration_with_its_client;
CREATE TABLE registered_client (
    client_id TEXT   NOT NULL PRIMARY KEY,
    token     BYTEA  NOT NULL,
    policy    TEXT   NOT NULL,
    issued_at BIGINT NOT NULL,
    given     TEXT   NOT NULL DEFAULT ''
);
INSERT INTO registered_client (client_id, token, policy, issued_at, given)
SELECT client_id, token, policy, issued_at, given FROM registration_with_its_client;
DROP TABLE registration_with_its_client;
