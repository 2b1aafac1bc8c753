-- +goose Up
-- 1 once a sign-in on a shared computer has been told to the relying party that
-- it was for: it is good for no other request.
ALTER TABLE session ADD COLUMN spent BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE session DROP COLUMN spent;
