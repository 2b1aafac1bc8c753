-- +goose Up
-- For rooms that show how far their messages are. The payload stays here.
CREATE VIEW outbox_state AS
SELECT id, kind, state, created_at, expires_at, next_at, attempts, ended_at, last_error FROM outbox;

-- +goose Down
DROP VIEW outbox_state;
