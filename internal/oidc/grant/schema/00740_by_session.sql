-- +goose Up
-- Whom to tell when a session ends.
CREATE INDEX oidc_grant_by_session ON oidc_grant (sid);

-- +goose Down
DROP INDEX oidc_grant_by_session;
