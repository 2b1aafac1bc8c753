-- +goose Up
-- Names of the tickets that have signed somebody in, the newest first: a right
-- password is good for one sign-in.
ALTER TABLE app_credential ADD COLUMN spent TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE app_credential DROP COLUMN spent;
