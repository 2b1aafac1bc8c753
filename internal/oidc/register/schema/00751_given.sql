-- +goose Up
-- What the program's last registration or update left of what it cannot give
-- itself, as JSON: where the relying party has something else by now, an
-- operator has set it.
ALTER TABLE registered_client ADD COLUMN given TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE registered_client DROP COLUMN given;
