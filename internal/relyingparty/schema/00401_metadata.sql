-- +goose Up
-- What else it registered about itself, as JSON.
ALTER TABLE relying_party ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';

-- +goose Down
ALTER TABLE relying_party DROP COLUMN metadata;
