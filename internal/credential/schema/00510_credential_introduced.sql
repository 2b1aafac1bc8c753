-- +goose Up
-- 1: an RA saw the holder when it was registered.
ALTER TABLE authenticator ADD COLUMN introduced BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE authenticator DROP COLUMN introduced;
