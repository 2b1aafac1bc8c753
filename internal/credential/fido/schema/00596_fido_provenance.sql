-- +goose Up
-- 1: the attested model keeps keys where they cannot be copied from.
ALTER TABLE fido_credential ADD COLUMN device_bound BIGINT NOT NULL DEFAULT 0;
-- The model and the certificates of the attestation (JSON), for the metadata.
ALTER TABLE fido_credential ADD COLUMN provenance TEXT NOT NULL DEFAULT '{}';

-- +goose Down
ALTER TABLE fido_credential DROP COLUMN provenance;
ALTER TABLE fido_credential DROP COLUMN device_bound;
