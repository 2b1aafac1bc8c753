-- +goose Up
-- Whoever relied on the session has yet to be told that it is over.
ALTER TABLE session ADD COLUMN untold BIGINT NOT NULL DEFAULT 0;
-- The authenticators that it was opened with before the present one, each
-- between spaces: ending what one of them opened finds it too.
ALTER TABLE session ADD COLUMN earlier TEXT NOT NULL DEFAULT '';

CREATE INDEX session_untold ON session (ended_at) WHERE untold = 1;

-- +goose Down
DROP INDEX session_untold;
ALTER TABLE session DROP COLUMN earlier;
ALTER TABLE session DROP COLUMN untold;
