-- +goose Up
-- The browser as its holder knows it: "Chrome on Windows". Never more of what
-- it says about itself than that.
ALTER TABLE session ADD COLUMN browser TEXT NOT NULL DEFAULT '';
-- The relying party that it was opened for, or '' for Carekey's own pages.
ALTER TABLE session ADD COLUMN client TEXT NOT NULL DEFAULT '';
-- 1 on a computer that people share (decision 8).
ALTER TABLE session ADD COLUMN shared BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE session DROP COLUMN shared;
ALTER TABLE session DROP COLUMN client;
ALTER TABLE session DROP COLUMN browser;
