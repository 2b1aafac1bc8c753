-- +goose Up
CREATE TABLE signing_key (
    algorithm  TEXT   NOT NULL,
    -- 1, 2, …: nodes that make the next key at the same moment agree on one.
    generation BIGINT NOT NULL,
    kid        TEXT   NOT NULL UNIQUE, -- RFC 7638 thumbprint
    sealed     BYTEA  NOT NULL,        -- PKCS#8 under the key ring, bound to kid
    created_at BIGINT NOT NULL,
    PRIMARY KEY (algorithm, generation)
);

-- +goose Down
DROP TABLE signing_key;
