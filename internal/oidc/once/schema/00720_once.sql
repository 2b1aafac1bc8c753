-- +goose Up
-- Names that may be used once: the jti of a client assertion, of a DPoP proof,
-- of a request object. The row is what makes them so: it is inserted with what
-- the name achieves.
CREATE TABLE oidc_once (
    kind      TEXT   NOT NULL, -- what the name is of
    client_id TEXT   NOT NULL, -- who chose it: others may choose the same
    name      BYTEA  NOT NULL, -- SHA-256: names are as long as somebody likes
    until     BIGINT NOT NULL, -- from then on nobody accepts it anyway
    PRIMARY KEY (kind, client_id, name)
);

CREATE INDEX oidc_once_by_end ON oidc_once (until);

-- +goose Down
DROP TABLE oidc_once;
