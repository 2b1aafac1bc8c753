-- +goose Up
-- When the key begins to sign; until then it is published and no more. It
-- stops when the next generation begins.
ALTER TABLE signing_key ADD COLUMN signs_from BIGINT NOT NULL DEFAULT 0;
-- PKIX. NULL where an earlier release made the key: its private half says it.
ALTER TABLE signing_key ADD COLUMN public BYTEA;
-- The key's name in the HSM, '' for a key that is sealed here.
ALTER TABLE signing_key ADD COLUMN label TEXT NOT NULL DEFAULT '';
-- From then on the key is worth nothing: somebody else may have it.
ALTER TABLE signing_key ADD COLUMN withdrawn_at BIGINT NOT NULL DEFAULT 0;
-- When the private half was destroyed.
ALTER TABLE signing_key ADD COLUMN erased_at BIGINT NOT NULL DEFAULT 0;
UPDATE signing_key SET signs_from = created_at;

-- +goose Down
ALTER TABLE signing_key DROP COLUMN erased_at;
ALTER TABLE signing_key DROP COLUMN withdrawn_at;
ALTER TABLE signing_key DROP COLUMN label;
ALTER TABLE signing_key DROP COLUMN public;
ALTER TABLE signing_key DROP COLUMN signs_from;
