-- +goose Up
-- Each relying party that is told, or was told, of the end of a session. How
-- far that is stands in the outbox, under the name of the message.
CREATE TABLE logout_delivery (
    id        TEXT   NOT NULL PRIMARY KEY,
    message   TEXT   NOT NULL UNIQUE,
    client_id TEXT   NOT NULL,
    sid       TEXT   NOT NULL,
    uid       TEXT   NOT NULL,
    why       TEXT   NOT NULL, -- why the session ended
    made_at   BIGINT NOT NULL
);

CREATE INDEX logout_delivery_by_age ON logout_delivery (made_at);

-- +goose Down
DROP TABLE logout_delivery;
